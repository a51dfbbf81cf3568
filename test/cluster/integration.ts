// Integration suites need a real kube-apiserver. Where it cannot be had they are skipped and said to be; with CI=true
// that is a failure, because a suite that silently does not run proves nothing.
import { findAssets } from './binaries.ts';

/** As `describe`, for suites that start a ControlPlane. */
export function describeWithApiserver(name: string, suite: () => void): void {
  if (findAssets() !== undefined) describe(name, suite);
  else if (process.env['CI'] === 'true') {
    describe(name, () => {
      it('needs etcd, kube-apiserver and kubectl', () => {
        throw new Error(
          'etcd, kube-apiserver or kubectl is missing: npm run cluster -- build etcd kube-apiserver kubectl',
        );
      });
    });
  } else {
    console.warn(
      `SKIPPED ${name}: no etcd, kube-apiserver or kubectl (npm run cluster -- build etcd kube-apiserver kubectl)`,
    );
    describe.skip(name, suite);
  }
}
