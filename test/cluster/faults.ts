// What can be wrong with the way between a node and the cloud. Applied in the site's router, to connections that
// exist as well as to new ones.
import { binary } from './binaries.ts';
import { waitFor } from './commands.ts';
import { inNamespace, iptables } from './network.ts';
import type { Site } from './network.ts';
import { logTail } from './processes.ts';
import type { ProcessTable } from './processes.ts';
import { readFileSync } from 'node:fs';

export type LinkFault =
  /** Every TCP segment is answered with a reset: what is noticed at once. */
  | { kind: 'refuse' }
  /** Packets vanish in both directions: what is noticed by silence alone. */
  | { kind: 'drop' }
  /** The round trip takes so much longer; `lossPercent` as below. */
  | { kind: 'delay'; roundTripMs: number; lossPercent?: number }
  /** So many of 100 packets vanish, in each direction. */
  | { kind: 'loss'; percent: number };

const cutChain = 'HOLDFAST-CUT';
const slowChain = 'HOLDFAST-SLOW';
const queueNumber = 7;
const directions = ['-i wan', '-o wan'] as const;

export class Link {
  readonly #site: Site;
  readonly #processes: ProcessTable;
  readonly #logFile: string;
  readonly #slowName: string;

  constructor(parts: { site: Site; processes: ProcessTable }, settings: { nodeName: string; logFile: string }) {
    this.#site = parts.site;
    this.#processes = parts.processes;
    this.#logFile = settings.logFile;
    this.#slowName = `${settings.nodeName}.wanqueue`;
  }

  /** Once per router, before the first fault. */
  async prepare(): Promise<void> {
    await this.#iptables([
      `-N ${cutChain}`,
      `-I FORWARD -j ${cutChain}`,
      `-t mangle -N ${slowChain}`,
      `-t mangle -A FORWARD -j ${slowChain}`,
    ]);
  }

  /** Replaces the fault before. */
  async apply(fault: LinkFault): Promise<void> {
    await this.heal();
    switch (fault.kind) {
      case 'refuse':
        for (const direction of directions) {
          await this.#iptables([
            `-A ${cutChain} ${direction} -p tcp -j REJECT --reject-with tcp-reset`,
            `-A ${cutChain} ${direction} -j REJECT --reject-with icmp-net-unreachable`,
          ]);
        }
        return;
      case 'drop':
        await this.#iptables(directions.map((direction) => `-A ${cutChain} ${direction} -j DROP`));
        return;
      case 'loss':
        await this.#lose(fault.percent);
        return;
      case 'delay':
        if (fault.lossPercent !== undefined) await this.#lose(fault.lossPercent);
        await this.#startQueue(fault.roundTripMs / 2);
        await this.#iptables(
          directions.map((direction) => `-t mangle -A ${slowChain} ${direction} -j NFQUEUE --queue-num ${queueNumber}`),
        );
    }
  }

  async heal(): Promise<void> {
    await this.#iptables([`-F ${cutChain}`, `-t mangle -F ${slowChain}`]);
    await this.#processes.stop(this.#slowName, 0);
  }

  /** The router forgets its NAT sessions, as after a reboot of its own. */
  async forgetSessions(): Promise<void> {
    await inNamespace(this.#site.routerNamespace, ['conntrack', '-F']);
  }

  async #lose(percent: number): Promise<void> {
    const match = `-m statistic --mode random --probability ${(percent / 100).toFixed(4)}`;
    await this.#iptables(directions.map((direction) => `-A ${cutChain} ${direction} ${match} -j DROP`));
  }

  async #startQueue(delayMs: number): Promise<void> {
    const namespace = `--net=/run/netns/${this.#site.routerNamespace}`;
    const before = readLog(this.#logFile).length;
    await this.#processes.start(
      this.#slowName,
      ['nsenter', namespace, binary('wanqueue'), String(queueNumber), String(delayMs)],
      { logFile: this.#logFile },
    );
    await waitFor(
      'wanqueue is bound to its queue',
      () => {
        this.#processes.assertRunning(this.#slowName);
        return readLog(this.#logFile).slice(before).includes('ready');
      },
      { deadlineMs: 60_000, everyMs: 10, context: () => logTail(this.#logFile) },
    );
  }

  #iptables(rules: readonly string[]): Promise<void> {
    return iptables(this.#site.routerNamespace, rules);
  }
}

function readLog(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // not written yet
  }
}
