// limit and continue: pages that make one consistent list.
import { json, protobuf, type Answer } from '../asker.ts';
import type { Ask, ContractCase, Known } from '../contract-case.ts';
import { asks } from '../contract-case.ts';
import { widgets } from '../seed.ts';

const configMaps = '/api/v1/namespaces/a/configmaps';

interface Page {
  readonly metadata: { readonly continue?: string };
}

/** All pages of a list, one after the other. */
function pagesOf(target: string, limit: number, accept = json): (ask: Ask) => Promise<Answer[]> {
  return async (ask) => {
    const pages: Answer[] = [];
    for (let token: string | undefined = ''; token !== undefined;) {
      const page: Answer = await ask(`${target}${target.includes('?') ? '&' : '?'}limit=${limit}${token}`, {
        headers: { accept },
      });
      pages.push(page);
      const next = (page.body as Page).metadata.continue;
      token = next === undefined || next === '' ? undefined : `&continue=${encodeURIComponent(next)}`;
    }
    return pages;
  };
}

function pages(name: string, count: number, target: string, limit: number, accept?: string): ContractCase {
  return { name, ask: pagesOf(target, limit, accept), statuses: Array.from({ length: count }, () => 200) };
}

/** Of a selection the API server may end with an empty page, when what is left is not selected: all pages as one. */
function together(name: string, target: string, limit: number, accept?: string): ContractCase {
  return {
    name,
    statuses: [200],
    ask: async (ask) => {
      const all = await pagesOf(target, limit, accept)(ask);
      const items = all.map(({ body }) => (body as { items: unknown[] }).items);
      for (const page of items) if (page.length > limit) throw new Error(`a page of ${page.length} for ${limit}`);
      return all.slice(0, 1).map((first) => ({ ...first, body: items.flat() }));
    },
  };
}

function token(content: object): string {
  return Buffer.from(JSON.stringify(content)).toString('base64url');
}

const foreign = (known: Known): string =>
  token({ v: 'meta.k8s.io/v1', rv: Number(known.compactedVersion), start: '/db\0' });

export const pageCases: readonly ContractCase[] = [
  pages('pages of two', 3, configMaps, 2),
  pages('pages that end even', 2, configMaps, 3),
  pages('a page that holds all', 1, configMaps, 6),
  pages('pages with labels', 2, `${configMaps}?labelSelector=app`, 3),
  together('pages of a kept selector over all namespaces', '/api/v1/configmaps?labelSelector=app%3Dweb', 1, protobuf),
  pages('pages of many, as protobuf', 3, '/api/v1/namespaces/many/configmaps', 100, protobuf),
  pages('pages of many, as JSON', 3, '/api/v1/namespaces/many/configmaps', 100),
  together('pages of some of many', '/api/v1/namespaces/many/configmaps?labelSelector=parity%3Deven', 50),
  pages('pages of a custom resource', 2, widgets('a'), 2),
  asks('a limit at any version is none', 200, `${configMaps}?limit=2&resourceVersion=0`),
  asks(
    'a limit at a version at least',
    200,
    (known) => `${configMaps}?limit=2&resourceVersion=${known.configMapVersion}`,
  ),
  asks('a negative limit is none', 200, `${configMaps}?limit=-1`),
  asks('a limit of 0 is none', 200, `${configMaps}?limit=0`),
  {
    name: 'the rest of a list without a limit',
    statuses: [200, 200],
    ask: async (ask) => {
      const first = await ask(`${configMaps}?limit=2`);
      return [first, await ask(`${configMaps}?continue=${(first.body as Page).metadata.continue}`)];
    },
  },
  {
    name: 'a continue token and a version exclude each other',
    statuses: [400],
    ask: async (ask, known) => {
      const first = await ask(`${configMaps}?limit=2`);
      const next = (first.body as Page).metadata.continue;
      return [await ask(`${configMaps}?limit=2&continue=${next}&resourceVersion=${known.configMapVersion}`)];
    },
  },
  asks('a continue token that is none', 400, `${configMaps}?limit=2&continue=abc`, {
    offline: [{ path: '0.body.message', reason: "Go's words for what is wrong with the JSON inside" }],
  }),
  asks(
    'a continue token of another format',
    400,
    `${configMaps}?limit=2&continue=${token({ v: 'v9', rv: 5, start: 'x' })}`,
  ),
  asks(
    'a continue token without a version',
    400,
    `${configMaps}?limit=2&continue=${token({ v: 'meta.k8s.io/v1', start: 'x' })}`,
  ),
  asks(
    'a continue token without a start',
    400,
    `${configMaps}?limit=2&continue=${token({ v: 'meta.k8s.io/v1', rv: 5 })}`,
  ),
  asks(
    'a continue token that leads out of the collection',
    400,
    `${configMaps}?limit=2&continue=${token({ v: 'meta.k8s.io/v1', rv: 5, start: '../secrets/x' })}`,
  ),
  asks('a continue token that has expired', 410, (known) => `${configMaps}?limit=2&continue=${foreign(known)}`),
  {
    name: 'going on after a token has expired, inconsistently',
    statuses: [410, 200],
    ask: async (ask, known) => {
      const expired = await ask(`${configMaps}?limit=2&continue=${foreign(known)}`);
      return [expired, await ask(`${configMaps}?limit=2&continue=${(expired.body as Page).metadata.continue}`)];
    },
  },
];
