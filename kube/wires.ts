// The two wires by name.
import { jsonWire } from './json/json-wire.ts';
import { protobufWire } from './protobuf/protobuf-wire.ts';
import type { Encoding, Wire } from './wire.ts';

export function wireFor(encoding: Encoding): Wire {
  return encoding === 'protobuf' ? protobufWire : jsonWire;
}
