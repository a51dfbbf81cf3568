// Errors of the controllers as a whole. Codes are stable; messages may change.

/** OpenYurt's manager is at work in this cluster. */
export class BesideOpenYurtError extends Error {
  readonly code = 'ERR_BESIDE_OPENYURT';

  constructor(holder: string) {
    super(
      `OpenYurt's yurt-manager (${holder}) is at work in this cluster, and two managers of the same pools would undo each other's work. Stop it first: kubectl -n kube-system scale deployment yurt-manager --replicas=0, then kubectl delete validatingwebhookconfiguration yurt-manager-validating-webhook-configuration and mutatingwebhookconfiguration yurt-manager-mutating-webhook-configuration. Its CRDs and objects stay, and are taken over as they are.`,
    );
    this.name = 'BesideOpenYurtError';
  }
}
