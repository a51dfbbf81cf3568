// Every row of the benchmark's table, and the figures to reach. A measurement adds samples to these ids and to no others.
import type { Summaries, Summary } from './samples.ts';
import type { Variant } from './ways.ts';

export interface Row {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** Digits after the point. */
  readonly digits: number;
  readonly figure?: Figure;
}

export interface Figure {
  readonly text: string;
  /** Judges medians. Undefined when what it needs was not measured. */
  isMet(measured: Summaries): boolean | undefined;
}

export const getConnections = [1, 16, 128] as const;
export const getEncodings = ['json', 'protobuf'] as const;
export const watchClients = [1, 100, 1000] as const;
export const outageKinds = ['refuse', 'blackhole'] as const;
export type OutageKind = (typeof outageKinds)[number];
export const coldStartSizes = [100, 10_000] as const;
export const offlineListSize = 1_000;

const kindNames = { refuse: 'refusal', blackhole: 'black hole' } as const;

export const hubRows: readonly Row[] = [
  ...getConnections.flatMap((connections) =>
    getEncodings.flatMap((encoding) => getRows(`get-${connections}-${encoding}`, connections, encoding, 'h2')),
  ),
  ...getRows('get-16-json-h1', 16, 'json', 'h1'),
  row('list-cold-total', 'list 5,000 × 4 KB, first of a new view: total', 'ms', 0, atMostTimes(1.5, 'direct')),
  row('list-cold-first-byte', '  first byte', 'ms', 0),
  row('list-cold-settled', '  until the store has it (process idle)', 'ms', 0, atMostTimes(1.5, 'direct')),
  row('list-cold-cpu', '  CPU until idle', 'ms', 0, atMost(250, 'ms')),
  row('list-cold-growth', '  memory, highest above before', 'MiB', 1, below(32, 'MiB')),
  row('list-warm-total', 'list 5,000 × 4 KB again: total', 'ms', 0),
  row('list-warm-cpu', '  CPU until idle', 'ms', 0),
  row('list-peak', 'resident, highest during the lists', 'MiB', 1, atMost(160, 'MiB')),
  row('list-memory', '  after them', 'MiB', 1),
  row('list-memory-minute', '  one minute later', 'MiB', 1),
  row('list-memory-left', '  of it above before, without mapped files', 'MiB', 1, atMost(10, 'MiB')),
  ...watchClients.flatMap((clients) => watchRows(clients)),
  ...outageKinds.flatMap((kind) => outageRows(kind)),
  ...coldStartSizes.flatMap((objects) =>
    outageKinds.map((kind) =>
      row(
        coldStartRow(objects, kind),
        `cold start, cloud gone by ${kindNames[kind]}: first list of ${objects.toLocaleString('en')}`,
        'ms',
        0,
        atMost(kind === 'refuse' ? 700 : 3000, 'ms'),
      ),
    ),
  ),
  row('offline-list', 'offline list of 1,000, first since the start', 'ms', 0, atMostTimes(1, 'direct')),
  row(
    idleUplinkRow('total'),
    'uplink of an idle node, kubelet of 30 pods (stand-in)',
    'kB/h',
    0,
    atMostTimes(1, 'direct'),
  ),
  row(idleUplinkRow('events'), '  events of watches, mostly bookmarks', 'kB/h', 0),
  row(idleUplinkRow('watches'), '  watches opened and ended', 'kB/h', 0),
  row(idleUplinkRow('writes'), '  renewals of the Lease', 'kB/h', 0),
  row(idleUplinkRow('reads'), '  reads', 'kB/h', 0),
  row(idleUplinkRow('upkeep'), '  pings and windows of HTTP/2', 'kB/h', 0),
  row(idleUplinkRow('tls'), '  TLS: records and handshakes', 'kB/h', 0),
  row(idleUplinkRow('connections'), '  connections opened', '1/h', 0),
  row('idle-resident', 'resident, kubelet of 30 pods (stand-in)', 'MiB', 1, atMost(96, 'MiB')),
  row('idle-proportional', '  proportional (PSS)', 'MiB', 1),
  row('idle-peak', '  highest since the start', 'MiB', 1),
  row(
    'services-resident',
    'resident, with kube-proxy and CoreDNS (stand-ins), 1,000 services, 3,000 slices',
    'MiB',
    1,
    atMost(128, 'MiB'),
  ),
  row('services-proportional', '  proportional (PSS)', 'MiB', 1),
  row('services-peak', '  highest since they came', 'MiB', 1),
  row('slope', 'memory slope at 10 events/s, less than an hour', 'MiB/h', 2),
  row('slope-hour', 'memory slope at 10 events/s, over an hour', 'MiB/h', 2, atMost(1, 'MiB/h (--hour)')),
  row('slope-resident', '  resident at the end', 'MiB', 1, atMost(110, 'MiB')),
  row('lease-p99', 'Lease PUT beside large lists: p99', 'ms', 1, below(100, 'ms')),
  row('lease-max', '  longest', 'ms', 1),
];

