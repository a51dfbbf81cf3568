// What a node says of itself to a peer that probes it: JSON, small, read with bounds, since a peer may be anybody's by now.
import { isIP } from 'node:net';
import { PeerError } from './errors.ts';
import { kubeletStates, type KubeletState } from './local-kubelet.ts';

/** own: it reaches an API server by itself. relayed: through a peer. none: not at all. */
export const waysOut = ['own', 'relayed', 'none'] as const;
export type WayOut = (typeof waysOut)[number];

/** A pod of the node as its kubelet sees it. */
export interface PodState {
  readonly uid: string;
  readonly addresses: readonly string[];
  readonly ready: boolean;
  /** Succeeded or Failed. */
  readonly finished: boolean;
}

export interface ProbeAnswer {
  readonly node: string;
  readonly kubelet: KubeletState;
  readonly wayOut: WayOut;
  /** It lets peers through to the cloud. */
  readonly relays: boolean;
  /** Said while it has no way out, when nobody but its kubelet can tell; undefined otherwise. */
  readonly pods: readonly PodState[] | undefined;
}

export const maxAnswerBytes = 256 << 10;
const maxPods = 1_000;
const maxAddresses = 4;

export function writeAnswer(answer: ProbeAnswer): Buffer {
  const { pods, ...rest } = answer;
  return Buffer.from(JSON.stringify(pods === undefined ? rest : { ...rest, pods: pods.slice(0, maxPods) }));
}

/** Throws PeerError (ERR_PEER_ANSWER). What it does not know is left out, so that newer peers may say more. */
export function readAnswer(body: Buffer): ProbeAnswer {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (error) {
    throw wrong('no JSON', error);
  }
  if (!isObject(value)) throw wrong('no object');
  const { node, kubelet, wayOut, relays, pods } = value;
  if (typeof node !== 'string') throw wrong('node is no text');
  return {
    node,
    kubelet: oneOf(kubeletStates, kubelet, 'kubelet'),
    wayOut: oneOf(waysOut, wayOut, 'wayOut'),
    relays: relays === true,
    pods: pods === undefined ? undefined : readPods(pods),
  };
}

function readPods(value: unknown): PodState[] {
  if (!Array.isArray(value) || value.length > maxPods) throw wrong('pods is no list, or too long');
  return value.map((pod: unknown) => {
    if (!isObject(pod)) throw wrong('a pod is no object');
    const { uid, addresses, ready, finished } = pod;
    if (typeof uid !== 'string' || uid === '' || uid.length > 128) throw wrong('a pod without uid');
    if (!Array.isArray(addresses) || addresses.length > maxAddresses || !addresses.every(isAddress))
      throw wrong('addresses of a pod');
    return { uid, addresses, ready: ready === true, finished: finished === true };
  });
}

function isAddress(value: unknown): value is string {
  return typeof value === 'string' && isIP(value) !== 0;
}

function oneOf<T extends string>(words: readonly T[], value: unknown, what: string): T {
  const found = words.find((word) => word === value);
  if (found === undefined) throw wrong(`${what} is none of ${words.join(', ')}`);
  return found;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(problem: string, cause?: unknown): PeerError {
  return new PeerError('ERR_PEER_ANSWER', `the answer of a peer cannot be read: ${problem}`, cause);
}
