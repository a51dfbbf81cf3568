import net from 'node:net';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import type { JoinRequest } from '../connector.ts';
import { ServerMetrics } from '../metrics.ts';
import { DnatMode } from './dnat-mode.ts';
import type { Ruleset } from './nftables.ts';

const port = 10_250;

describe('DNAT mode', () => {
  let nodes: { name: string; addresses: string[] }[];
  let applied: Ruleset[];
  let fails: boolean;
  let released: number;
  let joined: string[];
  let mode: DnatMode;
  let stop: AbortController;
  let ended: Promise<void>;
  let tried: () => void;

  beforeEach(() => {
    nodes = [{ name: 'a', addresses: ['192.168.7.11'] }];
    applied = [];
    fails = false;
    released = 0;
    joined = [];
    tried = () => undefined;
    mode = new DnatMode(
      {
        log: nullLog,
        clock: systemClock,
        metrics: new ServerMetrics(new Metrics()),
        connector: {
          join: async ({ authority, socket }: JoinRequest) => {
            joined.push(authority);
            socket.destroy();
          },
        },
        directory: { nodesSynced: true, nodeAddresses: () => nodes, reportedNodes: () => new Map() },
        nftables: {
          clear: async () => undefined,
          replace: async (ruleset) => {
            if (!fails) applied.push(ruleset);
            tried();
            if (fails) throw new Error('not permitted');
          },
          release: async () => void (released += 1),
        },
        report: { write: async () => undefined },
        isEdge: () => true,
      },
      { port },
    );
    stop = new AbortController();
  });
  afterEach(async () => {
    stop.abort();
    await ended;
  });

  /** Until the rules have been set, or could not be. */
  async function nextTry(change: () => void): Promise<Ruleset | undefined> {
    const done = new Promise<void>((resolve) => (tried = resolve));
    change();
    await done;
    // What follows in the same turn belongs to it.
    await new Promise((resolve) => setImmediate(resolve));
    return applied.at(-1);
  }
  const start = (): void => void (ended = mode.run(stop.signal));
  const knock = async (at: number | undefined): Promise<string> => {
    const socket = net.connect(at ?? 0, '127.0.0.1').resume();
    await new Promise<void>((resolve) => socket.on('error', () => undefined).once('close', () => resolve()));
    return joined.at(-1) ?? '';
  };

  test('each address has a port of its own on loopback, which leads to the node by name', async () => {
    nodes.push({ name: 'b', addresses: ['192.168.7.12'] });
    const ruleset = await nextTry(start);
    expect([...(ruleset?.redirects.keys() ?? [])]).toEqual(['192.168.7.11', '192.168.7.12']);
    expect(await knock(ruleset?.redirects.get('192.168.7.12'))).toBe('b:10250');
    expect(await knock(ruleset?.redirects.get('192.168.7.11'))).toBe('a:10250');
  });

  test('an address that moves to another node gets another port, and the former is closed', async () => {
    const before = (await nextTry(start))?.redirects.get('192.168.7.11');
    nodes = [{ name: 'b', addresses: ['192.168.7.11'] }];
    const after = (await nextTry(() => mode.changed()))?.redirects.get('192.168.7.11');
    expect(after).not.toBe(before);
    expect(await knock(after)).toBe('b:10250');
    joined = [];
    expect(await knock(before)).toBe('');
  });

  test('when the rules cannot be set, the ports that the former rules lead to stay open', async () => {
    const before = (await nextTry(start))?.redirects.get('192.168.7.11');
    fails = true;
    nodes = [{ name: 'b', addresses: ['192.168.7.12'] }];
    await nextTry(() => mode.changed());
    expect(await knock(before)).toBe('a:10250');
  });

  test('changes that concern no address leave the rules alone', async () => {
    await nextTry(start);
    mode.changed();
    nodes = [{ name: 'a', addresses: ['192.168.7.13'] }];
    await nextTry(() => mode.changed());
    expect(applied).toHaveLength(2);
  });

  test('the rules and the ports go at the end', async () => {
    const ruleset = await nextTry(start);
    stop.abort();
    await ended;
    expect(released).toBe(1);
    joined = [];
    expect(await knock(ruleset?.redirects.get('192.168.7.11'))).toBe('');
  });
});
