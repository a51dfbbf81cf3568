// Which encoding and which form of an answer a client asks for by its Accept header, decided as kube-apiserver does:
// k8s.io/apiserver/pkg/endpoints/handlers/negotiation/negotiate.go on top of github.com/munnerz/goautoneg.
import type { Encoding } from './wire.ts';

/** What the object is to be turned into; '' is the plain object or list. */
export type AcceptForm = '' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList';

export interface Negotiated {
  /** Of the clause that wins; undefined when neither protobuf nor JSON is acceptable (the API server: 406). */
  readonly encoding: Encoding | undefined;
  readonly as: AcceptForm;
  /** Whether the winning clause or a later one takes the plain form, and in which encoding. */
  readonly plainAcceptable: boolean;
  readonly plain: Encoding | undefined;
}

interface Clause {
  readonly type: string;
  readonly subtype: string;
  readonly q: number;
  readonly params: ReadonlyMap<string, string>;
}

const subtypes: Record<Encoding, string> = { json: 'json', protobuf: 'vnd.kubernetes.protobuf' };

/**
 * `served` are the encodings that the resource has, in the server's order of preference: custom resources have JSON
 * only. YAML and CBOR are passed over, as the API server passes over what it does not serve.
 */
export function negotiate(accept: string | undefined, served: readonly Encoding[] = ['json', 'protobuf']): Negotiated {
  if (accept === undefined || accept === '') return plainOnly(served[0]);
  let first: { encoding: Encoding; as: AcceptForm } | undefined;
  for (const clause of parseAccept(accept)) {
    for (const encoding of served) {
      const as = formOf(clause, encoding);
      if (as === undefined) continue;
      if (as === '')
        return first === undefined ? plainOnly(encoding) : { ...first, plainAcceptable: true, plain: encoding };
      first ??= { encoding, as };
      break;
    }
  }
  return first === undefined ? plainOnly(undefined) : { ...first, plainAcceptable: false, plain: undefined };
}

function plainOnly(encoding: Encoding | undefined): Negotiated {
  return { encoding, as: '', plainAcceptable: encoding !== undefined, plain: encoding };
}

/** The form that a clause takes in this encoding, undefined if it does not take the encoding at all. */
function formOf(clause: Clause, encoding: Encoding): AcceptForm | undefined {
  const { type, subtype, params } = clause;
  const matches =
    (type === 'application' && (subtype === subtypes[encoding] || subtype === '*')) ||
    (type === '*' && subtype === '*');
  if (!matches) return undefined;
  const stream = params.get('stream') ?? '';
  const serverVersion = params.get('sv') ?? '';
  if ((stream !== '' && stream !== 'watch') || (serverVersion !== '' && serverVersion !== 'v1')) return undefined;
  if (!params.has('as') && !params.has('g') && !params.has('v')) return '';

  const version = params.get('v');
  if (params.get('g') !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return undefined;
  const as = params.get('as');
  if (as === 'Table') return encoding === 'json' ? as : undefined;
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? as : undefined;
}

/** The clauses in the order in which the API server tries them. Clauses that cannot be read are left out. */
function parseAccept(header: string): Clause[] {
  const clauses: Clause[] = [];
  for (const part of header.split(',')) {
    const [range = '', ...settings] = part.split(';');
    const [type = '', subtype = '', ...rest] = range.split('/').map((word) => word.trim());
    if (rest.length > 0 || (subtype === '' && type !== '*')) continue;
    let q = 1;
    const params = new Map<string, string>();
    for (const setting of settings) {
      const [key = '', value = '', ...more] = setting.split('=');
      if (value === '' || more.length > 0) continue;
      // As in Go, a q that is no plain number, white space included, counts as 0.
      if (key.trim() === 'q') q = value === value.trim() ? Number(value) || 0 : 0;
      else params.set(key.trim(), value.trim());
    }
    clauses.push({ type, subtype: subtype === '' ? '*' : subtype, q, params });
  }
  return sortAsGoautoneg(clauses);
}

/**
 * goautoneg's order is not a total one: a lower q does not move a clause behind one with a wildcard. So the result is
 * that of Go's sort for short slices, an insertion sort. A q of 0 refuses nothing.
 */
function sortAsGoautoneg(clauses: Clause[]): Clause[] {
  for (let from = 1; from < clauses.length; from++) {
    for (let at = from; at > 0; at--) {
      const left = clauses[at - 1];
      const right = clauses[at];
      if (left === undefined || right === undefined || !goesBefore(right, left)) break;
      clauses[at - 1] = right;
      clauses[at] = left;
    }
  }
  return clauses;
}

function goesBefore(a: Clause, b: Clause): boolean {
  return a.q > b.q || (a.type !== '*' && b.type === '*') || (a.subtype !== '*' && b.subtype === '*');
}
