// Compares the transcoder with Go on many random objects: `go run . -fuzz FILE` here first, then `node check-fuzz.mjs FILE`.
// Counts equal decodes (JSON text, apart from Go's escapes of <, >, &, U+2028, U+2029) and byte-identical encodes. Embedded raw
// JSON (RawExtension) is written anew, without the white space it came with: such objects count as the same after a decode.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { decodeObject, encodeObject } from '../transcode.ts';

const bytes = readFileSync(process.argv[2]);
const count = { objects: 0, decodeEqual: 0, decodeSameText: 0, encodeIdentical: 0, encodeSameButRawJson: 0 };
const failed = new Map();
let at = 0;
const part = () => {
  const length = bytes.readUInt32BE(at);
  at += 4 + length;
  return bytes.subarray(at - length, at);
};
const unescapeGo = (text) =>
  text.replace(/\\u(003c|003e|0026|2028|2029)/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
// Digits of 64-bit integers must not be lost in the comparison.
const exact = (text) =>
  JSON.parse(text, (_, value, context) => (typeof value === 'number' ? `${context.source}n` : value));

while (at < bytes.length) {
  const typeMeta = { apiVersion: String(part()), kind: String(part()) };
  const message = part();
  const want = unescapeGo(String(part()));
  count.objects += 1;
  const id = `${typeMeta.apiVersion} ${typeMeta.kind}`;
  const fail = (what, detail) => {
    if (!failed.has(id + what)) console.log(what, id, detail);
    failed.set(id + what, (failed.get(id + what) ?? 0) + 1);
  };
  try {
    const object = decodeObject(typeMeta, message);
    const got = JSON.stringify(object);
    if (got === want) count.decodeSameText += 1;
    if (got === want || isDeepStrictEqual(exact(got), exact(want))) count.decodeEqual += 1;
    else fail('decode', `${got.slice(0, 200)}…`);
    const encoded = encodeObject(typeMeta, object);
    if (encoded.equals(message)) count.encodeIdentical += 1;
    else if (
      /RawExtension|ControllerRevision|Device|ResourceClaim|^v1 List$/.test(id) &&
      JSON.stringify(decodeObject(typeMeta, encoded)) === got
    )
      count.encodeSameButRawJson += 1;
    else fail('encode', '');
  } catch (error) {
    fail('threw', String(error));
  }
}
console.log(count);
process.exitCode = failed.size === 0 ? 0 : 1;
