// The Secrets of the tunnel, as `holdfast install` makes them, the tunnel servers mount them and the controller renews them.
import type { KeptPair } from './certificates.ts';

export const namespace = 'kube-system';
export const authorityName = 'holdfast-tunnel-ca';
export const serverName = 'holdfast-tunnel-server';

/** `data` of a Secret of the type kubernetes.io/tls. */
export function pairData({ certificate, key }: KeptPair): Record<string, string> {
  return { 'tls.crt': base64(certificate), 'tls.key': base64(key) };
}

/** Undefined where one of the two is missing. */
export function pairOf(secret: { readonly data?: Readonly<Record<string, string>> } | undefined): KeptPair | undefined {
  const text = (key: string): string | undefined => {
    const value = secret?.data?.[key];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
  };
  const certificate = text('tls.crt');
  const key = text('tls.key');
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
