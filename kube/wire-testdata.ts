// Test data that Kubernetes' own encoders wrote (testdata/generate), and ways to feed it in pieces.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Encoding, Item, ListHead, WatchFrame, Wire } from './wire.ts';

const folder = path.join('kube', 'testdata');

/** `name` without extension, as in 'pod-list'. Tests run from the repository's root. */
export function testdata(name: string, encoding: Encoding): Buffer {
  return readFileSync(path.join(folder, `${name}.${encoding === 'protobuf' ? 'pb' : 'json'}`));
}

/** `body` cut at the given positions; every chunk lies in a buffer of its own that is overwritten once consumed. */
export function* chunksOf(body: Buffer, cuts: readonly number[]): Generator<Buffer> {
  const ends = [...cuts.map((cut) => Math.min(cut, body.length)), body.length].toSorted((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    if (end === start) continue;
    const chunk = Buffer.from(body.subarray(start, end));
    yield chunk;
    // What was handed out must not refer to the network buffer, which may be used again.
    chunk.fill(0xaa);
    start = end;
  }
}

/** Cuts every `size` bytes. */
export function everyBytes(body: Buffer, size: number): number[] {
  return Array.from({ length: Math.floor(body.length / size) }, (_, index) => (index + 1) * size);
}

export interface ScannedList {
  readonly head: ListHead;
  readonly items: Item[];
}

export function scanList(wire: Wire, body: Buffer, cuts: readonly number[] = [], maxItemBytes = 1 << 20): ScannedList {
  const scanner = wire.listScanner({ maxItemBytes });
  const items: Item[] = [];
  for (const chunk of chunksOf(body, cuts))
    items.push(...scanner.push(chunk).map((item) => ({ ...item, bytes: Buffer.from(item.bytes) })));
  return { head: scanner.end(), items };
}

export function scanWatch(wire: Wire, body: Buffer, cuts: readonly number[] = []): WatchFrame[] {
  const scanner = wire.watchScanner({ maxFrameBytes: 1 << 20 });
  const frames: WatchFrame[] = [];
  for (const chunk of chunksOf(body, cuts)) frames.push(...scanner.push(chunk));
  return frames;
}
