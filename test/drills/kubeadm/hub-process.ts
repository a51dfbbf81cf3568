// The hub's process on a node, as the kernel sees it, and how long it took to start.
import { readFileSync } from 'node:fs';
import type { KubeadmMachine } from '../../cluster/kubeadm/kubeadm-machine.ts';

const unit = 'holdfast-node.service';

export interface HubProcess {
  /** The file that runs. */
  readonly program: string;
  /** Effective, as a set of bits. */
  readonly capabilities: bigint;
  readonly noNewRights: boolean;
  /** /etc is writable where it runs. */
  readonly mayWriteEtc: boolean;
  /** From the start of the process until the hub said that it serves, by its log. */
  readonly startMs: number;
}

export async function hubProcess(machine: KubeadmMachine): Promise<HubProcess> {
  const supervisor = (await machine.systemctl('show', unit, '--property=MainPID')).trim().replace('MainPID=', '');
  // Also where the supervisor waits for a sleep of its own.
  const script = `for child in $(cat /proc/${supervisor}/task/*/children); do
  case $(readlink /proc/$child/exe) in */node) break;; esac
done
readlink /proc/$child/exe
grep -E '^(CapEff|NoNewPrivs)' /proc/$child/status
grep -E ' /etc .* - ' /proc/$child/mountinfo | tail -n 1
cut -d ' ' -f 22 /proc/$child/stat
cut -d ' ' -f 1 /proc/uptime
date +%s.%N
getconf CLK_TCK`;
  const lines = (await machine.enter(['sh', '-c', script])).trim().split('\n');
  const [program = '', capabilities = '', noNewRights = '', etc = '', startTicks, uptimeS, nowS, ticksPerS] = lines;
  const startedMs = (Number(nowS) - Number(uptimeS) + Number(startTicks) / Number(ticksPerS)) * 1000;
  return {
    program,
    capabilities: BigInt(`0x${capabilities.replace(/^.*\s/, '')}`),
    noNewRights: noNewRights.endsWith('1'),
    mayWriteEtc: !/ \/etc ro[ ,]/.test(etc),
    startMs: servesAtMs(machine) - startedMs,
  };
}

/** By the clock of the node, which is that of the host. The last start counts. */
function servesAtMs(machine: KubeadmMachine): number {
  const line = readFileSync(machine.file(`/var/log/units/${unit}.log`), 'utf8')
    .split('\n')
    .findLast((each) => each.includes('the hub serves'));
  return Date.parse(/\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line ?? '')?.[0] ?? '');
}
