// The types of Kubernetes whose JSON form is not their protobuf form, as their Go code converts them: Time, MicroTime,
// Duration (meta/v1), Quantity (api/resource), IntOrString (util/intstr), RawExtension and FieldsV1 (raw JSON).
import { WireError } from '../errors.ts';
import { type BackwardWriter, ProtobufReader, wireType } from './protobuf-bytes.ts';

/** Go's zero time, 0001-01-01T00:00:00Z, in seconds: it is null in JSON and an empty message in protobuf. */
const zeroTimeSeconds = -62_135_596_800;

function malformed(what: string, value: unknown): WireError {
  return new WireError('ERR_WIRE_MALFORMED', `${what} expected, not ${typeof value}`);
}

/** The two varint fields of a Timestamp, or of anything shaped so. */
function twoVarints(reader: ProtobufReader): [number | bigint, number | bigint] {
  let first: number | bigint = 0;
  let second: number | bigint = 0;
  while (reader.more) {
    const tag = reader.unsigned();
    if (tag === 8) first = reader.int64();
    else if (tag === 16) second = reader.int64();
    else reader.skip(tag & 7);
  }
  return [first, second];
}

function isoSeconds(seconds: number | bigint): string {
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) throw new WireError('ERR_WIRE_MALFORMED', 'a time is out of range');
  return date.toISOString().slice(0, -5);
}

export function decodeTime(reader: ProtobufReader): string | null {
  if (!reader.more) return null;
  const [seconds] = twoVarints(reader);
  return seconds === zeroTimeSeconds ? null : `${isoSeconds(seconds)}Z`;
}

export function decodeMicroTime(reader: ProtobufReader): string | null {
  if (!reader.more) return null;
  const [seconds, nanos] = twoVarints(reader);
  const micros = Math.floor(Number(nanos) / 1000);
  if (seconds === zeroTimeSeconds && micros === 0) return null;
  return `${isoSeconds(seconds)}.${String(micros).padStart(6, '0')}Z`;
}

/** Writes a Timestamp's fields; nothing for null and for the zero time. `withMicros` is false for Time, which has no fraction. */
export function encodeTime(writer: BackwardWriter, value: unknown, withMicros: boolean): void {
  if (value === null || value === undefined) return;
  if (typeof value !== 'string') throw malformed('a time', value);
  const ms = Date.parse(value);
  if (Number.isNaN(ms)) throw new WireError('ERR_WIRE_MALFORMED', 'a time is not in RFC 3339 form');
  const seconds = Math.floor(ms / 1000);
  const fraction = withMicros ? (/\.(\d+)/.exec(value)?.[1] ?? '') : '';
  const nanos = Number(fraction.slice(0, 6).padEnd(6, '0')) * 1000;
  if (seconds === zeroTimeSeconds && nanos === 0) return;
  writer.int64(nanos);
  writer.tag(2, wireType.varint);
  writer.int64(seconds);
  writer.tag(1, wireType.varint);
}

export function decodeDuration(reader: ProtobufReader): string {
  return formatDuration(BigInt(twoVarints(reader)[0]));
}

export function encodeDuration(writer: BackwardWriter, value: unknown): void {
  const text = value ?? '0s';
  if (typeof text !== 'string') throw malformed('a duration', value);
  writer.int64(parseDuration(text));
  writer.tag(1, wireType.varint);
}

