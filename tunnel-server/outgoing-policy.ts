// What nodes may reach through this server: a list that names who asks, and the target. Without an entry, nothing.
import { parseTargetRule, type TargetRule } from '../tunnel/target-rules.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { Route } from './route.ts';

/** Who asks: the node is known by its certificate, the pool by a label, which a node can change on its own Node. */
export interface Asker {
  readonly node: string;
  readonly pool: string | undefined;
}

export interface OutgoingRule {
  readonly isFrom: (asker: Asker) => boolean;
  readonly to: TargetRule;
}

/** POOL=TARGET, node/NAME=TARGET or *=TARGET. Throws Error with a message that says what is expected. */
export function parseOutgoingRule(text: string): OutgoingRule {
  const match = /^(?:(\*)|node\/([^=]+)|([^=]+))=(.+)$/.exec(text);
  const [, all, node, pool, to = ''] = match ?? [];
  const name = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
  if (match === null || (all === undefined && !name.test(node ?? pool ?? '')))
    throw new Error(`must be POOL=HOST:PORT, node/NAME=HOST:PORT or *=HOST:PORT, is ${JSON.stringify(text)}`);
  return {
    isFrom: (asker) => all !== undefined || (node === undefined ? asker.pool === pool : asker.node === node),
    to: parseTargetRule(to),
  };
}

/** `poolOf`: of the node that the target is, or whose pod. */
export function mayReach(
  asker: Asker,
  target: Endpoint,
  route: Route,
  poolOf: (node: string) => string | undefined,
  rules: readonly OutgoingRule[],
): boolean {
  const targetPool = route.node === undefined ? undefined : poolOf(route.node);
  return rules.some(({ isFrom, to }) => isFrom(asker) && to.matches(target, targetPool));
}
