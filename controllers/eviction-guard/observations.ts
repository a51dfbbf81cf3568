// What the guard itself saw of each node, in its own monotonic time. Whatever an edge clock says is only compared with what it
// said before: a Lease that changed is a sign of life at the moment when the guard learned of it.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import { parseReport, type Report, type ReportProblem } from '../../peers/report.ts';
import { betterKnown, fading, noRounds, shareOf, withRound, type Rounds } from '../../peers/rounds.ts';

/** Of a node's Lease in kube-node-lease, what the guard looks at. */
export interface LeaseSeen {
  readonly nodeName: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly renewTime: string | undefined;
  /** The annotation `holdfast.dev/peers`. */
  readonly report: string | undefined;
}

/** Why a report was not taken: as it could not be read, or `replayed`: one that came before. */
export type RefusalProblem = ReportProblem | 'replayed';

export interface Refusal {
  readonly nodeName: string;
  readonly problem: RefusalProblem;
  /** Short, and quotes what came from the node. */
  readonly detail: string;
}

export interface Observed {
  /** Since the guard first saw the node's Lease. */
  readonly watchedSeconds: number;
  /** Whether it has seen any sign since. */
  readonly everHeard: boolean;
  /** Since the last sign, or else since the guard began to watch. */
  readonly silentSeconds: number;
  /** For how long signs have come without a break; 0 while there is one. */
  readonly heardForSeconds: number;
  /** It was found dead on evidence that is enough to delete its pods, and gave no sign since. */
  readonly foundDead: boolean;
  /** How likely a renewal of its Lease is to be lost, by those that were missing between its reports before, or as it says itself. */
  readonly renewalLoss: number;
  /** By the peers that it observes: how its probes went while it saw them up. */
  readonly paths: ReadonlyMap<string, Rounds>;
  /** The newest report that was seen to be new, and since when it is known. */
  readonly report: { readonly report: Report; readonly ageSeconds: number } | undefined;
}

/** A longer silence breaks the contact: two renewals of a Lease were missed. */
export const contactBreakSeconds = 25;
/** Boots that are remembered for each node: a report of an earlier one is a replay. */
const rememberedBoots = 16;

interface Record {
  uid: string;
  resourceVersion: string;
  readonly firstMs: number;
  renewTime: string | undefined;
  heartbeat: string | undefined;
  signMs: number | undefined;
  contactMs: number;
  text: string | undefined;
  boots: string[];
  seq: number;
  report: Report | undefined;
  reportMs: number;
  foundDead: boolean;
  /** Reports that came; bad are those before which one was lost. */
  renewals: Rounds;
  /** Of the peers of its last report, so that there are no more than a report may have. */
  paths: ReadonlyMap<string, Rounds>;
}

export class Observations {
  readonly #refused: (refusal: Refusal) => void;
  readonly #records = new Map<string, Record>();

  constructor(refused: (refusal: Refusal) => void) {
    this.#refused = refused;
  }

  /** Takes up a Lease as it came by list or watch; one that says nothing new is no sign. `nowMs`: monotonic. */
  lease(seen: LeaseSeen, nowMs: number): void {
    const record = this.#record(seen.nodeName, seen, nowMs);
    // A watch that comes after a list that was read meanwhile: an old sign is none.
    if (seen.uid === record.uid && compareResourceVersions(seen.resourceVersion, record.resourceVersion) < 0) return;
    record.resourceVersion = seen.resourceVersion;
    // Also backwards: an edge clock was set right. Only the node itself can write this.
    if (seen.renewTime !== record.renewTime || seen.uid !== record.uid) this.#sign(record, nowMs);
    record.renewTime = seen.renewTime;
    if (seen.uid !== record.uid) {
      // A new Lease: its reports may count from one again.
      record.uid = seen.uid;
      record.boots = [];
      record.text = undefined;
    }
    // The same text beside a new time: the kubelet renewed without its hub. Nothing was seen anew.
    if (seen.report === undefined || seen.report === record.text) return;
    record.text = seen.report;
    const parsed = parseReport(seen.report, seen.nodeName);
    if (parsed.ok) this.#report(record, parsed.report, nowMs);
    else this.#refused({ nodeName: seen.nodeName, problem: parsed.problem, detail: parsed.detail });
  }

