import { Http1Traffic, Http2Traffic } from './http-traffic.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const endStream = 1;

function frame(type: number, flags: number, id: number, length: number): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.set([type, flags], 3);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, Buffer.alloc(length)]);
}

test('HTTP/2: a watch, a read, a write and pings are told apart, in whatever pieces they come', () => {
  let nowMs = 0;
  const traffic = new Http2Traffic(() => nowMs);
  const fromClient = Buffer.concat([
    preface,
    frame(4, 0, 0, 6), // SETTINGS
    frame(1, 4 | endStream, 1, 50), // a watch
    frame(1, 4 | endStream, 3, 40), // a read
    frame(1, 4, 5, 30), // a write …
    frame(0, endStream, 5, 200), // … and its body
    frame(6, 0, 0, 8), // PING
  ]);
  for (const byte of fromClient) traffic.fromClient(Buffer.from([byte]));
  traffic.fromServer(Buffer.concat([frame(1, 4, 1, 20), frame(1, 4, 3, 10), frame(0, endStream, 3, 1_000)]));
  traffic.fromServer(Buffer.concat([frame(1, 4, 5, 10), frame(0, endStream, 5, 300)]));
  nowMs = 60_000;
  traffic.fromServer(frame(0, 0, 1, 70)); // a bookmark
  expect(traffic.take()).toEqual({
    watches: 59 + 29,
    events: 79,
    reads: 49 + 19 + 1_009,
    writes: 39 + 209 + 19 + 309,
    upkeep: 15 + 17,
  });
  traffic.fromServer(frame(0, 0, 1, 70));
  traffic.fromServer(frame(0, endStream, 1, 0));
  expect(traffic.take()).toEqual({ watches: 0, events: 79 + 9, reads: 0, writes: 0, upkeep: 0 });
});

test('HTTP/1.1: an answer counts for the request before it', () => {
  const traffic = new Http1Traffic();
  traffic.fromClient(Buffer.from('GET /version HTTP/1.1\r\n\r\n'));
  traffic.fromServer(Buffer.alloc(300));
  traffic.fromClient(Buffer.from('PUT /apis/coordination.k8s.io/v1/leases/a HTTP/1.1\r\n\r\n'));
  traffic.fromClient(Buffer.from('{"spec":{}}'));
  traffic.fromServer(Buffer.alloc(400));
  const { reads, writes } = traffic.take();
  expect({ reads, writes }).toEqual({ reads: 25 + 300, writes: 54 + 11 + 400 });
});
