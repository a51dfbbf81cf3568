import type { Informer } from './machinery/informer.ts';
import type { Change } from './machinery/object-cache.ts';
import type { ApiObject } from './machinery/resource.ts';
import { nodes, watchNodes, type Node } from './nodes.ts';

function edge(version: string, heartbeat: string, ready = 'True'): Node {
  const conditions = [
    { type: 'Ready', status: ready, lastHeartbeatTime: heartbeat, lastTransitionTime: '2026-11-21T10:00:00Z' },
    { type: 'DiskPressure', status: 'False', lastHeartbeatTime: heartbeat },
  ];
  const status = { addresses: [], conditions, nodeInfo: { bootID: 'b1', kernelVersion: '6.1' }, images: [{}] };
  const metadata = { name: 'edge', uid: 'u', resourceVersion: version, managedFields: [{}] };
  return nodes.keep({ metadata, spec: { podCIDR: '10.0.0.0/24' }, status } as ApiObject);
}

/** Keys that a watch gives for one change. */
function wakes(before: Node | undefined, after: Node | undefined): string[] {
  const keys: string[] = [];
  const informer = {
    whenSynced: () => Promise.resolve(),
    subscribe: (told: (change: Change<Node>) => void) => {
      told({ key: 'edge', before, after });
      return () => undefined;
    },
  } as unknown as Informer<Node, 'pool'>;
  watchNodes(informer, ({ key }) => [key]).subscribe((key) => void keys.push(key));
  return keys;
}

test('of a Node, what controllers read is kept: of all its heartbeats one', () => {
  expect(edge('1', '2026-11-21T12:00:00Z')).toEqual({
    metadata: { name: 'edge', uid: 'u', resourceVersion: '1' },
    spec: {},
    status: {
      addresses: [],
      conditions: [
        { type: 'Ready', status: 'True', lastTransitionTime: '2026-11-21T10:00:00Z' },
        { type: 'DiskPressure', status: 'False' },
      ],
      bootID: 'b1',
      heartbeat: '2026-11-21T12:00:00Z',
    },
  });
});

test('a heartbeat alone wakes nobody; with something else, or on a node that comes or goes, it does', () => {
  const before = edge('1', '2026-11-21T12:00:00Z');
  expect(wakes(before, edge('2', '2026-11-21T12:05:00Z'))).toEqual([]);
  expect(wakes(before, edge('2', '2026-11-21T12:05:00Z', 'Unknown'))).toEqual(['edge']);
  expect(wakes(before, edge('2', '2026-11-21T12:00:00Z', 'Unknown'))).toEqual(['edge']);
  expect(wakes(undefined, before)).toEqual(['edge']);
  expect(wakes(before, undefined)).toEqual(['edge']);
});
