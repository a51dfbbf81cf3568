// Makes X.509 certificates (RFC 5280) with P-256 keys: the hub's own CA and what it issues on this node, and test CAs.
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  octetString,
  oid,
  pem,
  sequence,
  set,
  time,
  utf8String,
  type Der,
} from './der.ts';

/** From 1970 to the last second that X.509 knows: a node whose clock is years off must still trust its own hub. */
export const always = { notBefore: new Date(0), notAfter: new Date('9999-12-31T23:59:59Z') } as const;

export interface Subject {
  readonly commonName: string;
  readonly organization: string;
}

export interface CertificateRequest {
  readonly subject: Subject;
  readonly validity: { readonly notBefore: Date; readonly notAfter: Date };
  readonly usage: 'ca' | 'server' | 'client';
  /** Subject alternative names: IP addresses and DNS names, told apart by their form. */
  readonly names: readonly string[];
}

export interface KeyPair {
  /** PEM */
  readonly certificate: string;
  readonly key: KeyObject;
}

/** A new key and a certificate for it, signed by `issuer`, or by itself when there is none. */
export function issue(
  request: CertificateRequest,
  issuer?: { readonly subject: Subject; readonly key: KeyObject },
): KeyPair {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signingKey = issuer?.key ?? privateKey;
  const algorithm = sequence(oid('1.2.840.10045.4.3.2')); // ecdsa-with-SHA256
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))), // v3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name(issuer?.subject ?? request.subject),
    sequence(time(request.validity.notBefore), time(request.validity.notAfter)),
    name(request.subject),
    spki(privateKey),
    explicit(3, sequence(...extensions(request, keyIdentifier(privateKey), keyIdentifier(signingKey)))),
  );
  const signature = sign('sha256', body, signingKey);
  return { certificate: pem('CERTIFICATE', sequence(body, algorithm, bitString(signature))), key: privateKey };
}

export function keyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function spki(key: KeyObject): Der {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

/** Method (1) of RFC 5280 4.2.1.2 over the whole SPKI: any value that is the same for the same key does. */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash('sha1').update(spki(key)).digest();
}

function name(subject: Subject): Der {
  const attribute = (type: string, value: string): Der => set(sequence(oid(type), utf8String(value)));
  return sequence(attribute('2.5.4.10', subject.organization), attribute('2.5.4.3', subject.commonName));
}

function extensions(request: CertificateRequest, subjectKey: Buffer, issuerKey: Buffer): Der[] {
  const extension = (type: string, critical: boolean, value: Der): Der =>
    sequence(oid(type), ...(critical ? [boolean(true)] : []), octetString(value));
  const isCa = request.usage === 'ca';
  const all = [
    extension('2.5.29.19', true, sequence(...(isCa ? [boolean(true)] : []))),
    // keyCertSign and cRLSign, or digitalSignature: bits count from the top.
    extension('2.5.29.15', true, isCa ? bitString(Buffer.from([0x06]), 1) : bitString(Buffer.from([0x80]), 7)),
    extension('2.5.29.14', false, octetString(subjectKey)),
    extension('2.5.29.35', false, sequence(implicit(0, issuerKey))),
  ];
  if (!isCa)
    all.push(
      extension(
        '2.5.29.37',
        false,
        sequence(oid(request.usage === 'server' ? '1.3.6.1.5.5.7.3.1' : '1.3.6.1.5.5.7.3.2')),
      ),
    );
  if (request.names.length > 0)
    all.push(extension('2.5.29.17', false, sequence(...request.names.map(alternativeName))));
  return all;
}

function alternativeName(value: string): Der {
  if (isIPv4(value)) return implicit(7, Buffer.from(value.split('.').map(Number)));
  if (isIPv6(value)) return implicit(7, ipv6Bytes(value));
  return implicit(2, Buffer.from(value, 'latin1'));
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::');
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const front = words(head);
  const back = words(tail ?? '');
  const all = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => 0), ...back];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}
