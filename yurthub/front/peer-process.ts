// Which process is at the other end of a loopback connection, by /proc: for a kubelet whose certificate has expired, and which
// therefore presents none. Linux lets nobody forge what /proc/net/tcp says of a socket's owner.
import { readdir, readFile, readlink } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import type { Peer } from './identity.ts';

export interface Endpoints {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export class PeerProcesses {
  readonly #proc: string;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(settings: { readonly procDir: string }) {
    this.#proc = settings.procDir;
  }

  /** Never rejects: what cannot be found out is 'unknown'. One look at a time: it reads every process's descriptors. */
  find(endpoints: Endpoints): Promise<Peer> {
    const found = this.#queue.then(() => this.#find(endpoints).catch((): Peer => 'unknown'));
    this.#queue = found;
    return found;
  }

  async #find(endpoints: Endpoints): Promise<Peer> {
    const owner = await this.#owner(endpoints);
    // Inode 0: the socket was closed, and nobody owns it any more.
    if (owner === undefined || owner.inode === '0') return 'unknown';
    if (owner.uid !== 0) return 'not-root';
    const holders = await this.#holders(`socket:[${owner.inode}]`);
    if (holders.length === 0) return 'unknown';
    for (const pid of holders) if (await this.#inContainer(pid)) return 'in-container';
    return 'root';
  }

  async #owner(endpoints: Endpoints): Promise<{ uid: number; inode: string } | undefined> {
    for (const table of ['tcp', 'tcp6']) {
      const text = await readFile(`${this.#proc}/net/${table}`, 'latin1').catch(() => '');
      const owner = socketOwner(text, endpoints);
      if (owner !== undefined) return owner;
    }
    return undefined;
  }

  async #holders(link: string): Promise<string[]> {
    const holders: string[] = [];
    for (const pid of await readdir(this.#proc)) {
      if (!/^\d+$/.test(pid)) continue;
      // Processes come and go meanwhile; one that cannot be read cannot be vouched for, and is then not found.
      const descriptors = await readdir(`${this.#proc}/${pid}/fd`).catch((): string[] => []);
      for (const descriptor of descriptors) {
        if ((await readlink(`${this.#proc}/${pid}/fd/${descriptor}`).catch(() => '')) !== link) continue;
        holders.push(pid);
        break;
      }
    }
    return holders;
  }

  async #inContainer(pid: string): Promise<boolean> {
    const cgroup = await readFile(`${this.#proc}/${pid}/cgroup`, 'latin1');
    // A pod with hostNetwork is root on this loopback too; its cgroup and its own pid namespace tell.
    if (isContainerCgroup(cgroup)) return true;
    return (await readlink(`${this.#proc}/${pid}/ns/pid`)) !== (await readlink(`${this.#proc}/self/ns/pid`));
  }
}

export function isContainerCgroup(cgroup: string): boolean {
  return cgroup.includes('kubepods');
}

/**
 * The row of /proc/net/tcp or tcp6 whose local end is the client and whose remote end is the hub.
 * Rows: `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`, addresses in hexadecimal.
 */
export function socketOwner(table: string, endpoints: Endpoints): { uid: number; inode: string } | undefined {
  const client = [procAddresses(endpoints.remoteAddress), procPort(endpoints.remotePort)] as const;
  const hub = [procAddresses(endpoints.localAddress), procPort(endpoints.localPort)] as const;
  const is = (field: string | undefined, [addresses, port]: readonly [string[], string]): boolean =>
    addresses.some((address) => field === `${address}:${port}`);
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (!is(fields[1], client) || !is(fields[2], hub)) continue;
    const [uid, inode] = [fields[7], fields[9]];
    if (uid !== undefined && inode !== undefined) return { uid: Number(uid), inode };
  }
  return undefined;
}

function procPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0');
}

/** The forms of an address in the tables: 32-bit words in the host's byte order, IPv4 also as IPv4 in IPv6. */
function procAddresses(address: string): string[] {
  const plain = address.replace(/^::ffff:/, '');
  const word = (bytes: number[]): string =>
    bytes
      .toReversed()
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join('')
      .toUpperCase();
  if (!isIPv6(plain)) {
    const four = word(plain.split('.').map(Number));
    return [four, `0000000000000000FFFF0000${four}`];
  }
  const [head = '', tail = ''] = plain.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [front, back] = [groups(head), groups(tail)];
  const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => 0), ...back];
  const bytes = all.flatMap((group) => [group >> 8, group & 0xff]);
  return [[0, 4, 8, 12].map((at) => word(bytes.slice(at, at + 4))).join('')];
}
