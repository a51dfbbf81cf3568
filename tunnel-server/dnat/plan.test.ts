import { conditionType, planConditions, planDnat, type NodeAddresses } from './plan.ts';

const edge = (name: string, ...addresses: string[]): NodeAddresses => ({ name, isEdge: true, addresses });
const cloud = (name: string, ...addresses: string[]): NodeAddresses => ({ name, isEdge: false, addresses });
const nothingOwn = (): boolean => false;

describe('the plan of DNAT mode', () => {
  test('an address of one edge node leads to it; those of cloud nodes are left alone', () => {
    const plan = planDnat([edge('a', '192.168.7.11', 'fd00::0011'), cloud('c', '10.0.0.4')], nothingOwn);
    expect([...plan.mapped]).toEqual([
      ['192.168.7.11', 'a'],
      ['fd00::11', 'a'],
    ]);
    expect(plan.refused).toEqual([]);
    expect(plan.conflicts.size).toBe(0);
  });

  test('an address of two edge nodes leads to neither, is refused, and both are told', () => {
    const plan = planDnat([edge('a', '192.168.7.11'), edge('b', '192.168.7.11', '192.168.8.2')], nothingOwn);
    expect([...plan.mapped]).toEqual([['192.168.8.2', 'b']]);
    expect(plan.refused).toEqual(['192.168.7.11']);
    expect(plan.conflicts.get('a')).toMatch(/^192\.168\.7\.11 is also the address of node b: /);
    expect(plan.conflicts.get('b')).toMatch(/^192\.168\.7\.11 is also the address of node a: /);
  });

  test('two spellings of an IPv6 address are one address', () => {
    expect(planDnat([edge('a', 'fd00::1'), edge('b', 'FD00:0:0::1')], nothingOwn).refused).toEqual(['fd00::1']);
  });

  test('an edge node does not draw the address of a cloud node, which stays reachable', () => {
    const plan = planDnat([edge('a', '10.0.0.4'), cloud('c', '10.0.0.4')], nothingOwn);
    expect(plan.mapped.size).toBe(0);
    expect(plan.refused).toEqual([]);
    expect([...plan.conflicts.keys()]).toEqual(['a']);
  });

  test("an edge node does not draw this host's own addresses, nor local ones", () => {
    const plan = planDnat([edge('a', '10.0.0.1', '127.0.0.1', '169.254.2.1')], (address) => address === '10.0.0.1');
    expect(plan.mapped.size).toBe(0);
    expect(plan.conflicts.get('a')).toMatch(/^10\.0\.0\.1 is also an address of the control plane: /);
  });

  test('many nodes with one address are named in part', () => {
    const nodes = Array.from({ length: 9 }, (_, i) => edge(`n${i}`, '192.168.1.1'));
    expect(planDnat(nodes, nothingOwn).conflicts.get('n0')).toContain('node n1, n2, n3, n4, n5 and 3 more');
  });
});

describe(`the condition ${conditionType}`, () => {
  const conflicts = new Map([['a', 'why']]);

  test('is set where it is missing or says something else', () => {
    const change = { node: 'a', status: 'True', reason: 'EqualAddresses', message: 'why' };
    expect(planConditions(conflicts, new Map([['a', undefined]]))).toEqual([change]);
    expect(planConditions(conflicts, new Map([['a', { status: 'True', message: 'before' }]]))).toEqual([change]);
    expect(planConditions(conflicts, new Map([['a', { status: 'True', message: 'why' }]]))).toEqual([]);
  });

  test('is taken back once, and never given to nodes that have no conflict', () => {
    const shown = new Map([
      ['b', { status: 'True', message: 'why' }],
      ['c', { status: 'False', message: '' }],
      ['d', undefined],
    ]);
    expect(planConditions(conflicts, shown).map(({ node, status }) => [node, status])).toEqual([['b', 'False']]);
  });
});
