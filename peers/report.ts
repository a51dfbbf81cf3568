// What an observer saw of its peers, as the text of an annotation on its own Lease. The hub adds it to the kubelet's own PUT,
// so it costs no request. Ages only, in whole seconds at the moment of the PUT: the cloud's clock is the only one that judges.
import { isObject } from '../kube/plain-object.ts';
import { noRounds, type Rounds } from './rounds.ts';

/** The annotation on the observer's own Lease in kube-node-lease. */
export const reportAnnotation = 'holdfast.dev/peers';

/** Bounds of a report, for writers and readers. An age that is larger is written as the bound. */
export const reportBounds = {
  bytes: 8192,
  peers: 32,
  seconds: 31_536_000,
  failures: 9999,
  rounds: 999,
  sequence: 2 ** 48,
} as const;

/**
 * What was seen of a peer, best first:
 * - `up`: its hub answered over mTLS as the node that it should be, and said that its kubelet is well.
 * - `sick`: its hub answered so, and said that its kubelet is not.
 * - `host`: its hub did not, but something at its address answered: a TCP connection was accepted or refused.
 * - `silent`: nothing answered.
 * - `new`: not watched for long enough to say any of these.
 */
export const peerStates = ['up', 'sick', 'host', 'silent', 'new'] as const;
export type PeerState = (typeof peerStates)[number];

export interface PeerReport {
  /** The peer's node name. */
  readonly name: string;
  readonly state: PeerState;
  /** For how long it has been so. `silent`: since the last answer of any kind, or since it was first probed. */
  readonly forSeconds: number;
  /** Since the last probe ended, whatever came of it: a prober that hangs has no evidence. */
  readonly probedSeconds: number;
  /** Probes that failed in a row up to now. */
  readonly failures: number;
  /** Probes of it before the last that was answered; bad are those that failed, three of those in a row at most. */
  readonly probes: Rounds;
}

export interface Report {
  /** The author's node name. */
  readonly reporter: string;
  /** The pool that the author takes itself to be in. */
  readonly pool: string;
  /** 16 lower-case hexadecimal digits, drawn at random when the author starts. */
  readonly boot: string;
  /** Grows with each PUT of one boot; also where the PUT failed. */
  readonly seq: number;
  /** Since the author was last cut off from the API server; silence counts no further back. 0 in the first PUT after a cut. */
  readonly onlineSeconds: number;
  /** How long that last cut was; 0 when there was none in this boot. For people only. */
  readonly cutSeconds: number;
  /** Renewals of the author's Lease that arrived; bad are those before which one was lost. */
  readonly renewals: Rounds;
  readonly peers: readonly PeerReport[];
}

/**
 * Why a report is refused:
 * - `oversized`: larger than the bounds.
 * - `garbage`: not JSON.
 * - `version`: of a format that this code does not know.
 * - `malformed`: JSON of another shape, or a number out of bounds.
 * - `forged`: its author is not the node whose Lease carries it.
 */
export const reportProblems = ['oversized', 'garbage', 'version', 'malformed', 'forged'] as const;
export type ReportProblem = (typeof reportProblems)[number];

export type ParsedReport =
  | { readonly ok: true; readonly report: Report }
  | { readonly ok: false; readonly problem: ReportProblem; readonly detail: string };

/**
 * The annotation's text, within the bounds. Peers that do not fit are left out, those in the best state first: what is
 * missing from a report is no vote. Ages are rounded down, towards less evidence.
 */
export function formatReport(report: Report): string {
  const urgency = (peer: PeerReport): number => peerStates.indexOf(peer.state) % (peerStates.length - 1);
  const peers = report.peers.toSorted((one, other) => urgency(other) - urgency(one)).slice(0, reportBounds.peers);
  for (;;) {
    const text = JSON.stringify({
      v: 1,
      n: report.reporter,
      pool: report.pool,
      boot: report.boot,
      seq: report.seq,
      on: seconds(report.onlineSeconds),
      cut: seconds(report.cutSeconds),
      peers: peers.map((peer) => [
        peer.name,
        peer.state,
        seconds(peer.forSeconds),
        // Towards less evidence: an older probe.
        Math.min(Math.ceil(peer.probedSeconds), reportBounds.seconds),
        Math.min(peer.failures, reportBounds.failures),
      ]),
      // Beside what a guard of before knows: it refuses a peer of more than five fields, and reads over a field of the report.
      renewals: rounds(report.renewals),
      probes: peers.map((peer) => rounds(peer.probes)),
    });
    if (peers.length === 0 || Buffer.byteLength(text) <= reportBounds.bytes) return text;
    peers.pop();
  }
}

function seconds(age: number): number {
  return Math.min(Math.max(Math.floor(age), 0), reportBounds.seconds);
}

