// What nodes may reach through this server: a list that names the pool of who asks, and the target. Without an entry, nothing.
import { parseTargetRule, type TargetRule } from '../tunnel/target-rules.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { Route } from './route.ts';

/** The pool of the node that asks; undefined for every node. */
export interface OutgoingRule {
  readonly from: string | undefined;
  readonly to: TargetRule;
}

/** POOL=TARGET or *=TARGET. Throws Error with a message that says what is expected. */
export function parseOutgoingRule(text: string): OutgoingRule {
  const match = /^(\*|[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)=(.+)$/.exec(text);
  if (match === null) throw new Error(`must be POOL=HOST:PORT or *=HOST:PORT, is ${JSON.stringify(text)}`);
  const [, from = '', to = ''] = match;
  return { from: from === '*' ? undefined : from, to: parseTargetRule(to) };
}

/** `pool`: of the node that asks. `poolOf`: of the node that the target is, or whose pod. */
export function mayReach(
  pool: string | undefined,
  target: Endpoint,
  route: Route,
  poolOf: (node: string) => string | undefined,
  rules: readonly OutgoingRule[],
): boolean {
  const targetPool = route.node === undefined ? undefined : poolOf(route.node);
  return rules.some(({ from, to }) => (from === undefined || from === pool) && to.matches(target, targetPool));
}
