// What the client in a pod wrote about its last attempts (test/cluster/binaries/services/in-cluster).
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { EdgeNode } from '../../cluster/node.ts';
import { dataFolder, stateFile } from './application.ts';

/** Times in milliseconds since 1970; 0 where there was none. */
export interface Attempts {
  ok: number;
  failed: number;
  firstOk: number;
  lastOk: number;
  /** The longest time from one success to the next. */
  longestMs: number;
  lastError: string;
}

export interface ClientState {
  startedAt: number;
  /** By in-cluster configuration, as the watch. */
  get: Attempts;
  /** At https://kubernetes.default.svc. */
  list: Attempts;
  /** Resolving the service's name and asking it. */
  service: Attempts;
  /** How often each pod has answered for the service. */
  answers: Record<string, number>;
  /** Requests for a watch so far. */
  watches: number;
  /** What the watch has shown: name and `value` of each ConfigMap. */
  configMaps: Record<string, string>;
  synced: boolean;
}

/** Throws while the client has not yet written anything. After a reboot the file is the old one until it has. */
export function clientState(node: EdgeNode): ClientState {
  const file = path.join(node.file(dataFolder), stateFile);
  return JSON.parse(readFileSync(file, 'utf8')) as ClientState;
}
