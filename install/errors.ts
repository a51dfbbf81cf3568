// Errors of installing. Codes are stable; messages may change.

/**
 * MANIFEST: the manifests that came with this command cannot be used. REFUSED: the cluster or host is not what the command needs,
 * and nothing was changed. EGRESS: the API server's manifest or kubeadm's ConfigMap is not of a form that can be edited.
 */
export class InstallError extends Error {
  override readonly name = 'InstallError';
  readonly code: 'ERR_INSTALL_MANIFEST' | 'ERR_INSTALL_REFUSED' | 'ERR_INSTALL_EGRESS';

  constructor(code: InstallError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
