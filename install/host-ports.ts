// Ports that the tunnel server takes on each control-plane host, and who has them already: pods of the host's network that say so, and, where the
// command runs on such a host itself, whatever listens there. Other hosts tell it when the server starts, by its last words (readiness.ts).
import net from 'node:net';
import type { ApiObject } from '../controllers/machinery/resource.ts';
import type { Check } from '../dropin/preflight.ts';
import { resources, type ClusterApi } from './cluster-facts.ts';

/** As in config/tunnel/server.yaml. */
export const tunnelServerPorts: readonly (readonly [port: number, what: string])[] = [
  [10_262, 'agents'],
  [10_265, 'its health and metrics'],
];
const ourName = 'holdfast-tunnel-server';

export interface TakenPort {
  readonly host: string;
  readonly port: number;
  /** Pod NAMESPACE/NAME, or a process. */
  readonly by: string;
}

/** The host that the command runs on. */
export interface ThisHost {
  readonly name: string;
  isBusy(port: number): Promise<boolean>;
}

interface Pod extends ApiObject {
  readonly spec?: {
    readonly hostNetwork?: boolean;
    readonly containers?: readonly {
      readonly ports?: readonly { readonly containerPort: number; readonly hostPort?: number }[];
    }[];
  };
}

/** `hosts`: names of control-plane nodes. Rejects with ApiError and ApiUnreachableError. */
export async function takenPorts(
  api: Pick<ClusterApi, 'list'>,
  hosts: readonly string[],
  here: ThisHost,
  signal: AbortSignal,
): Promise<TakenPort[]> {
  const taken: TakenPort[] = [];
  for (const host of hosts) {
    const pods = await api.list<Pod>(resources.pods, { fieldSelector: `spec.nodeName=${host}` }, signal);
    const isOurs = ({ metadata }: Pod): boolean => metadata.labels?.['app.kubernetes.io/name'] === ourName;
    const found = pods.filter((pod) => !isOurs(pod)).flatMap((pod) => portsOf(pod).map((port) => ({ pod, port })));
    for (const [port] of tunnelServerPorts) {
      const pod = found.find((entry) => entry.port === port)?.pod.metadata;
      if (pod !== undefined) taken.push({ host, port, by: `Pod ${pod.namespace}/${pod.name}` });
      else if (host === here.name && !pods.some(isOurs) && (await here.isBusy(port)))
        taken.push({ host, port, by: `a process: ss -ltnp 'sport = :${port}'` });
    }
  }
  return taken;
}

export function portsCheck(taken: readonly TakenPort[]): Check {
  const name = 'ports';
  const all = tunnelServerPorts.map(([port, what]) => `${port} (${what})`).join(' and ');
  if (taken.length === 0)
    return { name, verdict: 'ok', cause: `nobody is known to have ${all} on a control plane`, fix: '' };
  return {
    name,
    verdict: 'refused',
    cause: `the tunnel server needs ${all} of each control-plane host, and taken are ${taken.map(({ host, port, by }) => `${port} on ${host}, by ${by}`).join('; ')}`,
    fix: 'Stop what has it there, or give it another port.',
  };
}

/** Of this host: something accepts connections there. */
export function isBusy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** On its host. */
function portsOf({ spec }: Pod): number[] {
  const ports = (spec?.containers ?? []).flatMap(({ ports: declared = [] }) => declared);
  return ports.flatMap(({ hostPort, containerPort }) =>
    spec?.hostNetwork === true ? containerPort : (hostPort ?? []),
  );
}
