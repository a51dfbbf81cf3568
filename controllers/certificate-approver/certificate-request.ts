// What a certificate request (PKCS#10, RFC 2986) asks for. Whatever it holds beyond a subject, a key and alternative names makes
// it unreadable here: an approver must not approve what it did not look at. The API server has checked its signature.
import { DerError, derElement, derElements, derObjectIdentifier } from '../../runtime/x509/der-reader.ts';

export interface CertificateRequest {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  /** IPv4 dotted, IPv6 as eight groups without leading zeros. */
  readonly addresses: readonly string[];
}

const tags = { integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, utf8: 0x0c, sequence: 0x30, set: 0x31 };
const printableString = 0x13;
const oids = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  extensions: '1.2.840.113549.1.9.14',
  altNames: '2.5.29.17',
};

/** `pem` holds one block. Throws DerError when it is no request, or one that asks for what is not looked at. */
export function parseCertificateRequest(pem: string): CertificateRequest {
  const match = /^\s*-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE REQUEST-----\s*$/.exec(
    pem,
  );
  if (match === null) throw new DerError('not one PEM block of a certificate request');
  const outer = derElements(derElement(Buffer.from(match[1]!, 'base64'), tags.sequence));
  expectTags(outer, [tags.sequence, tags.sequence, tags.bitString]);
  const [version, subject, key, attributes, ...more] = derElements(outer[0]!.content);
  if (version?.tag !== tags.integer || subject?.tag !== tags.sequence || key?.tag !== tags.sequence || more.length > 0)
    throw new DerError('not the parts of a certificate request');
  if (attributes !== undefined && attributes.tag !== 0xa0) throw new DerError('attributes that are none');
  return { ...subjectOf(subject.content), ...namesOf(attributes?.content ?? Buffer.alloc(0)) };
}

function subjectOf(name: Buffer): Pick<CertificateRequest, 'commonName' | 'organizations'> {
  const commonNames: string[] = [];
  const organizations: string[] = [];
  for (const { tag, content } of derElements(name)) {
    if (tag !== tags.set) throw new DerError('a subject that is none');
    const [type, value, ...more] = derElements(derElement(content, tags.sequence));
    if (type?.tag !== tags.oid || value === undefined || more.length > 0) throw new DerError('a subject that is none');
    if (value.tag !== tags.utf8 && value.tag !== printableString)
      throw new DerError('a subject in another kind of text');
    const oid = derObjectIdentifier(type.content);
    const text = value.content.toString('utf8');
    if (oid === oids.commonName) commonNames.push(text);
    else if (oid === oids.organization) organizations.push(text);
    else throw new DerError(`a subject with ${oid}`);
  }
  if (commonNames.length !== 1) throw new DerError('a subject that has not exactly one common name');
  return { commonName: commonNames[0]!, organizations };
}

function namesOf(attributes: Buffer): Pick<CertificateRequest, 'dnsNames' | 'addresses'> {
  const dnsNames: string[] = [];
  const addresses: string[] = [];
  const all = derElements(attributes);
  if (all.length > 1) throw new DerError('more than one attribute');
  for (const attribute of all) {
    const parts = derElements(attribute.content);
    expectTags([attribute, ...parts], [tags.sequence, tags.oid, tags.set]);
    if (derObjectIdentifier(parts[0]!.content) !== oids.extensions)
      throw new DerError('an attribute that asks for something else');
    const extensions = derElements(derElement(parts[1]!.content, tags.sequence));
    if (extensions.length > 1) throw new DerError('more than one extension');
    for (const extension of extensions) {
      const fields = derElements(extension.content);
      const value = fields.at(-1);
      const oid = fields[0];
      if (
        extension.tag !== tags.sequence ||
        oid?.tag !== tags.oid ||
        value?.tag !== tags.octetString ||
        fields.length > 3
      )
        throw new DerError('an extension that is none');
      if (derObjectIdentifier(oid.content) !== oids.altNames)
        throw new DerError('an extension that is not for alternative names');
      for (const { tag, content } of derElements(derElement(value.content, tags.sequence))) {
        if (tag === 0x82) dnsNames.push(content.toString('latin1'));
        else if (tag === 0x87) addresses.push(addressOf(content));
        else throw new DerError('an alternative name that is neither DNS name nor address');
      }
    }
  }
  return { dnsNames, addresses };
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join('.');
  if (bytes.length !== 16) throw new DerError('an address that is none');
  return Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(2 * group).toString(16)).join(':');
}

function expectTags(elements: readonly { readonly tag: number }[], wanted: readonly number[]): void {
  if (elements.length !== wanted.length || elements.some(({ tag }, i) => tag !== wanted[i]))
    throw new DerError('not the parts that were expected');
}
