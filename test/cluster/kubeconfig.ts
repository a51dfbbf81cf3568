// A kubeconfig as text. JSON is YAML, and every Kubernetes program reads it.

export interface KubeconfigParts {
  server: string;
  /** PEM, or the path of a file. */
  ca: string;
  user: string;
  /** PEM, or the path of a file; a path stays a path, so that a rotated file is read again. */
  certificate: string;
  key: string;
}

export function kubeconfigText(parts: KubeconfigParts): string {
  const entry = (name: string, value: string): Record<string, string> =>
    value.startsWith('-----BEGIN') ? { [`${name}-data`]: Buffer.from(value).toString('base64') } : { [name]: value };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'holdfast', cluster: { server: parts.server, ...entry('certificate-authority', parts.ca) } }],
    users: [
      {
        name: parts.user,
        user: { ...entry('client-certificate', parts.certificate), ...entry('client-key', parts.key) },
      },
    ],
    contexts: [{ name: 'holdfast', context: { cluster: 'holdfast', user: parts.user } }],
    'current-context': 'holdfast',
  };
  return `${JSON.stringify(config, null, 1)}\n`;
}
