// What is compared: the ways from a client to the API server.

export const variants = ['direct', 'go-proxy', 'hub'] as const;
export type Variant = (typeof variants)[number];

export interface Way {
  readonly variant: Variant;
  readonly url: string;
  /** What its serving certificate is checked against. */
  readonly caFile: string;
  /** The process on the way; undefined for a direct connection. */
  readonly pid: number | undefined;
}

export interface ClientFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}
