// Renews the tunnel servers' certificate in its second half, for the names that it has. Agents trust the authority, which stays, and
// servers read the Secret again: nobody is restarted and no connection ends.
import { watch, type Controller, type Outcome } from '../machinery/controller.ts';
import type { Collection } from '../machinery/informer.ts';
import { withoutManagedFields, type ApiObject, type Resource } from '../machinery/resource.ts';
import type { ControllerParts } from '../registry.ts';
import { tunnelCertificates } from './certificates.ts';
import { TunnelCertificateMetrics } from './metrics.ts';
import { renewalOf } from './renewal.ts';
import { authorityName, namespace, pairData, pairOf, serverName } from './secrets.ts';

interface Secret extends ApiObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

export const secretResource: Resource = {
  group: '',
  version: 'v1',
  resource: 'secrets',
  kind: 'Secret',
  namespaced: true,
};

/** This one Secret, and no other may be listed. The authority's is read only when it is needed: its key is in no memory meanwhile. */
const serverSecret: Collection<Secret> = {
  name: 'tunnel-server-secret',
  resource: secretResource,
  selection: { namespace, fieldSelector: `metadata.name=${serverName}` },
  keep: (object) => withoutManagedFields<Secret>(object),
};

/** A clock that is set, and a Secret that came back: looked at again at the latest then. */
const longestMs = 24 * 3_600_000;

export function tunnelCertificateController({ api, clock, informers, recorder, metrics }: ControllerParts): Controller {
  const secrets = informers.of(serverSecret);
  const { expiry } = new TunnelCertificateMetrics(metrics);
  return {
    name: 'tunnel-certificate',
    watches: [watch(secrets, ({ after }) => (after === undefined ? [] : [serverName]))],
    async reconcile(_key, signal): Promise<Outcome> {
      const secret = secrets.get({ namespace, name: serverName });
      if (secret === undefined) return {};
      const now = new Date(clock.wallMs());
      const renewal = renewalOf(pairOf(secret), now);
      if (renewal.kind === 'unreadable') {
        expiry.set(0);
        const message = "the tunnel servers' certificate cannot be read: run holdfast install, which makes it anew";
        recorder.record(secretResource, secret, 'Warning', 'CertificateUnreadable', message);
        return { againAfterMs: longestMs };
      }
      expiry.set(Math.floor(renewal.expires.getTime() / 1_000));
      if (renewal.kind === 'good')
        return { againAfterMs: Math.min(longestMs, renewal.due.getTime() - now.getTime() + 1_000) };
      const authority = pairOf(await api.get<Secret>(secretResource, { namespace, name: authorityName }, signal));
      if (authority === undefined) {
        const message = `the tunnel servers' certificate runs out on ${dayOf(renewal.expires)}, and there is no Secret ${namespace}/${authorityName} to renew it with: run holdfast install, and then holdfast revert and convert on nodes`;
        recorder.record(secretResource, secret, 'Warning', 'NoAuthority', message);
        return { againAfterMs: longestMs };
      }
      const { server } = tunnelCertificates({ authority, server: pairOf(secret) }, renewal.names, now);
      // With the version of what was looked at: whoever was faster has made another one.
      const renewed = { ...secret, data: { ...secret.data, ...pairData(server) } };
      secrets.written(await api.replace(secretResource, renewed, signal));
      recorder.record(
        secretResource,
        secret,
        'Normal',
        'Renewed',
        `it would have run out on ${dayOf(renewal.expires)}`,
      );
      return { againAfterMs: longestMs };
    },
  };
}

const dayOf = (date: Date): string => date.toISOString().slice(0, 10);
