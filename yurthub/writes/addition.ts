// What the hub adds to a write of the kubelet's own, at no further request. The write comes first: what the API server refuses with the
// addition is sent again as the kubelet wrote it.
import type { UpstreamReply } from '../types.ts';

export type Send = (body: Buffer) => Promise<UpstreamReply | undefined>;

/** `refused`: the addition was not taken, and is to be left away for a while. `failed`: says nothing about it. */
export type AdditionOutcome = 'sent' | 'failed' | 'refused';

/** What says nothing about the addition, beside a server in trouble: who asks, a version that is too old, too many requests. */
const otherReasons = new Set([401, 404, 409, 429]);

/** Undefined, as `send` gives it, when the cloud is out of reach; then `heard` is not called. */
export async function sendWithAddition(
  body: Buffer,
  added: Buffer | undefined,
  send: Send,
  heard: (outcome: AdditionOutcome, statusCode: number) => void,
): Promise<UpstreamReply | undefined> {
  if (added === undefined) return await send(body);
  const reply = await send(added);
  if (reply === undefined) return undefined;
  const { statusCode } = reply;
  const outcome = statusCode < 400 ? 'sent' : statusCode >= 500 || otherReasons.has(statusCode) ? 'failed' : 'refused';
  heard(outcome, statusCode);
  return outcome === 'refused' ? await send(body) : reply;
}
