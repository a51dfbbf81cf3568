import { parseLabelSelector } from '../kube/selectors/label-selector.ts';
import { RefusedError } from '../tunnel/refusal.ts';
import { Directory } from './directory.ts';
import { route, type RouteView } from './route.ts';

const edge = { 'holdfast.dev/tunnel': 'true' };
let directory: Directory;
let connected: Set<string>;

function node(name: string, address: string, labels: Record<string, string>, podCIDR?: string): void {
  directory.setNode({
    metadata: { name, labels },
    spec: podCIDR === undefined ? {} : { podCIDR },
    status: {
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: `${name}.Host` },
      ],
    },
  });
}

const pod = (uid: string, nodeName: string, ip: string, more: { hostNetwork?: boolean; phase?: string } = {}): void =>
  directory.setPod({
    metadata: { uid },
    spec: { nodeName, ...(more.hostNetwork === true ? { hostNetwork: true } : {}) },
    status: { phase: more.phase ?? 'Running', podIPs: [{ ip }] },
  });

beforeEach(() => {
  directory = new Directory({ edgeSelector: parseLabelSelector('holdfast.dev/tunnel=true') });
  connected = new Set(['edge1', 'edge2']);
  node('edge1', '192.168.1.10', edge, '10.244.1.0/24');
  node('edge2', '192.168.1.10', edge, '10.244.2.0/24');
  node('edge3', '192.168.3.10', edge);
  node('cloud1', '10.0.0.1', {});
});

const view: RouteView = {
  isConnected: (name) => connected.has(name),
  isEdge: (name) => directory.isEdge(name),
  cloudAddress: (name) => directory.internalAddress(name),
  nodesAt: (host) => directory.nodesAt(host),
};

function routed(host: string): string {
  try {
    const { kind, target, ...rest } = route({ host, port: 1 }, view);
    return `${kind} ${rest.node === undefined ? '' : `${rest.node} `}${target.host}`;
  } catch (error) {
    if (error instanceof RefusedError) return error.reason;
    throw error;
  }
}

test('names of nodes go to their agents, also where two sites have the same address', () => {
  expect([routed('edge1'), routed('edge2'), routed('edge3')]).toEqual([
    'node edge1 edge1',
    'node edge2 edge2',
    'not-connected',
  ]);
  expect(routed('192.168.1.10')).toBe('ambiguous');
  expect(routed('192.168.3.10')).toBe('not-connected');
  expect(routed('edge1.host')).toBe('node edge1 edge1');
});

test('cloud nodes are dialled directly, at the address that their Node has; unknown names by DNS', () => {
  expect([routed('cloud1'), routed('10.0.0.1'), routed('nosuch'), routed('10.9.9.9')]).toEqual([
    'direct cloud1 10.0.0.1',
    'direct cloud1 10.0.0.1',
    'direct nosuch',
    'direct 10.9.9.9',
  ]);
});

test('an edge node that claims the address of a cloud node does not get what is meant for it', () => {
  node('edge3', '10.0.0.1', edge);
  connected.add('edge3');
  expect(routed('10.0.0.1')).toBe('direct cloud1 10.0.0.1');
});

test("addresses of pods lead to their node, but only within that node's networks", () => {
  pod('a', 'edge1', '10.244.1.5');
  pod('b', 'edge2', '10.244.1.6');
  pod('c', 'edge1', '192.168.1.10', { hostNetwork: true });
  pod('d', 'edge3', '172.16.0.1');
  expect([routed('10.244.1.5'), routed('10.244.1.6'), routed('172.16.0.1')]).toEqual([
    'node edge1 10.244.1.5',
    'direct 10.244.1.6',
    'not-connected',
  ]);
  pod('a', 'edge1', '10.244.1.5', { phase: 'Succeeded' });
  expect(routed('10.244.1.5')).toBe('direct 10.244.1.5');
  directory.removePod('d');
  expect(routed('172.16.0.1')).toBe('direct 172.16.0.1');
});

test('a node that is deleted is known no longer', () => {
  expect(directory.exists('edge1')).toBeUndefined();
  directory.nodesSynced = true;
  expect(directory.exists('edge1')).toBe(true);
  directory.removeNode('edge2');
  expect([directory.exists('edge2'), routed('192.168.1.10')]).toEqual([false, 'node edge1 192.168.1.10']);
});
