// What a hub says of itself in an annotation of its Node: written by the hub, read by `holdfast status` in the cloud.

export const hubReportAnnotation = 'holdfast.dev/hub';

export interface HubReport {
  readonly version: string;
  /** RFC 3339, by the node's clock: since when the cloud has been in reach. */
  readonly cloudSince: string;
  readonly lists: number;
  readonly objects: number;
  /** Size of the store on disk. */
  readonly bytes: number;
  /** Service account tokens kept for when the cloud is gone. */
  readonly tokens: number;
  /** Events and statuses that had not arrived in the cloud. */
  readonly waiting: number;
  readonly roundTripMs: number;
}

/** As it stands in the annotation. Measures are rounded, so that it is the same text for as long as nothing much changes. */
export function hubReportText(report: HubReport): string {
  const { version, cloudSince, lists, objects, bytes, tokens, waiting, roundTripMs } = report;
  return JSON.stringify({
    version,
    cloudSince,
    lists: rounded(lists),
    objects: rounded(objects),
    bytes: rounded(bytes),
    tokens: rounded(tokens),
    waiting: rounded(waiting),
    roundTripMs: rounded(roundTripMs),
  });
}

/** Undefined where there is none, or none that we can read: a node writes it, and nothing is decided by it. */
export function readHubReport(text: string | undefined): HubReport | undefined {
  if (text === undefined || text.length > 1_000) return undefined;
  try {
    const found = JSON.parse(text) as Partial<Record<keyof HubReport, unknown>> | null;
    const number = (key: keyof HubReport): number => {
      const value = found?.[key];
      if (typeof value !== 'number') throw new TypeError(key);
      return value;
    };
    const { version, cloudSince } = found ?? {};
    // What is printed on a terminal holds nothing but these.
    if (typeof version !== 'string' || !/^[\w.+-]{1,60}$/.test(version)) return undefined;
    if (typeof cloudSince !== 'string' || Number.isNaN(Date.parse(cloudSince))) return undefined;
    return {
      version,
      cloudSince: new Date(cloudSince).toISOString(),
      lists: number('lists'),
      objects: number('objects'),
      bytes: number('bytes'),
      tokens: number('tokens'),
      waiting: number('waiting'),
      roundTripMs: number('roundTripMs'),
    };
  } catch {
    return undefined;
  }
}

/** To two digits. */
function rounded(value: number): number {
  return Number(value.toPrecision(2));
}
