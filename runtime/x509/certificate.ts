// Issues X.509 v3 certificates for P-256 keys: the hub's own CA on a node, and the throw-away one of the embedded API
// server. RFC 5280; signatures are ecdsa-with-SHA256.
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import {
  bitString,
  booleanTrue,
  element,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from './der.ts';

export interface Subject {
  readonly commonName: string;
  readonly organizations: readonly string[];
}

export interface CertificateTemplate {
  readonly subject: Subject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** A CA signs certificates and nothing else; a leaf serves, or authenticates a client. */
  readonly usage: 'ca' | 'server' | 'client';
  /** Subject alternative names: DNS names and IP addresses. */
  readonly names: readonly string[];
}

export interface Issuer {
  readonly subject: Subject;
  readonly privateKey: KeyObject;
}

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** For certificates that must stay valid whatever a host's clock says. RFC 5280 names 9999-12-31 as "no expiry". */
export const alwaysValid = {
  notBefore: new Date('1970-01-01T00:00:00Z'),
  notAfter: new Date('9999-12-31T23:59:59Z'),
} as const;

export function generateKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** PKCS#8 PEM, as tls.createSecureContext takes it. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A certificate over `publicKey`, signed by `issuer`, in PEM. A self-signed one has its own subject and key as issuer. */
export function issueCertificate(template: CertificateTemplate, publicKey: KeyObject, issuer: Issuer): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const issuerSpki = createPublicKey(issuer.privateKey).export({ type: 'spki', format: 'der' });
  const tbs = sequence(
    element(0xa0, integer(Buffer.from([2]))),
    integer(serialNumber()),
    ecdsaWithSha256(),
    nameOf(issuer.subject),
    sequence(time(template.notBefore), time(template.notAfter)),
    nameOf(template.subject),
    spki,
    element(0xa3, sequence(...extensions(template, keyIdentifier(spki), keyIdentifier(issuerSpki)))),
  );
  const signature = sign('sha256', tbs, issuer.privateKey);
  return new X509Certificate(sequence(tbs, ecdsaWithSha256(), bitString(signature))).toString();
}

/** 126 random bits, always of the same length and positive. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

const ecdsaWithSha256 = (): Buffer => sequence(objectIdentifier('1.2.840.10045.4.3.2'));

function nameOf(subject: Subject): Buffer {
  const part = (oid: string, text: string): Buffer => set(sequence(objectIdentifier(oid), utf8String(text)));
  return sequence(
    ...subject.organizations.map((organization) => part('2.5.4.10', organization)),
    part('2.5.4.3', subject.commonName),
  );
}

function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 20);
}

function extensions(template: CertificateTemplate, subjectKeyId: Buffer, issuerKeyId: Buffer): Buffer[] {
  const isCa = template.usage === 'ca';
  // keyCertSign and cRLSign, or digitalSignature: bits 5 and 6, or bit 0, counted from the most significant one.
  const keyUsage = isCa ? bitString(Buffer.from([0x06]), 1) : bitString(Buffer.from([0x80]), 7);
  const result = [
    extension('2.5.29.19', true, isCa ? sequence(booleanTrue()) : sequence()),
    extension('2.5.29.15', true, keyUsage),
    extension('2.5.29.14', false, octetString(subjectKeyId)),
    extension('2.5.29.35', false, sequence(element(0x80, issuerKeyId))),
  ];
  if (template.usage !== 'ca') {
    const purpose = template.usage === 'server' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2';
    result.push(extension('2.5.29.37', false, sequence(objectIdentifier(purpose))));
  }
  if (template.names.length > 0) result.push(extension('2.5.29.17', false, sequence(...template.names.map(altName))));
  return result;
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), ...(critical ? [booleanTrue()] : []), octetString(value));
}

function altName(name: string): Buffer {
  if (isIPv4(name)) return element(0x87, Buffer.from(name.split('.').map(Number)));
  if (isIPv6(name)) return element(0x87, ipv6Bytes(name));
  return element(0x82, Buffer.from(name, 'latin1'));
}

function ipv6Bytes(address: string): Buffer {
  // URL writes the dotted tail of a mapped address as two groups, so only hexadecimal groups and '::' are left.
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = plain.split('::');
  const groups = (text: string | undefined): string[] => (text === undefined || text === '' ? [] : text.split(':'));
  const left = groups(head);
  const right = groups(tail);
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  const bytes = Buffer.alloc(16);
  [...left, ...zeros, ...right].forEach((group, index) => bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2));
  return bytes;
}
