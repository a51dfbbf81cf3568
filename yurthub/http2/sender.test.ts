// Who may send how much, and in which turn; the socket is a list of what was written.
import type { TLSSocket } from 'node:tls';
import { BatchBlocks } from './batch-blocks.ts';
import { FrameReader, preface } from './frames.ts';
import { Sender, type Outgoing } from './sender.ts';

class WrittenSocket {
  written: Buffer[] = [];
  writableLength = 0;
  destroyed = false;
  drained: () => void = () => undefined;
  on(_event: string, listener: () => void): void {
    this.drained = listener;
  }
  write(bytes: Buffer, done?: () => void): void {
    // As TLS does: the bytes may be used again once they are written.
    this.written.push(Buffer.from(bytes));
    done?.();
  }
  destroy(): void {
    this.destroyed = true;
  }
}

function make(): { socket: WrittenSocket; sender: Sender; sent: () => string[] } {
  const socket = new WrittenSocket();
  const sender = new Sender(socket as unknown as TLSSocket, new BatchBlocks());
  return {
    socket,
    sender,
    sent: () => {
      sender.flush();
      const seen: string[] = [];
      const reader = new FrameReader((type, flags, id, { length }) => seen.push(`${type}/${flags} ${id}: ${length}`));
      reader.feed(Buffer.concat([preface, ...socket.written.splice(0)]));
      return seen;
    },
  };
}

const outgoing = (id: number, bytes: number, window = 1_000_000): Outgoing => ({
  id,
  window,
  pieces: [{ bytes: Buffer.alloc(bytes), done: undefined }],
  end: { trailers: '', done: () => undefined },
});

test('streams that wait for the connection’s window have their turns', () => {
  const { sender, sent } = make();
  sender.pump(outgoing(1, 65_535));
  expect(sent()).toEqual(['0/0 1: 16384', '0/0 1: 16384', '0/0 1: 16384', '0/1 1: 16383']);
  sender.pump(outgoing(3, 40_000));
  sender.pump(outgoing(5, 20_000));
  expect(sent()).toEqual([]);
  sender.grow(100_000);
  expect(sent()).toEqual(['0/0 3: 16384', '0/0 5: 16384', '0/0 3: 16384', '0/1 5: 3616', '0/1 3: 7232']);
});

test('a stream with no window of its own keeps none of the others waiting, and a forgotten one sends no more', () => {
  const { sender, sent } = make();
  const stalled = outgoing(1, 100, 10);
  sender.pump(stalled);
  sender.pump(outgoing(3, 100));
  expect(sent()).toEqual(['0/0 1: 10', '0/1 3: 100']);
  sender.forget(stalled);
  stalled.window = 1_000;
  sender.pump(stalled);
  sender.grow(1);
  expect(sent()).toEqual([]);
});

test('a body waits for a socket that is full; frames that nothing holds back end it at last', () => {
  const { socket, sender, sent } = make();
  socket.writableLength = 2 << 20;
  const out = outgoing(1, 100);
  expect(sender.whole({ ...outgoing(3, 0), pieces: [] }, '\x88', Buffer.alloc(10), () => undefined)).toBe(false);
  sender.pump(out);
  sender.control(Buffer.alloc(0));
  expect(socket.destroyed).toBe(false);
  socket.written = [];
  socket.writableLength = 0;
  socket.drained();
  expect(sent()).toEqual(['0/1 1: 100']);
  socket.writableLength = 9 << 20;
  sender.control(Buffer.alloc(0));
  expect(socket.destroyed).toBe(true);
});

test('an empty body and trailers end a stream', () => {
  const { sender, sent } = make();
  const done: string[] = [];
  sender.pump({ id: 1, window: 0, pieces: [], end: { trailers: '', done: () => done.push('empty') } });
  sender.pump({ id: 3, window: 0, pieces: [], end: { trailers: '\0\x01x\x01y', done: () => done.push('trailers') } });
  expect(sent()).toEqual(['0/1 1: 0', '1/5 3: 5']);
  expect(done).toEqual(['empty', 'trailers']);
});

test('what one turn sends leaves in one write, in its order, and all of it is reported', async () => {
  const { socket, sender, sent } = make();
  const done: string[] = [];
  sender.control(Buffer.from('\0\0\0\x04\x01\0\0\0\0', 'latin1'));
  for (const id of [1, 3, 5])
    sender.pump({ ...outgoing(id, 0), pieces: [{ bytes: Buffer.alloc(id), done: () => done.push(`${id}`) }] });
  expect(socket.written).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(socket.written).toHaveLength(1);
  expect(done).toEqual(['1', '3', '5']);
  expect(sent()).toEqual(['4/1 0: 0', '0/1 1: 1', '0/1 3: 3', '0/1 5: 5']);
});

test('an answer behind frames that have not left yet does not overtake them', () => {
  const { sender, sent } = make();
  sender.head(1, '\x88', false);
  expect(sender.whole({ ...outgoing(3, 0), pieces: [] }, '\x88', Buffer.alloc(2), () => undefined)).toBe(true);
  expect(sent()).toEqual(['1/4 1: 1', '1/4 3: 1', '0/1 3: 2']);
});
