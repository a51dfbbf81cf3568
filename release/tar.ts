// Writes tar archives (POSIX ustar) in memory: files, folders and symbolic links, owned by root, with time 0, so that
// the same content always has the same digest.

export type TarEntry =
  | { path: string; content: Buffer; mode?: number }
  | { path: string; folder: true; mode: number }
  | { path: string; linkTo: string };

const block = 512;

/** Paths whose last 99 bytes begin at a slash or before it, and that are no longer than 254. */
export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const content = 'content' in entry ? entry.content : Buffer.alloc(0);
    parts.push(header(entry, content.length), content, Buffer.alloc((block - (content.length % block)) % block));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function header(entry: TarEntry, size: number): Buffer {
  const { prefix, name } = splitPath(entry.path);
  const buffer = Buffer.alloc(block);
  const octal = (value: number, offset: number, length: number): number =>
    buffer.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1');
  const mode = 'mode' in entry && entry.mode !== undefined ? entry.mode : 0o644;
  buffer.write(name, 0, 'utf8');
  octal('linkTo' in entry ? 0o777 : mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  buffer.write('linkTo' in entry ? '2' : 'folder' in entry ? '5' : '0', 156, 'latin1');
  if ('linkTo' in entry) buffer.write(entry.linkTo, 157, 'utf8');
  buffer.write('ustar\0' + '00', 257, 'latin1');
  buffer.write(prefix, 345, 'utf8');
  // The checksum counts its own field as eight spaces.
  buffer.write(' '.repeat(8), 148, 'latin1');
  const sum = buffer.reduce((total, byte) => total + byte, 0);
  buffer.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return buffer;
}

/** A longer path is kept in two fields, which are joined by a slash. */
function splitPath(path: string): { prefix: string; name: string } {
  if (Buffer.byteLength(path) <= 99) return { prefix: '', name: path };
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const parts = { prefix: path.slice(0, slash), name: path.slice(slash + 1) };
    if (Buffer.byteLength(parts.name) <= 99 && Buffer.byteLength(parts.prefix) <= 154) return parts;
  }
  throw new TypeError(`path too long for ustar: ${path}`);
}