  /** Another sign of the node itself: the time of its kubelet's last heartbeat in the Node's Ready condition. */
  heartbeat(nodeName: string, heartbeat: string, nowMs: number): void {
    const record = this.#records.get(nodeName);
    if (record === undefined) return;
    if (record.heartbeat !== undefined && record.heartbeat !== heartbeat) this.#sign(record, nowMs);
    record.heartbeat = heartbeat;
  }

  /** Until its next sign. */
  foundDead(nodeName: string): void {
    const record = this.#records.get(nodeName);
    if (record !== undefined) record.foundDead = true;
  }

  /** The node is gone for good. */
  forget(nodeName: string): void {
    this.#records.delete(nodeName);
  }

  /** Whether the node's Lease has ever carried a report, readable or not: a hub of ours runs there. */
  hasHub(nodeName: string): boolean {
    return this.#records.get(nodeName)?.text !== undefined;
  }

  of(nodeName: string, nowMs: number): Observed | undefined {
    const record = this.#records.get(nodeName);
    if (record === undefined) return undefined;
    const silentSeconds = (nowMs - (record.signMs ?? record.firstMs)) / 1000;
    const inContact = record.signMs !== undefined && silentSeconds < contactBreakSeconds;
    return {
      watchedSeconds: (nowMs - record.firstMs) / 1000,
      everHeard: record.signMs !== undefined,
      silentSeconds,
      heardForSeconds: inContact ? (nowMs - record.contactMs) / 1000 : 0,
      foundDead: record.foundDead,
      renewalLoss: shareOf(record.renewals),
      paths: record.paths,
      report:
        record.report === undefined
          ? undefined
          : { report: record.report, ageSeconds: (nowMs - record.reportMs) / 1000 },
    };
  }

  #record(nodeName: string, seen: LeaseSeen, nowMs: number): Record {
    let record = this.#records.get(nodeName);
    if (record === undefined) {
      record = {
        uid: seen.uid,
        resourceVersion: seen.resourceVersion,
        firstMs: nowMs,
        renewTime: seen.renewTime,
        heartbeat: undefined,
        signMs: undefined,
        contactMs: nowMs,
        text: undefined,
        boots: [],
        seq: 0,
        report: undefined,
        reportMs: nowMs,
        foundDead: false,
        renewals: noRounds,
        paths: new Map(),
      };
      this.#records.set(nodeName, record);
    }
    return record;
  }

  #sign(record: Record, nowMs: number): void {
    if (record.signMs === undefined || nowMs - record.signMs >= contactBreakSeconds * 1000) record.contactMs = nowMs;
    record.signMs = nowMs;
    record.foundDead = false;
  }

  #report(record: Record, report: Report, nowMs: number): void {
    const { reporter: nodeName, boot, seq } = report;
    const current = record.boots.at(-1);
    if (boot === current ? seq <= record.seq : record.boots.includes(boot)) {
      const detail = boot === current ? `seq ${seq} after ${record.seq}` : `boot ${boot} after ${String(current)}`;
      this.#refused({ nodeName, problem: 'replayed', detail });
      return;
    }
    if (boot !== current) record.boots = [...record.boots, boot].slice(-rememberedBoots);
    else record.renewals = withRound(record.renewals, seq > record.seq + 1, fading.renewals);
    record.seq = seq;
    // How links have been is worth something however long it has stood there.
    record.renewals = betterKnown(record.renewals, report.renewals);
    record.paths = new Map(
      report.peers.map(({ name, state, failures, probes }) => {
        const known = record.paths.get(name) ?? noRounds;
        const isSeen = current !== undefined && state === 'up';
        return [name, betterKnown(isSeen ? withRound(known, failures > 0, fading.renewals) : known, probes)];
      }),
    );
    // The first that is seen of a Lease may have stood there for a year: only what comes after it is known to be new.
    if (current === undefined) return;
    record.report = report;
    record.reportMs = nowMs;
    this.#sign(record, nowMs);
  }
}