/** time.Duration's String: '1h0m0s', '1.5s', '250ms'. */
export function formatDuration(nanoseconds: bigint): string {
  if (nanoseconds === 0n) return '0s';
  const sign = nanoseconds < 0n ? '-' : '';
  const rest = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  if (rest < 1_000n) return `${sign}${rest}ns`;
  if (rest < 1_000_000n) return `${sign}${withFraction(rest, 1_000n)}µs`;
  if (rest < 1_000_000_000n) return `${sign}${withFraction(rest, 1_000_000n)}ms`;
  const minutes = rest / 60_000_000_000n;
  const seconds = withFraction(rest % 60_000_000_000n, 1_000_000_000n);
  if (minutes === 0n) return `${sign}${seconds}s`;
  if (minutes < 60n) return `${sign}${minutes}m${seconds}s`;
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}s`;
}

function withFraction(value: bigint, unit: bigint): string {
  const digits = String(unit).length - 1;
  const fraction = String(value % unit)
    .padStart(digits, '0')
    .replace(/0+$/, '');
  return fraction === '' ? String(value / unit) : `${value / unit}.${fraction}`;
}

const durationUnits: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** time.ParseDuration, in nanoseconds. Throws WireError on other text. */
export function parseDuration(text: string): bigint {
  const body = text.replace(/^[+-]/, '');
  if (body === '0') return 0n;
  if (!/^(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/.test(body))
    throw new WireError('ERR_WIRE_MALFORMED', 'a duration is not in the form of Go');
  let total = 0n;
  for (const [, whole = '', fraction = '', unit = ''] of body.matchAll(
    /(\d*)\.?(\d*)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g,
  )) {
    const scale = durationUnits[unit] ?? 0n;
    total += BigInt(whole === '' ? '0' : whole) * scale;
    if (fraction !== '') total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
  }
  return text.startsWith('-') ? -total : total;
}

/** Field 1 of a message as a range of the reader's bytes; undefined when it is absent. */
function fieldOne(reader: ProtobufReader): Buffer | undefined {
  let found: Buffer | undefined;
  while (reader.more) {
    const tag = reader.unsigned();
    if (tag === 10) {
      const start = reader.span();
      found = reader.bytes.subarray(start, reader.at);
    } else reader.skip(tag & 7);
  }
  return found;
}

export function decodeQuantity(reader: ProtobufReader): string {
  const text = fieldOne(reader)?.toString('latin1') ?? '';
  return text === '' ? '0' : text;
}

/** The text is taken as it stands: what the API server sent is canonical already. */
export function encodeQuantity(writer: BackwardWriter, value: unknown): void {
  const text = value ?? '0';
  if (typeof text !== 'string' && typeof text !== 'number') throw malformed('a quantity', value);
  writer.string(String(text));
  writer.tag(1, wireType.bytes);
}

export function decodeIntOrString(reader: ProtobufReader): number | string {
  let isString = false;
  let number = 0;
  let text = '';
  while (reader.more) {
    const tag = reader.unsigned();
    if (tag === 8) isString = reader.int64() === 1;
    else if (tag === 16) number = int32(reader.int64());
    else if (tag === 26) text = reader.string();
    else reader.skip(tag & 7);
  }
  return isString ? text : number;
}

export function encodeIntOrString(writer: BackwardWriter, value: unknown): void {
  const given = value ?? 0;
  const isString = typeof given === 'string';
  if (!isString && typeof given !== 'number') throw malformed('an integer or a string', value);
  writer.string(isString ? given : '');
  writer.tag(3, wireType.bytes);
  writer.int64(isString ? 0 : given);
  writer.tag(2, wireType.varint);
  writer.int64(isString ? 1 : 0);
  writer.tag(1, wireType.varint);
}

/** Raw JSON in field 1. Raw bytes that are no JSON (an object in its own protobuf envelope) throw WireError. */
export function decodeRawJson(reader: ProtobufReader): unknown {
  const raw = fieldOne(reader);
  if (raw === undefined || raw.length === 0) return null;
  try {
    return JSON.parse(raw.toString()) as unknown;
  } catch {
    throw new WireError('ERR_WIRE_MALFORMED', 'an embedded object is not JSON');
  }
}

export function encodeRawJson(writer: BackwardWriter, value: unknown): void {
  if (value === null || value === undefined) return;
  writer.string(JSON.stringify(value));
  writer.tag(1, wireType.bytes);
}

export function int32(value: number | bigint): number {
  return Number(BigInt.asIntN(32, BigInt(value)));
}

// 64-bit integers beyond 2^53 are carried as raw JSON, which JSON.stringify writes digit by digit; a bigint would make it throw.
interface RawJson {
  readonly rawJSON: string;
}
const json = JSON as typeof JSON & { rawJSON(text: string): RawJson; isRawJSON(value: unknown): value is RawJson };

export function int64ToJson(value: number | bigint): number | RawJson {
  return typeof value === 'bigint' ? json.rawJSON(String(value)) : value;
}

export function int64FromJson(value: unknown): number | bigint {
  if (value === null || value === undefined) return 0;
  if (json.isRawJSON(value)) return BigInt(value.rawJSON);
  if (typeof value !== 'number' || !Number.isInteger(value)) throw malformed('an integer', value);
  return value;
}
