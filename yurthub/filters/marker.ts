// A cheap look before an object is decoded.
import type { Encoding, Wire } from '../../kube/wire.ts';

/** A text as it stands in objects that have it as a whole value: with its length before it, or in quotes. */
export class Marker {
  readonly #forms: Readonly<Record<Encoding, Buffer>>;

  /** At most 127 bytes, so that the length is one byte. Longer ones are looked for without it. */
  constructor(text: string) {
    const bytes = Buffer.from(text);
    const protobuf = bytes.length < 128 ? Buffer.concat([Buffer.from([bytes.length]), bytes]) : bytes;
    this.#forms = { protobuf, json: Buffer.from(JSON.stringify(text)) };
  }

  /** True for each object that has the text, and for hardly any other. */
  mayBeIn(wire: Wire, bytes: Buffer): boolean {
    return bytes.includes(this.#forms[wire.encoding]);
  }
}
