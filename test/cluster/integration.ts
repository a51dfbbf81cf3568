// Integration suites need a real kube-apiserver, some its controllers as well. Where they cannot be had they are skipped and said
// to be; with CI=true that is a failure, because a suite that silently does not run proves nothing.
import { apiserverPrograms, controlPlanePrograms, haveAll } from './binaries.ts';
import type { Program } from './binaries.ts';

/** As `describe`, for suites that start a ControlPlane. */
export function describeWithApiserver(name: string, suite: () => void): void {
  describeWith(apiserverPrograms, name, suite);
}

/** As `describe`, for suites that start a ControlPlane with `controllers`. */
export function describeWithControlPlane(name: string, suite: () => void): void {
  describeWith(controlPlanePrograms, name, suite);
}

function describeWith(programs: readonly Program[], name: string, suite: () => void): void {
  const missing = `one of ${programs.join(', ')} is missing: npm run cluster -- build ${programs.join(' ')}`;
  if (haveAll(programs)) describe(name, suite);
  else if (process.env['CI'] === 'true') {
    describe(name, () => {
      it(`needs ${programs.join(', ')}`, () => {
        throw new Error(missing);
      });
    });
  } else {
    console.warn(`SKIPPED ${name}: ${missing}`);
    describe.skip(name, suite);
  }
}
