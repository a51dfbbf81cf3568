// Small reads that are not cached: what a proxy costs per request, and what it adds to the delay.
import { cpuMs } from '../process-cost.ts';
import { getConnections, getEncodings } from '../rows.ts';
import type { Encoding } from '../load-tool.ts';
import { paths } from '../seed.ts';
import type { Way } from '../ways.ts';
import type { Context } from './measurement.ts';
import { eachWay } from './measurement.ts';

interface GetResult {
  requests: number;
  errors: number;
  ratePerSecond: number;
  p99Ms: number;
}

interface Form {
  id: string;
  connections: number;
  encoding: Encoding;
  protocol: 'h1' | 'h2';
}

const forms: readonly Form[] = [
  ...getConnections.flatMap((connections) =>
    getEncodings.map((encoding) => ({
      id: `get-${connections}-${encoding}`,
      connections,
      encoding,
      protocol: 'h2' as const,
    })),
  ),
  { id: 'get-16-json-h1', connections: 16, encoding: 'json', protocol: 'h1' },
];

export async function measureSmallGet(context: Context): Promise<void> {
  await eachWay(context, async (way) => {
    await warmUp(context, way);
    for (const form of forms) await measureForm(context, way, form);
  });
}

/** How many requests it takes until a process has compiled what it runs most; and how long they may take on a slow machine. */
const warmRequests = 8_000;
const warmUpMs = 60_000;

/** Load that is not counted: a process that has just started compiles, and a hub on a node has run for days. */
async function warmUp({ bed, scale }: Context, way: Way): Promise<void> {
  const sinceMs = performance.now();
  for (let requests = 0; requests < warmRequests && performance.now() - sinceMs < warmUpMs;) {
    await using run = await bed.load.prepare('get', way, bed.identity, {
      path: paths.smallObject,
      connections: 16,
      duration: `${scale.warmUpSeconds}s`,
    });
    run.go();
    requests += (await run.result<GetResult>()).requests;
  }
}

async function measureForm({ bed, samples, scale }: Context, way: Way, form: Form): Promise<void> {
  await using run = await bed.load.prepare('get', way, bed.identity, {
    path: paths.smallObject,
    connections: form.connections,
    accept: form.encoding,
    protocol: form.protocol,
    duration: `${scale.getSeconds}s`,
  });
  const before = way.pid === undefined ? 0 : cpuMs(way.pid);
  run.go();
  const result = await run.result<GetResult>();
  if (result.errors > 0) throw new Error(`${form.id} through ${way.variant}: ${result.errors} requests failed`);
  if (way.pid !== undefined) {
    const usedMs = cpuMs(way.pid) - before;
    samples.add(`${form.id}-cpu`, way.variant, (usedMs * 1000) / result.requests);
  }
  samples.add(`${form.id}-rate`, way.variant, result.ratePerSecond);
  samples.add(`${form.id}-p99`, way.variant, result.p99Ms);
}
