// Holds docs/metrics.md and docs/errors.md together with the code, in both directions, and the decisions in order. Rows are read by their columns, so a
// row that lacks one fails as well.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Metrics } from '../runtime/metrics.ts';
import { AppSetMetrics } from '../controllers/app-set/metrics.ts';
import { GuardMetrics } from '../controllers/eviction-guard/metrics.ts';
import { TunnelCertificateMetrics } from '../controllers/tunnel-certificate/metrics.ts';
import { MachineryMetrics } from '../controllers/machinery/metrics.ts';
import { HealthMetrics } from '../health/metrics.ts';
import { filterMetrics } from '../yurthub/filters/metrics.ts';
import { AgentMetrics } from '../tunnel-agent/metrics.ts';
import { ServerMetrics } from '../tunnel-server/metrics.ts';
import { FrontMetrics } from '../yurthub/front/metrics.ts';
import { identityMetrics } from '../yurthub/identity/metrics.ts';
import { createStoreMetrics } from '../yurthub/store/metrics.ts';
import { uplinkMetrics } from '../yurthub/uplink/metrics.ts';
import { viewMetrics } from '../yurthub/views/metrics.ts';
import { writeMetrics } from '../yurthub/writes/metrics.ts';

const root = path.join(__dirname, '..');

/** Every set of metrics, by the folder whose metrics.ts makes it. */
const metricSets: Readonly<Record<string, (metrics: Metrics) => unknown>> = {
  'yurthub/front': (metrics) => new FrontMetrics(metrics),
  'yurthub/uplink': uplinkMetrics,
  'yurthub/identity': identityMetrics,
  'yurthub/views': viewMetrics,
  'yurthub/filters': filterMetrics,
  'yurthub/writes': writeMetrics,
  'yurthub/store': createStoreMetrics,
  health: (metrics) => new HealthMetrics(metrics),
  'tunnel-agent': (metrics) => new AgentMetrics(metrics),
  'tunnel-server': (metrics) => new ServerMetrics(metrics),
  'controllers/app-set': (metrics) => new AppSetMetrics(metrics),
  'controllers/tunnel-certificate': (metrics) => new TunnelCertificateMetrics(metrics),
  'controllers/eviction-guard': (metrics) => new GuardMetrics(metrics),
  'controllers/machinery': (metrics) => {
    const made = new MachineryMetrics(metrics);
    made.controller('CONTROLLER');
    made.collection('COLLECTION');
  },
};

/** Codes of Node.js, or their beginnings, that our code looks at and never gives. */
const codesOfNode = new Set([
  'ERR_BUFFER_TOO_LARGE',
  'ERR_HTTP2',
  'ERR_HTTP_REQUEST_TIMEOUT',
  'ERR_OSSL',
  'ERR_SSL',
  'ERR_TLS',
]);

/** The program's own sources, relative to the root: neither tests nor what only tests use. */
const sources = [
  'runtime',
  'kube',
  'yurthub',
  'health',
  'tunnel',
  'tunnel-agent',
  'tunnel-server',
  'controllers',
  'embedded-apiserver',
  'dropin',
  'install',
  'cli',
].flatMap((folder) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .map((file) => path.join(folder, file)),
);
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** Rows of the tables below headings that name a folder: that folder, and the text of each column without backquotes. */
function documentedRows(file: string, columns: readonly string[]): string[][] {
  const rows: string[][] = [];
  let folder: string | undefined;
  for (const line of read(file).split('\n')) {
    if (line.startsWith('## ')) folder = line.slice(3).replaceAll('`', '');
    if (folder === undefined || !line.startsWith('|') || /^[|\s:-]+$/.test(line)) continue;
    const cells = line
      .slice(1, line.lastIndexOf('|'))
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', ''));
    if (cells.length !== columns.length || cells.includes(''))
      throw new Error(`${file}: a row needs ${columns.join(', ')}: ${line}`);
    if (cells[0] !== columns[0]) rows.push([folder, ...cells]);
  }
  return rows;
}

