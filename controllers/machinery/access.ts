// How the API server is reached and as whom, as far as requests need it.
import type { Agent } from 'node:http';

export interface Connection {
  /** https:// only. */
  readonly server: string;
  readonly agent: Agent;
  /** Verified against: ca (the system's when undefined) and servername. */
  readonly tls: {
    readonly ca?: string | Buffer;
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
    readonly servername?: string;
  };
  /** `authorization` for one. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Access {
  /** For the next request: tokens and certificates may be renewed between two. Rejects with AccessError. */
  connection(): Promise<Connection>;
  close(): void;
}