export function idleUplinkRow(part: string): string {
  return `idle-uplink-${part}`;
}

export function coldStartRow(objects: number, kind: OutageKind): string {
  return `cold-start-${objects}-${kind}`;
}

function getRows(id: string, connections: number, encoding: string, protocol: string): Row[] {
  const title = `small GET, ${connections} connection${connections > 1 ? 's' : ''}, ${encoding}, ${protocol}`;
  return [
    row(`${id}-cpu`, `${title}: CPU`, 'µs/request', 0, atMostTimes(protocol === 'h2' ? 1 : 1.5, 'go-proxy')),
    row(`${id}-rate`, '  rate', '1/s', 0),
    row(`${id}-p99`, '  p99', 'ms', 2, protocol === 'h2' ? atMostTimes(1.2, 'go-proxy') : undefined),
  ];
}

function watchRows(clients: number): Row[] {
  const id = `watch-${clients}`;
  const title = `watch, ${clients.toLocaleString('en')} client${clients > 1 ? 's' : ''}, ${watchRate(clients)} events/s`;
  const [p50Behind, p99Behind] = clients === 100 ? [5, 10] : [undefined, clients > 100 ? 100 : undefined];
  const behind = (ms: number | undefined): Figure | undefined =>
    ms === undefined ? undefined : atMostBehind(ms, 'direct');
  return [
    row(`${id}-p99`, `${title}: p99 delay`, 'ms', 1, behind(p99Behind)),
    row(`${id}-p50`, '  p50 delay', 'ms', 1, behind(p50Behind)),
    row(`${id}-max`, '  longest delay', 'ms', 1),
    row(`${id}-missed`, '  events missed', '', 0, atMost(0, '')),
    row(`${id}-cpu`, '  CPU per event and client', 'µs', 0, clients > 100 ? atMost(30, 'µs') : undefined),
    row(`${id}-resident`, '  resident', 'MiB', 1),
  ];
}

export function watchRate(clients: number): number {
  return clients > 100 ? 5 : 20;
}

function outageRows(kind: OutageKind): Row[] {
  const figure = kind === 'refuse' ? below(300, 'ms') : below(3000, 'ms');
  return [
    row(`${kind}-first-get`, `first offline answer after a ${kindNames[kind]}: GET`, 'ms', 0, figure),
    row(`${kind}-first-list`, '  list without resourceVersion', 'ms', 0, figure),
    row(`${kind}-fresh`, `live again after a ${kindNames[kind]}: fresh answer`, 'ms', 0, below(3000, 'ms')),
    row(`${kind}-event`, '  the missed watch event', 'ms', 0, below(3000, 'ms')),
  ];
}

function row(id: string, title: string, unit: string, digits: number, figure?: Figure): Row {
  return { id, title, unit, digits, ...(figure === undefined ? {} : { figure }) };
}

function atMost(limit: number, unit: string): Figure {
  return { text: `≤ ${limit} ${unit}`.trimEnd(), isMet: ({ hub }) => hub && hub.median <= limit };
}

function below(limit: number, unit: string): Figure {
  return { text: `< ${limit} ${unit}`, isMet: ({ hub }) => hub && hub.median < limit };
}

function atMostTimes(factor: number, base: Variant): Figure {
  return {
    text: `≤ ${factor} × ${base}`,
    isMet: (measured) => compare(measured, base, (hub, other) => hub <= factor * other),
  };
}

function atMostBehind(ms: number, base: Variant): Figure {
  return {
    text: `≤ ${base} + ${ms} ms`,
    isMet: (measured) => compare(measured, base, (hub, other) => hub <= other + ms),
  };
}

function compare(
  measured: Summaries,
  base: Variant,
  holds: (hub: number, other: number) => boolean,
): boolean | undefined {
  const hub = measured.hub;
  const other: Summary | undefined = measured[base];
  return hub && other && holds(hub.median, other.median);
}
