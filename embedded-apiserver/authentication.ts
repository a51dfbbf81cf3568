// Who a client is: the subject of a client certificate of this server's own CA, or the holder of a bearer token.
import type { PeerCertificate } from 'node:tls';

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

export class Authenticator {
  readonly #tokens = new Map<string, User>();

  addToken(token: string, user: User): void {
    this.#tokens.set(token, user);
  }

  byToken(token: string): User | undefined {
    return this.#tokens.get(token);
  }

  /** `certificate` is verified by TLS already, or undefined; it comes before a token, as in the API server. */
  identify(certificate: PeerCertificate | undefined, authorization: string | undefined): User | undefined {
    const token = /^Bearer (\S+)$/i.exec(authorization ?? '')?.[1];
    if (certificate !== undefined) {
      const { CN, O } = certificate.subject as { CN?: string | string[]; O?: string | string[] };
      const name = typeof CN === 'string' ? CN : (CN?.[0] ?? '');
      return { name, groups: [...[O ?? []].flat(), 'system:authenticated'] };
    }
    return token === undefined ? undefined : this.byToken(token);
  }
}
