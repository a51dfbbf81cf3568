// Certificate requests as kubelets make them, and as they must not be: with a P-256 key, signed.
import { generateKeyPairSync, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';
import {
  bitString,
  element,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  utf8String,
} from '../../runtime/x509/der.ts';

export interface RequestTemplate {
  /** [OID, text], in their order. */
  readonly subject: readonly (readonly [string, string])[];
  /** DNS names and IPv4 addresses; an IPv6 address as its 16 bytes. */
  readonly names?: readonly (string | Buffer)[];
  /** Alternative names in another form: whole elements. */
  readonly otherNames?: readonly Buffer[];
  /** Further extensions: OID and value. */
  readonly extensions?: readonly (readonly [string, Buffer])[];
  /** Further attributes: whole elements. */
  readonly attributes?: readonly Buffer[];
}

export const nodeSubject = (name: string, ...groups: readonly string[]): readonly (readonly [string, string])[] => [
  ...(groups.length === 0 ? ['system:nodes'] : groups).map((group) => ['2.5.4.10', group] as const),
  ['2.5.4.3', `system:node:${name}`],
];

/** PEM. */
export function requestPem({
  subject,
  names = [],
  otherNames = [],
  extensions = [],
  attributes = [],
}: RequestTemplate): string {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const altNames = [...names.map(altName), ...otherNames];
  const all = [...(altNames.length === 0 ? [] : [['2.5.29.17', sequence(...altNames)] as const]), ...extensions].map(
    ([oid, value]) => sequence(objectIdentifier(oid), octetString(value)),
  );
  const wanted = all.length === 0 ? [] : [sequence(objectIdentifier('1.2.840.113549.1.9.14'), set(sequence(...all)))];
  const info = sequence(
    integer(Buffer.from([0])),
    sequence(...subject.map(([oid, text]) => set(sequence(objectIdentifier(oid), utf8String(text))))),
    publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa0, ...wanted, ...attributes),
  );
  const signature = sign('sha256', info, privateKey);
  const der = sequence(info, sequence(objectIdentifier('1.2.840.10045.4.3.2')), bitString(signature));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join('\n');
}

function altName(name: string | Buffer): Buffer {
  if (Buffer.isBuffer(name)) return element(0x87, name);
  return isIPv4(name)
    ? element(0x87, Buffer.from(name.split('.').map(Number)))
    : element(0x82, Buffer.from(name, 'latin1'));
}
