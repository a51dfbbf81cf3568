// Reads DER (X.690) strictly: one way to write each thing, nothing left over. What is not understood is refused, since whoever
// reads a request otherwise than its signer does can be deceived.

export class DerError extends Error {
  readonly code = 'ERR_DER';

  constructor(message: string) {
    super(message);
    this.name = 'DerError';
  }
}

export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
}

/** The elements of a content, one after the other, to its end. Throws DerError. */
export function derElements(bytes: Buffer): DerElement[] {
  const elements: DerElement[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at]!;
    if ((tag & 0x1f) === 0x1f) throw new DerError('a tag of several bytes');
    const { length, start } = lengthAt(bytes, at + 1);
    if (start + length > bytes.length) throw new DerError('an element ends beyond its container');
    elements.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return elements;
}

/** The only element of `bytes`, which has to have this tag. Throws DerError. */
export function derElement(bytes: Buffer, tag: number): Buffer {
  const elements = derElements(bytes);
  const [first] = elements;
  if (elements.length !== 1 || first?.tag !== tag) throw new DerError(`not one element of tag ${tag.toString(16)}`);
  return first.content;
}

/** In dotted form. Throws DerError. */
export function derObjectIdentifier(content: Buffer): string {
  const arcs: number[] = [];
  let value = 0;
  for (const [index, byte] of content.entries()) {
    if (value === 0 && byte === 0x80) throw new DerError('an object identifier with a leading zero');
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER / 128) throw new DerError('an object identifier that is too large');
    if ((byte & 0x80) !== 0) {
      if (index === content.length - 1) throw new DerError('an object identifier that breaks off');
      continue;
    }
    if (arcs.length === 0) arcs.push(...(value < 80 ? [Math.floor(value / 40), value % 40] : [2, value - 80]));
    else arcs.push(value);
    value = 0;
  }
  if (arcs.length === 0) throw new DerError('an empty object identifier');
  return arcs.join('.');
}

function lengthAt(bytes: Buffer, at: number): { length: number; start: number } {
  const first = bytes[at];
  if (first === undefined) throw new DerError('an element without length');
  if (first < 0x80) return { length: first, start: at + 1 };
  const count = first & 0x7f;
  if (count === 0 || count > 3 || at + 1 + count > bytes.length) throw new DerError('a length that is none');
  const length = bytes.readUIntBE(at + 1, count);
  if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw new DerError('a length that is not in its shortest form');
  return { length, start: at + 1 + count };
}
