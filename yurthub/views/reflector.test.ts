import { watchSeconds } from './reflector.ts';

test('a watch of one object lasts for 30 to 60 minutes, any other for 5 to 10', () => {
  expect([0, 0.999].map((random) => watchSeconds({ fieldSelector: 'metadata.name=kube-root-ca.crt' }, random))).toEqual(
    [1_800, 3_598],
  );
  for (const fieldSelector of ['', 'spec.nodeName=edge1', 'metadata.name=a,spec.nodeName=b', 'metadata.name!=a'])
    expect([0, 0.999].map((random) => watchSeconds({ fieldSelector }, random))).toEqual([300, 599]);
});
