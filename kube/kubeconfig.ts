// Reads from a kubeconfig what the hub needs: the API server's address, its CA and the user's credential of the current
// context. Everything else in it (namespaces, extensions, proxies) is left alone, as in client-go's clientcmd.
import path from 'node:path';
import { parseYaml } from '../runtime/yaml.ts';
import { KubeconfigError } from './errors.ts';

/** A PEM text, or the file that holds it and may change (a kubelet's certificate rotates in its file). */
export type PemSource = { readonly file: string } | { readonly pem: string };

export interface Kubeconfig {
  readonly server: string;
  /** `tls-server-name`: what the serving certificate must carry instead of the server's host. */
  readonly tlsServerName: string | undefined;
  readonly certificateAuthority: PemSource | undefined;
  readonly clientCertificate: PemSource | undefined;
  readonly clientKey: PemSource | undefined;
  /** A bearer token, or the file that holds it. */
  readonly token: { readonly token: string } | { readonly tokenFile: string } | undefined;
}

type Fields = Record<string, unknown>;

/**
 * `file` names the kubeconfig in messages and is what its relative paths are relative to.
 * Throws KubeconfigError, which names the field and the fix.
 */
export function parseKubeconfig(text: string, file: string): Kubeconfig {
  const refuse = (problem: string): never => {
    throw new KubeconfigError(`kubeconfig ${file}: ${problem}`);
  };
  let root: unknown;
  try {
    root = parseYaml(text);
  } catch (error) {
    throw new KubeconfigError(`kubeconfig ${file}: not YAML: ${(error as Error).message}`);
  }
  if (!isFields(root)) return refuse('it is empty or no mapping; expected apiVersion: v1, kind: Config');
  const contextName = textOf(root, 'current-context');
  if (contextName === undefined)
    return refuse('current-context is not set; run: kubectl config use-context NAME --kubeconfig FILE');
  const named = (list: string, entry: string, name: string): Fields => {
    const found = Array.isArray(root[list])
      ? root[list].filter(isFields).find((candidate) => candidate['name'] === name)
      : undefined;
    if (found === undefined) return refuse(`${list} has no entry named ${JSON.stringify(name)}`);
    return isFields(found[entry]) ? found[entry] : refuse(`${list}[${name}].${entry} is missing`);
  };
  const context = named('contexts', 'context', contextName);
  const clusterName = textOf(context, 'cluster') ?? refuse(`contexts[${contextName}].context.cluster is not set`);
  const userName = textOf(context, 'user') ?? refuse(`contexts[${contextName}].context.user is not set`);
  const cluster = named('clusters', 'cluster', clusterName);
  const user = named('users', 'user', userName);
  const server =
    textOf(cluster, 'server') ??
    refuse(
      `clusters[${clusterName}].cluster.server is not set; set it to the API server's URL, for example https://10.0.0.1:6443`,
    );
  if (cluster['insecure-skip-tls-verify'] === true)
    refuse(
      `clusters[${clusterName}].cluster.insecure-skip-tls-verify is not supported; give certificate-authority instead`,
    );
  for (const field of ['exec', 'auth-provider', 'username'])
    if (user[field] !== undefined)
      refuse(
        `users[${userName}].user.${field} is not supported: a node has its own client certificate (usually /etc/kubernetes/kubelet.conf), or a token`,
      );

  const pem = (fields: Fields, field: string, where: string): PemSource | undefined => {
    const data = textOf(fields, `${field}-data`);
    if (data !== undefined) {
      const decoded = Buffer.from(data, 'base64').toString('utf8');
      if (!decoded.includes('-----BEGIN ')) refuse(`${where}.${field}-data is not base64 of a PEM text`);
      return { pem: decoded };
    }
    const name = textOf(fields, field);
    return name === undefined ? undefined : { file: path.resolve(path.dirname(file), name) };
  };
  const token = textOf(user, 'token');
  const tokenFile = textOf(user, 'tokenFile');
  return {
    tlsServerName: textOf(cluster, 'tls-server-name'),
    server,
    certificateAuthority: pem(cluster, 'certificate-authority', `clusters[${clusterName}].cluster`),
    clientCertificate: pem(user, 'client-certificate', `users[${userName}].user`),
    clientKey: pem(user, 'client-key', `users[${userName}].user`),
    token:
      tokenFile !== undefined
        ? { tokenFile: path.resolve(path.dirname(file), tokenFile) }
        : token !== undefined
          ? { token }
          : undefined,
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(fields: Fields, field: string): string | undefined {
  const value = fields[field];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
