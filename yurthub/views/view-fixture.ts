// For tests of one view: config maps of the namespace `shop` in JSON, on a store in a folder of its own, fed as a reflector feeds it.
import path from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { jsonWire as wire } from '../../kube/json/json-wire.ts';
import { openStore, type OpenedStore } from '../store/level-store.ts';
import type { ViewKey } from '../types.ts';
import { Presenter } from './presenter.ts';
import type { View } from './view.ts';

export const configMapsOfShop: ViewKey = {
  group: '',
  version: 'v1',
  resource: 'configmaps',
  namespace: 'shop',
  labelSelector: '',
  fieldSelector: '',
  encoding: 'json',
};

/** Hides nothing at rest. */
export const plainCipher = {
  hides: (): boolean => false,
  protect: (_of: unknown, _key: string, record: Buffer): Buffer => record,
  reveal: (_of: unknown, _key: string, record: Buffer): Buffer => record,
};

/** Shows objects as the cloud has them, but for what a filter makes of them. */
export function presenterWith(...filters: ConstructorParameters<typeof Presenter>[0]['filters']): Presenter {
  return new Presenter({
    overlay: () => ({ concerns: () => false, lookup: () => undefined }),
    filters,
    cloudSaw: () => undefined,
    failed: () => undefined,
  });
}

export function openStoreIn(folder: string): Promise<OpenedStore> {
  const parts = { log: nullLog, metrics: new Metrics(), clock: systemClock };
  return openStore(parts, { directory: path.join(folder, 'store'), maxBytes: 1 << 30 });
}

/** Makes the view complete by a list, in pieces of at most `pieceBytes`; what the API server would have sent. */
export async function list(
  view: View,
  resourceVersion: string,
  items: readonly object[],
  pieceBytes = Number.POSITIVE_INFINITY,
): Promise<string> {
  const text = `${JSON.stringify({ kind: 'ConfigMapList', apiVersion: 'v1', metadata: { resourceVersion }, items })}\n`;
  const body = Buffer.from(text);
  const load = view.beginList(wire);
  const scanner = wire.listScanner({ maxItemBytes: 1 << 20 });
  for (let at = 0; at < body.length; at += pieceBytes) await load.add(scanner.push(body.subarray(at, at + pieceBytes)));
  await view.finishList(load, scanner.end());
  return text;
}

export async function event(view: View, type: string, object: object): Promise<void> {
  const text = `${JSON.stringify({ type, object: { kind: 'ConfigMap', apiVersion: 'v1', ...object } })}\n`;
  await view.apply(wire.watchScanner({ maxFrameBytes: 1 << 20 }).push(Buffer.from(text)));
}
