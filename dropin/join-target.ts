// Which cluster a machine is to join, from what kubeadm printed there, and what kubeadm reads here. Pure. The token is a secret: it
// comes by a file or standard input, and is on no command line and in no message.
import { DropInError } from './errors.ts';

export interface JoinTarget {
  /** host:port of an API server. */
  readonly server: string;
  readonly token: string;
  /** Of the cluster's certificate authority, as kubeadm writes them: sha256:HEX. */
  readonly caHashes: readonly string[];
}

export interface JoinOptions {
  /** Where the text names none, or another one is meant. */
  readonly server: string | undefined;
  readonly caHashes: readonly string[];
}

export interface JoinSettings {
  /** kubeadm takes the host's name for undefined. */
  readonly nodeName: string | undefined;
  readonly ignorePreflightErrors: readonly string[];
  /** How long kubeadm looks for a cluster that knows the token. */
  readonly timeoutMs: number;
}

const tokenForm = /^[a-z0-9]{6}\.[a-z0-9]{16}$/;
const howTo = 'on the control plane: kubeadm token create --print-join-command';

/** `text` is a token alone, or all that `kubeadm token create --print-join-command` printed. Throws DropInError (ERR_DROPIN_REFUSED). */
export function joinTarget(text: string, options: JoinOptions): JoinTarget {
  const words = text.replaceAll('\\\n', ' ').trim().split(/\s+/);
  const after = (flag: string): string[] =>
    words.flatMap((word, index) =>
      word === flag ? [words[index + 1] ?? ''] : word.startsWith(`${flag}=`) ? [word.slice(flag.length + 1)] : [],
    );
  const isCommand = words.includes('join');
  const token = isCommand ? after('--token')[0] : words.length === 1 ? words[0] : undefined;
  if (token === undefined || !tokenForm.test(token))
    throw refused(`there is no bootstrap token (six characters, a dot, sixteen) in what was given; ${howTo}`);
  const server = options.server ?? (isCommand ? words[words.indexOf('join') + 1] : undefined);
  if (server === undefined || !/^[^\s:/]+:\d+$|^\[[0-9a-f:]+\]:\d+$/i.test(server))
    throw refused(
      `${server === undefined ? 'the API server is not named' : `${server} is no HOST:PORT`}: holdfast join HOST:PORT; ${howTo}`,
    );
  const caHashes = options.caHashes.length > 0 ? options.caHashes : after('--discovery-token-ca-cert-hash');
  const wrong = caHashes.find((hash) => !/^sha256:[0-9a-f]{64}$/i.test(hash));
  if (wrong !== undefined)
    throw refused(`${wrong} is no digest of a certificate authority (sha256: and 64 hexadecimal digits)`);
  if (caHashes.length === 0)
    throw refused(
      `the digest of the cluster's certificate authority is missing (--ca-cert-hash), and without it this machine would trust whoever answers; ${howTo}`,
    );
  return { server, token, caHashes };
}

/** For `kubeadm join --config`: JSON is YAML. */
export function joinConfiguration(
  target: JoinTarget,
  { nodeName, ignorePreflightErrors, timeoutMs }: JoinSettings,
): string {
  return JSON.stringify({
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'JoinConfiguration',
    discovery: {
      bootstrapToken: { apiServerEndpoint: target.server, token: target.token, caCertHashes: target.caHashes },
    },
    timeouts: { discovery: `${Math.round(timeoutMs / 1000)}s` },
    nodeRegistration: {
      ...(nodeName === undefined ? {} : { name: nodeName }),
      ...(ignorePreflightErrors.length === 0 ? {} : { ignorePreflightErrors }),
    },
  });
}

function refused(message: string): DropInError {
  return new DropInError('ERR_DROPIN_REFUSED', message);
}
