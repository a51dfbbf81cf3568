import { mayReach, parseOutgoingRule } from './outgoing-policy.ts';

describe('what nodes may reach through the server', () => {
  const pools: Readonly<Record<string, string>> = { edge1: 'hangzhou', edge2: 'shanghai' };
  const rules = [
    'hangzhou=registry.example.com:443',
    '*=10.96.0.0/16:443',
    'hangzhou=@shanghai:9100',
    'node/edge2=db.example.com:5432',
  ].map(parseOutgoingRule);
  const asks = (from: string, host: string, port: number, node?: string): boolean =>
    mayReach(
      { node: from, pool: pools[from] },
      { host, port },
      { kind: 'direct', node, target: { host, port } },
      (name) => pools[name],
      rules,
    );

  test('a rule holds for the nodes of its pool, and * for all', () => {
    expect(asks('edge1', 'registry.example.com', 443)).toBe(true);
    expect(asks('edge2', 'registry.example.com', 443)).toBe(false);
    expect(asks('edge2', '10.96.0.1', 443)).toBe(true);
    expect(asks('unpooled', '10.96.0.1', 443)).toBe(true);
    expect(asks('unpooled', 'registry.example.com', 443)).toBe(false);
  });

  test('a rule for a node holds for it alone', () => {
    expect(asks('edge2', 'db.example.com', 5432)).toBe(true);
    expect(asks('edge1', 'db.example.com', 5432)).toBe(false);
  });

  test('@POOL is the pool of the node where the target is', () => {
    expect(asks('edge1', '10.244.2.7', 9100, 'edge2')).toBe(true);
    expect(asks('edge1', '10.244.1.7', 9100, 'edge1')).toBe(false);
    expect(asks('edge2', '10.244.2.7', 9100, 'edge2')).toBe(false);
  });

  test.each(['registry.example.com:443', '=a:1', 'Pool=a:1', 'a=b', '*', 'node/=a:1', 'a/b=a:1'])(
    '%p is no rule',
    (text) => {
      expect(() => parseOutgoingRule(text)).toThrow(/^must be/);
    },
  );
});
