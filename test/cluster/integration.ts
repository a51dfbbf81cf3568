// Integration suites need a real kube-apiserver. Where it cannot be had they are skipped and said to be; with CI=true
// that is a failure, because a suite that silently does not run proves nothing.
import { findAssets } from './binaries.ts';

/** As `describe`, for suites that start a ControlPlane. */
export function describeWithApiserver(name: string, suite: () => void): void {
  if (findAssets() !== undefined) describe(name, suite);
  else if (process.env['CI'] === 'true') {
    describe(name, () => {
      it('needs etcd and kube-apiserver', () => {
        throw new Error('etcd and kube-apiserver are missing: npm run cluster -- build etcd kube-apiserver');
      });
    });
  } else {
    console.warn(`SKIPPED ${name}: no etcd and kube-apiserver (npm run cluster -- build etcd kube-apiserver)`);
    describe.skip(name, suite);
  }
}
