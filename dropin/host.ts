// What a command needs of the node besides its files, in the narrowest form: so that a test can stand in for it, and can fail
// each call.

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

export interface ApiRequest {
  /** PATCH: a merge patch. */
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With query. */
  readonly path: string;
  readonly body?: unknown;
  readonly accept?: string;
}

/** The API as this node's kubelet may use it. Rejects with ERR_DROPIN_CALL when there is no answer. */
export interface NodeApi {
  request(request: ApiRequest): Promise<Answer>;
}

export interface UnitState {
  readonly loaded: boolean;
  readonly active: boolean;
  readonly enabled: boolean;
  /** 0 when it does not run. */
  readonly mainPid: number;
}

/** systemd. Each call rejects with ERR_DROPIN_CALL, in which systemctl's own words stand. */
export interface Units {
  state(unit: string): Promise<UnitState>;
  reload(): Promise<void>;
  enable(unit: string): Promise<void>;
  disable(unit: string): Promise<void>;
  start(unit: string): Promise<void>;
  stop(unit: string): Promise<void>;
  restart(unit: string): Promise<void>;
}

/** What there is on the machine, looked at without changing it. */
export interface MachineFacts {
  readonly isRoot: boolean;
  /** As Node.js names it: x64, arm64. */
  readonly architecture: string;
  /** Where the program is installed. */
  readonly freeBytes: number;
  /** The program `ip`, by which the hub gets its link-local address. */
  readonly hasIp: boolean;
  /** Of those asked for, on loopback. */
  readonly busyPorts: readonly number[];
}

export interface Host {
  readonly units: Units;
  /** Directly, as /etc/kubernetes/kubelet.conf says. */
  readonly cloud: NodeApi;
  /** Through the hub on this node. */
  readonly hub: NodeApi;
  /** Plain HTTP on loopback: health and metrics. Undefined when nobody answers. */
  get(url: string): Promise<{ status: number; body: string } | undefined>;
  /** Arguments of a process; undefined when it is gone. */
  commandLine(pid: number): Promise<readonly string[] | undefined>;
  machine(ports: readonly number[]): Promise<MachineFacts>;
  /** Monotonic milliseconds. */
  now(): number;
  /** Rejects when the signal aborts. */
  sleep(milliseconds: number): Promise<void>;
}
