import { systemClock, type Clock } from '../runtime/clock.ts';
import { nullLog } from '../runtime/log.ts';
import { PodNetworks } from './pod-networks.ts';

/** Time passes at once. */
const clock: Clock = { ...systemClock, after: (_delayMs, callback) => systemClock.after(0, callback) };

describe("the networks of a node's pods", () => {
  /** Gives the answers in turn, and stops when there are no more. */
  async function learn(...answers: unknown[]): Promise<{ networks: PodNetworks; asked: string[] }> {
    const stop = new AbortController();
    const asked: string[] = [];
    const request = async (method: string, path: string): Promise<unknown> => {
      asked.push(`${method} ${path}`);
      const answer = answers.shift();
      if (answers.length === 0) stop.abort();
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const networks = new PodNetworks({ log: nullLog, clock, api: { request }, random: () => 0 }, { nodeName: 'edge1' });
    await networks.run(stop.signal);
    return { networks, asked };
  }

  test('come from the Node, both families', async () => {
    const { networks, asked } = await learn({
      spec: { podCIDR: '10.244.3.0/24', podCIDRs: ['10.244.3.0/24', 'fd00:3::/64'] },
    });
    expect(asked).toEqual(['GET /api/v1/nodes/edge1']);
    expect(['10.244.3.9', '10.244.4.9', 'fd00:3::9', 'fd00:4::9'].map((host) => networks.has(host))).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test('are asked for until the Node has some', async () => {
    const { networks, asked } = await learn(new Error('refused'), { spec: {} }, { spec: { podCIDR: '10.244.3.0/24' } });
    expect(asked).toHaveLength(3);
    expect(networks.has('10.244.3.9')).toBe(true);
  });

  test('stay when they cannot be asked for again, and change with a Node that was made anew', async () => {
    const first = { spec: { podCIDR: '10.244.3.0/24' } };
    expect((await learn(first, new Error('refused'))).networks.has('10.244.3.9')).toBe(true);
    const { networks } = await learn(first, { spec: { podCIDR: '10.244.7.0/24' } });
    expect([networks.has('10.244.3.9'), networks.has('10.244.7.9')]).toEqual([false, true]);
  });
});