function rounds({ all, bad }: Rounds): readonly [all: number, bad: number] {
  const whole = Math.min(Math.floor(all), reportBounds.rounds);
  return [whole, Math.min(Math.round(bad), whole)];
}

/** Reads the annotation on the Lease of the node `holder`. Never throws; `detail` names the field and holds no more than 80 characters of the text. */
export function parseReport(text: string, holder: string): ParsedReport {
  if (text.length > reportBounds.bytes || Buffer.byteLength(text) > reportBounds.bytes)
    return refused('oversized', `${Buffer.byteLength(text)} bytes, at most ${reportBounds.bytes}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refused('garbage', `not JSON: ${shown(text)}`);
  }
  if (!isObject(value)) return refused('malformed', 'not an object');
  if (value['v'] !== 1) return refused('version', `v is ${shown(value['v'])}, must be 1`);
  if (typeof value['n'] !== 'string' || !isName(value['n'])) return refused('malformed', `n is ${shown(value['n'])}`);
  if (value['n'] !== holder)
    return refused('forged', `written by ${value['n']}, found on the Lease of ${shown(holder)}`);
  const { pool, boot, seq, on, cut, peers, renewals, probes } = value;
  if (typeof pool !== 'string' || !isName(pool)) return refused('malformed', `pool is ${shown(pool)}`);
  if (typeof boot !== 'string' || !/^[0-9a-f]{16}$/.test(boot)) return refused('malformed', `boot is ${shown(boot)}`);
  if (!isCount(seq, reportBounds.sequence)) return refused('malformed', `seq is ${shown(seq)}`);
  if (!isCount(on, reportBounds.seconds)) return refused('malformed', `on is ${shown(on)}`);
  if (!isCount(cut, reportBounds.seconds)) return refused('malformed', `cut is ${shown(cut)}`);
  if (!Array.isArray(peers)) return refused('malformed', 'peers is not a list');
  if (peers.length > reportBounds.peers)
    return refused('oversized', `${peers.length} peers, at most ${reportBounds.peers}`);
  const ofRenewals = parseRounds(renewals);
  if (ofRenewals === undefined) return refused('malformed', `renewals is ${shown(renewals)}`);
  // Hubs of before do not say them.
  const ofProbes: unknown = probes ?? peers.map(() => undefined);
  if (!Array.isArray(ofProbes) || ofProbes.length !== peers.length)
    return refused('malformed', 'probes is not a list as long as peers');
  const read: PeerReport[] = [];
  const seen = new Set<string>([holder]);
  for (const [index, entry] of peers.entries()) {
    const peer = parsePeer(entry);
    if (typeof peer === 'string') return refused('malformed', `peers[${index}]: ${peer}`);
    const ofPeer = parseRounds(ofProbes[index]);
    if (ofPeer === undefined) return refused('malformed', `probes[${index}] is ${shown(ofProbes[index])}`);
    // A second entry, or one about the author itself, is no slip: a vote would count twice.
    if (seen.has(peer.name)) return refused('malformed', `peers[${index}]: ${peer.name} stands there already`);
    seen.add(peer.name);
    read.push({ ...peer, probes: ofPeer });
  }
  return {
    ok: true,
    report: {
      reporter: holder,
      pool,
      boot,
      seq,
      onlineSeconds: on,
      cutSeconds: cut,
      renewals: ofRenewals,
      peers: read,
    },
  };
}

function parsePeer(entry: unknown): Omit<PeerReport, 'probes'> | string {
  if (!Array.isArray(entry) || entry.length !== 5) return 'not a list of five';
  const [name, state, forSeconds, probedSeconds, failures] = entry as unknown[];
  if (typeof name !== 'string' || !isName(name)) return `name is ${shown(name)}`;
  const known = peerStates.find((each) => each === state);
  if (known === undefined) return `state is ${shown(state)}`;
  if (!isCount(forSeconds, reportBounds.seconds)) return `for is ${shown(forSeconds)}`;
  if (!isCount(probedSeconds, reportBounds.seconds)) return `probed is ${shown(probedSeconds)}`;
  if (!isCount(failures, reportBounds.failures)) return `failures is ${shown(failures)}`;
  return { name, state: known, forSeconds, probedSeconds, failures };
}

/** Undefined: it is none. What is not said is not known. */
function parseRounds(value: unknown): Rounds | undefined {
  if (value === undefined) return noRounds;
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [all, bad] = value as unknown[];
  if (!isCount(all, reportBounds.rounds) || !isCount(bad, all)) return undefined;
  return { all, bad };
}

function refused(problem: ReportProblem, detail: string): ParsedReport {
  return { ok: false, problem, detail };
}

/** As the API server has names of nodes and pools: a DNS subdomain (RFC 1123). */
function isName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/.test(text);
}

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

/** For logs and events: what came from a node is quoted, and short. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
