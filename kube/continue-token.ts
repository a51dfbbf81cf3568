// The token by which a list goes on, in the API server's own form (k8s.io/apiserver/pkg/storage/continue.go), so that
// what a hub began an API server can continue, and the other way round.

import { ContinueTokenError } from './errors.ts';

export interface ContinueToken {
  /** The version of the whole list; '-1': whatever is there now, at the price of consistency. */
  readonly resourceVersion: string;
  /** Where the next page begins: `NAME\0` or `NAMESPACE/NAME\0`, without a slash in front. */
  readonly start: string;
}

export const inconsistent = '-1';

const apiVersion = 'meta.k8s.io/v1';

export function encodeContinue(token: ContinueToken): string {
  // The version as a number, beyond what JavaScript's numbers hold.
  const text = `{"v":"${apiVersion}","rv":${token.resourceVersion},"start":${JSON.stringify(`/${token.start}`)}}`;
  return Buffer.from(text).toString('base64url');
}

/** Throws ContinueTokenError. */
export function decodeContinue(text: string): ContinueToken {
  const json = Buffer.from(text, 'base64url').toString();
  const { v, rv, start } = parsed(json);
  if (v !== apiVersion)
    throw new ContinueTokenError(
      `continue key is not valid: server does not recognize this encoded version ${typeof v === 'string' ? v : ''}`,
    );
  if (typeof rv !== 'number' || rv === 0)
    throw new ContinueTokenError(
      `continue key is not valid: incorrect encoded start resourceVersion (version ${apiVersion})`,
    );
  if (typeof start !== 'string' || start === '')
    throw new ContinueTokenError(`continue key is not valid: encoded start key empty (version ${apiVersion})`);
  const path = start.startsWith('/') ? start : `/${start}`;
  if (
    path
      .split('/')
      .slice(1)
      .some((part) => part === '' || part === '.' || part === '..')
  )
    throw new ContinueTokenError(`continue key is not valid: ${start}`);
  const digits = /"rv":\s*(-?\d+)/.exec(json)?.[1];
  return { resourceVersion: digits ?? String(rv), start: path.slice(1) };
}

function parsed(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // said below
  }
  throw new ContinueTokenError('continue key is not valid: it is no JSON object');
}
