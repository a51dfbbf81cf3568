import { needKey, needsOf, offlineChecks, type OfflineFacts } from './offline-check.ts';
import type { Pod } from './pods.ts';

const container = { name: 'c', image: 'shop/till:1' };
const running = {
  phase: 'Running',
  conditions: [{ type: 'Ready', status: 'True' }],
  containerStatuses: [{ name: 'c', containerID: 'x', imageID: 'sha256:1', restartCount: 0 }],
};

function pod(spec: Partial<Pod['spec']>, status: Pod['status'] = running): Pod {
  return {
    metadata: { name: 'till', namespace: 'shop', uid: 'u' },
    spec: { containers: [container], ...spec },
    ...(status && { status }),
  };
}

function check(one: Pod, kept: readonly string[] = [], facts: Partial<OfflineFacts> = {}) {
  const keptMap = new Map(kept.map((key) => [key, true]));
  return offlineChecks({
    pods: [one],
    kept: keptMap,
    savedTokens: 5,
    hubStartsAtBoot: true,
    kubeletAtHub: true,
    ...facts,
  });
}

test('everything that a pod refers to by name is needed, each once, and not what is optional', () => {
  const needs = needsOf(
    pod({
      containers: [
        {
          ...container,
          envFrom: [{ secretRef: { name: 'env' } }, { configMapRef: { name: 'maybe', optional: true } }],
          env: [{ valueFrom: { secretKeyRef: { name: 'env' } } }, { valueFrom: { configMapKeyRef: { name: 'conf' } } }],
        },
      ],
      initContainers: [{ name: 'i', image: 'i', envFrom: [{ configMapRef: { name: 'init' } }] }],
      volumes: [
        { name: 'a', secret: { secretName: 'tls' } },
        {
          name: 'b',
          projected: { sources: [{ configMap: { name: 'kube-root-ca.crt' } }, { serviceAccountToken: {} }] },
        },
        { name: 'c', persistentVolumeClaim: { claimName: 'data' } },
      ],
      imagePullSecrets: [{ name: 'registry' }],
    }),
  );
  expect(needs.map(needKey).sort()).toEqual([
    'configmaps/shop/conf',
    'configmaps/shop/init',
    'configmaps/shop/kube-root-ca.crt',
    'persistentvolumeclaims/shop/data',
    'secrets/shop/env',
    'secrets/shop/tls',
  ]);
});

test('a pod whose Secret the hub does not have is named with it', () => {
  const one = pod({ volumes: [{ name: 'a', secret: { secretName: 'tls' } }] });
  expect(check(one)).toMatchObject([
    { name: 'shop/till', verdict: 'refused', cause: 'the hub does not have Secret tls' },
  ]);
  expect(check(one, ['secrets/shop/tls'])).toMatchObject([{ name: 'shop/till', verdict: 'ok' }]);
});

test('a container that never started may lack its image', () => {
  const [found] = check(pod({}, { ...running, containerStatuses: [{ name: 'c', restartCount: 0, imageID: '' }] }));
  expect(found).toMatchObject({ verdict: 'refused', cause: 'no image is known to be here for c (shop/till:1)' });
});

test('imagePullPolicy: Always stops a pod only where the hub is told to leave it so', () => {
  const one = pod({ containers: [{ ...container, imagePullPolicy: 'Always' }] });
  expect(check(one)).toMatchObject([{ verdict: 'ok' }]);
  const kept = {
    ...one,
    metadata: { ...one.metadata, annotations: { 'holdfast.dev/keep-image-pull-policy': 'true' } },
  };
  expect(check(kept)).toMatchObject([{ verdict: 'refused' }]);
});

test('a token that is not saved, a hub that does not start and a kubelet elsewhere concern all pods', () => {
  const one = pod({ volumes: [{ name: 't', projected: { sources: [{ serviceAccountToken: {} }] } }] });
  const found = check(one, [], { savedTokens: 0, hubStartsAtBoot: false, kubeletAtHub: false });
  expect(found.map(({ name, verdict }) => `${name} ${verdict}`)).toEqual([
    'hub refused',
    'kubelet refused',
    'tokens refused',
    'shop/till ok',
  ]);
});
