import { parseTargetRule } from './target-rules.ts';
import { parseTarget } from './target.ts';

describe('a rule for targets', () => {
  const allows = (rule: string, target: string, pool?: string): boolean =>
    parseTargetRule(rule).matches(parseTarget(target), pool);

  test.each([
    ['registry.example.com:443', 'registry.example.com:443', true],
    ['Registry.example.com:443', 'REGISTRY.example.com:443', true],
    ['registry.example.com:443', 'registry.example.com:80', false],
    ['registry.example.com:443', 'a.registry.example.com:443', false],
    ['*.example.com:*', 'a.b.example.com:1', true],
    ['*.example.com:443', 'example.com:443', false],
    ['*.example.com:443', 'evilexample.com:443', false],
    ['10.96.0.0/16:443', '10.96.7.1:443', true],
    ['10.96.0.0/16:443', '10.97.7.1:443', false],
    ['10.0.0.7:*', '10.0.0.7:22', true],
    ['10.0.0.7:*', '10.0.0.8:22', false],
    ['[fd00::/64]:443', '[fd00::1]:443', true],
    ['edge2:9100', 'edge2:9100', true],
  ])('%s, asked for %s: %s', (rule, target, expected) => {
    expect(allows(rule, target)).toBe(expected);
  });

  test('@POOL matches by the pool of the node that is the target, never by a name that looks like it', () => {
    expect(allows('@shanghai:9100', 'edge2:9100', 'shanghai')).toBe(true);
    expect(allows('@shanghai:9100', '10.244.2.7:9100', 'shanghai')).toBe(true);
    expect(allows('@shanghai:9100', 'edge2:9100', 'hangzhou')).toBe(false);
    expect(allows('@shanghai:9100', 'shanghai:9100')).toBe(false);
  });

  test('addresses that mean something else on every host are never matched', () => {
    for (const target of ['127.0.0.1:443', '169.254.169.254:443', '0.0.0.0:443', '[::1]:443', '[::ffff:127.0.0.1]:443'])
      expect([target, allows('0.0.0.0/0:*', target) || allows('::/0:*', target)]).toEqual([target, false]);
  });

  test.each(['', 'host', 'host:', 'host:0', 'host:65536', 'host:x', '10.0.0.0/33:1', 'a b:1', '@:1', '*:1', '*.:1'])(
    '%p is none',
    (rule) => {
      expect(() => parseTargetRule(rule)).toThrow(/must|with at most/);
    },
  );
});
