// Writes the few DER forms that a certificate needs (X.690): node:crypto has keys and signatures but makes no certificates,
// and node-forge knows no EC keys.

export type Der = Buffer;

function length(bytes: number): Buffer {
  if (bytes < 0x80) return Buffer.from([bytes]);
  const digits: number[] = [];
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Buffer.from([0x80 | digits.length, ...digits]);
}

/** One tag-length-value; constructed if the tag says so. */
export function tlv(tag: number, ...content: readonly Buffer[]): Der {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([tag]), length(body.length), body]);
}

export const sequence = (...content: readonly Der[]): Der => tlv(0x30, ...content);
export const set = (...content: readonly Der[]): Der => tlv(0x31, ...content);
export const octetString = (content: Buffer): Der => tlv(0x04, content);
export const utf8String = (text: string): Der => tlv(0x0c, Buffer.from(text, 'utf8'));
export const boolean = (value: boolean): Der => tlv(0x01, Buffer.from([value ? 0xff : 0]));
/** [number] EXPLICIT, constructed. */
export const explicit = (number: number, ...content: readonly Der[]): Der => tlv(0xa0 | number, ...content);
/** [number] IMPLICIT, primitive. */
export const implicit = (number: number, content: Buffer): Der => tlv(0x80 | number, content);

/** A non-negative INTEGER from big-endian bytes, in the shortest form. */
export function integer(bytes: Buffer): Der {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at += 1;
  const digits = bytes.subarray(at);
  // A set top bit would make the number negative.
  return tlv(0x02, ...((digits[0] ?? 0) & 0x80 ? [Buffer.from([0])] : []), digits);
}

/** A BIT STRING; `unusedBits` low bits of the last byte do not count. */
export const bitString = (content: Buffer, unusedBits = 0): Der => tlv(0x03, Buffer.from([unusedBits]), content);

/** An OBJECT IDENTIFIER from its dotted form. */
export function oid(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let high = arc >>> 7; high > 0; high >>>= 7) groups.unshift((high & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

/** A Time by RFC 5280 4.1.2.5: UTCTime from 1950 through 2049, GeneralizedTime otherwise. Seconds are the finest unit. */
export function time(at: Date): Der {
  const digits = at
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-T:]/g, '');
  const year = at.getUTCFullYear();
  return year >= 1950 && year < 2050 ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
}

export function pem(label: string, der: Der): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
