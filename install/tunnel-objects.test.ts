import { tunnelObjects } from './tunnel-objects.ts';

const now = new Date('2026-01-01T00:00:00Z');

test('control planes that come are servers too, unless somebody has said which there are', () => {
  const plane = (name: string, address: string) => ({ name, addresses: [address] });
  const facts = { agents: undefined, authority: undefined, server: undefined, given: [] };
  const both = [plane('cp1', '10.0.0.1'), plane('cp2', 'fd00::2')];
  expect(tunnelObjects({ ...facts, controlPlanes: both }, now).servers).toEqual(['10.0.0.1:10262', '[fd00::2]:10262']);
  const given = tunnelObjects({ ...facts, controlPlanes: both, given: ['t.example.com:443'] }, now);
  const [agents] = given.objects.filter(({ kind }) => kind === 'ConfigMap');
  const kept = { metadata: agents!.metadata, data: agents!['data'] as Record<string, string> };
  expect(tunnelObjects({ ...facts, agents: kept, controlPlanes: both }, now).servers).toEqual(['t.example.com:443']);
});