describe('docs/metrics.md', () => {
  const rows = documentedRows('docs/metrics.md', ['metric', 'type', 'labels', 'unit', 'what it tells', 'what to do']);

  test('has every metric with its folder, type and labels, and no other', () => {
    const made = Object.entries(metricSets).flatMap(([folder, make]) => {
      const metrics = new Metrics();
      make(metrics);
      return metrics.descriptions.map(
        ({ name, type, labels }) => `${folder} ${name} ${type} ${labels.length === 0 ? '–' : labels.join(', ')}`,
      );
    });
    expect(rows.map(([folder, name, type, labels]) => `${folder} ${name} ${type} ${labels}`).sort()).toEqual(
      made.sort(),
    );
  });

  test('every value that a label has at start is explained', async () => {
    const metrics = new Metrics();
    for (const make of Object.values(metricSets)) make(metrics);
    const missing: string[] = [];
    for (const [, series = '', labels] of (await metrics.text()).matchAll(/^(\w+)\{(.*)\}/gm)) {
      const name = series.replace(/_(bucket|sum|count)$/, '');
      const text = rows.find((row) => row[1] === name)?.[5] ?? '';
      for (const [, label, value = ''] of (labels ?? '').matchAll(/(\w+)="([^"]*)"/g))
        if (label !== 'le' && !new RegExp(`(?<![\\w-])${value}(?![\\w-])`).test(text))
          missing.push(`${name}: ${value}`);
    }
    expect([...new Set(missing)]).toEqual([]);
  });

  test('no metric is made that the test above does not know', () => {
    const literals = sources
      .filter((file) => file.endsWith('metrics.ts'))
      .flatMap((file) => [...read(file).matchAll(/'(holdfast_\w+)'/g)].map((match) => match[1]!));
    const elsewhere = sources.filter(
      (file) => !file.endsWith('metrics.ts') && /\.(counter|gauge|histogram)\(/.test(read(file)),
    );
    expect(literals.sort()).toEqual(rows.map((row) => row[1]!).sort());
    expect(elsewhere).toEqual([]);
  });

  test('names begin with the daemon, counters end with _total, and no other does', () => {
    for (const [, name = '', type] of rows) {
      expect(name).toMatch(/^holdfast_(yurthub|health|tunnel_agent|tunnel_server|controllers)_/);
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
    }
  });
});

describe('docs/errors.md', () => {
  const rows = documentedRows('docs/errors.md', ['code', 'class', 'when', 'what to do']);
  const documented = rows.map(([folder, code, name]) => `${folder} ${code} ${name}`).sort();

  test('has every code with its class and folder, and no other', () => {
    const declared = sources.flatMap((file) =>
      read(file)
        .split(/^(?=(?:export )?class )/m)
        .flatMap((part) => {
          const name = /^(?:export )?class (\w+)/.exec(part)?.[1];
          const codes = /^  readonly code\b[^;]*;/m.exec(part)?.[0].match(/ERR_[A-Z0-9_]+/g) ?? [];
          return codes.map((code) => `${path.dirname(file)} ${code} ${name}`);
        }),
    );
    expect(documented).toEqual(declared.sort());
  });

  test('every code that stands anywhere in the sources is documented, or one of Node.js', () => {
    const used = new Set(sources.flatMap((file) => read(file).match(/\bERR_[A-Z0-9_]*[A-Z0-9]/g) ?? []));
    expect([...used].sort()).toEqual([...rows.map((row) => row[1]!), ...codesOfNode].sort());
  });
});

test('decisions are numbered in order, each once, in name and title', () => {
  const files = readdirSync(path.join(root, 'docs', 'decisions')).sort();
  for (const [index, file] of files.entries()) {
    const number = index + 1;
    expect(file).toMatch(new RegExp(`^${String(number).padStart(4, '0')}-[a-z0-9-]+\\.md$`));
    expect(read(path.join('docs', 'decisions', file))).toMatch(new RegExp(`^# ${number}\\. `));
  }
});
