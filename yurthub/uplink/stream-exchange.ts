// One answer that arrives on an HTTP/2 stream. What Node.js reports of a broken stream takes reading (stack.md, traps).
import http2 from 'node:http2';
import { responseHeaders } from './headers.ts';
import type { AnswerSink, Exchange } from './exchange.ts';

/** To be called in the turn in which the stream was made. */
export function streamExchange(stream: http2.ClientHttp2Stream, sink: AnswerSink): Exchange {
  let over = false;
  let headSeen = false;
  let ended = false;
  let error: Error | undefined;
  let trailers: Record<string, string | string[]> | undefined;
  stream.on('headers', (headers) => {
    if (!over) sink.interim(Number(headers[':status']), responseHeaders(headers));
  });
  stream.on('response', (headers) => {
    if (over) return;
    headSeen = true;
    sink.head(Number(headers[':status']), responseHeaders(headers));
    // Not before the head: data can be there earlier, and would flow into nothing.
    stream.on('data', (chunk: Buffer) => {
      if (!over && !sink.data(chunk)) stream.pause();
    });
  });
  stream.on('trailers', (headers) => {
    trailers = responseHeaders(headers);
  });
  stream.on('end', () => void (ended = true));
  stream.on('error', (reason: Error) => void (error = reason));
  stream.on('close', () => {
    if (over) return;
    over = true;
    // A lost connection looks like an end with rstCode CANCEL and no error: only code 0 is an end.
    if (headSeen && ended && error === undefined && stream.rstCode === http2.constants.NGHTTP2_NO_ERROR)
      sink.end(trailers);
    else
      sink.fail({
        error: error ?? new Error(`the stream was closed with code ${stream.rstCode}`),
        // REFUSED_STREAM: the far end promises that it did nothing.
        sent: stream.rstCode !== http2.constants.NGHTTP2_REFUSED_STREAM,
        reused: true,
      });
  });
  return {
    abort() {
      if (over) return;
      over = true;
      stream.close(http2.constants.NGHTTP2_CANCEL);
      // What was buffered and not read would keep the stream from ending.
      stream.resume();
    },
    resume() {
      if (!over) stream.resume();
    },
  };
}
