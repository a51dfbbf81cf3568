// The kernel's side of DNAT mode: one table of nftables, replaced as a whole, so that there is never half of a change. `nft`
// reads JSON from its standard input; nothing that a cluster says ever stands on a command line.
import { spawn } from 'node:child_process';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TunnelError } from '../../tunnel/errors.ts';

export interface Ruleset {
  /** The port of kubelets. */
  readonly port: number;
  /** Address, and the port on loopback that takes its place. */
  readonly redirects: ReadonlyMap<string, number>;
  /** Addresses that are answered with a reset. */
  readonly refused: readonly string[];
}

const family = 'inet';
const table = 'holdfast_tunnel';
/** Before kube-proxy's (-100): the first translation of a connection is the one that counts. */
const priority = -110;
const nftTimeoutMs = 10_000;

type Json = Readonly<Record<string, unknown>>;

/** A transaction that replaces whatever the table held. `owner` marks it as the work of one process. */
export function replaceTable(ruleset: Ruleset, owner: string): Json {
  const { port, redirects, refused } = ruleset;
  const commands: Json[] = [...deleteTable, { add: { table: { family, name: table } } }];
  commands.push(
    { add: { set: { family, table, name: ownerSet(owner), type: 'inet_service' } } },
    chain('redirect', 'nat', priority),
    chain('refuse', 'filter', 0),
  );
  for (const [version, protocol, type] of [
    [4, 'ip', 'ipv4_addr'],
    [6, 'ip6', 'ipv6_addr'],
  ] as const) {
    const to = [...redirects].filter(([address]) => net.isIP(address) === version);
    const not = refused.filter((address) => net.isIP(address) === version);
    const daddr = { payload: { protocol, field: 'daddr' } };
    // nft takes no empty list of elements.
    commands.push(
      { add: { map: { family, table, name: `kubelets${version}`, type, map: 'inet_service', ...elements(to) } } },
      { add: { set: { family, table, name: `equal${version}`, type, ...elements(not) } } },
      rule('redirect', [isTcpTo(port), { redirect: { port: { map: { key: daddr, data: `@kubelets${version}` } } } }]),
      rule('refuse', [
        isTcpTo(port),
        { match: { op: '==', left: daddr, right: `@equal${version}` } },
        { reject: { type: 'tcp reset' } },
      ]),
    );
  }
  return { nftables: commands };
}

/** Fails on no table: it is made first. */
const deleteTable: readonly Json[] = [
  { add: { table: { family, name: table } } },
  { delete: { table: { family, name: table } } },
];

const ownerSet = (owner: string): string => `owner_${owner.replaceAll(/[^A-Za-z0-9]/g, '')}`;
const elements = (elem: readonly unknown[]): Json => (elem.length === 0 ? {} : { elem });
const isTcpTo = (port: number): Json => ({
  match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: port },
});
const rule = (name: string, expr: readonly Json[]): Json => ({ add: { rule: { family, table, chain: name, expr } } });

/** Connections of this host itself: kube-apiserver's pods are in its network. */
function chain(name: string, type: string, prio: number): Json {
  return { add: { chain: { family, table, name, type, hook: 'output', prio, policy: 'accept' } } };
}

export class Nftables {
  readonly #owner: string;

  /** `owner`: of this process alone. */
  constructor({ owner }: { owner: string }) {
    this.#owner = owner;
  }

  /** Rejects with TunnelError (ERR_TUNNEL_NFTABLES). */
  async replace(ruleset: Ruleset): Promise<void> {
    await nft(replaceTable(ruleset, this.#owner));
  }

  /** Removes the table, whoever left it. Rejects with TunnelError (ERR_TUNNEL_NFTABLES). */
  async clear(): Promise<void> {
    await nft({ nftables: deleteTable });
  }

  /** Removes the table unless another process has replaced it meanwhile. Rejects with TunnelError (ERR_TUNNEL_NFTABLES). */
  async release(): Promise<void> {
    const tables = await nft({ nftables: [{ list: { sets: { family, table } } }] }).catch(() => '');
    if (tables.includes(`"${ownerSet(this.#owner)}"`)) await this.clear();
  }
}

/** What nft writes, as text. */
async function nft(input: Json): Promise<string> {
  const stdin = await unnamedFile(JSON.stringify(input));
  try {
    return await run(stdin.fd);
  } finally {
    await stdin.close();
  }
}

/** nft opens /dev/stdin by name, which works for a file and not for the socket that Node.js makes of a pipe. */
async function unnamedFile(content: string): Promise<FileHandle> {
  const folder = await mkdtemp(path.join(tmpdir(), 'holdfast-nft-'));
  try {
    const file = await open(path.join(folder, 'ruleset.json'), 'wx+', 0o600);
    await file.writeFile(content);
    return file;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(stdin: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (problem: string, cause?: unknown): void =>
      reject(
        new TunnelError(
          'ERR_TUNNEL_NFTABLES',
          `nft: ${problem}; DNAT mode needs the program nft and the capability CAP_NET_ADMIN`,
          cause,
        ),
      );
    const child = spawn('nft', ['-j', '-f', '-'], { stdio: [stdin, 'pipe', 'pipe'], timeout: nftTimeoutMs });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const)
      child[name]?.setEncoding('utf8').on('data', (text: string) => (output[name] += text));
    child.on('error', (error) => failed(error.message, error));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output.stdout);
      else failed(output.stderr.trim().slice(0, 500) || `ended with ${signal ?? code}`);
    });
  });
}
