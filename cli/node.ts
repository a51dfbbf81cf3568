// holdfast node: reads the settings, runs the hub until a signal says to stop.
import type { RawSettings } from '../yurthub/settings.ts';
import { readNodeSettings } from '../yurthub/settings.ts';
import { flagName, nodeSettingsSchema, type Setting } from '../yurthub/settings-schema.ts';
import type { Flag } from './flags.ts';

export const nodeFlags: readonly Flag[] = [
  {
    key: 'config',
    name: 'config',
    value: 'FILE',
    repeatable: false,
    doc: 'YAML file with settings, named as below without dashes (storeMaxBytes: 512Mi). Flags win.',
  },
  ...Object.entries<Setting>(nodeSettingsSchema).map(([key, setting]): Flag => {
    const bounds = setting.max === undefined ? '' : ` From ${setting.min ?? 0} to ${setting.max}.`;
    const fallback = setting.default === undefined ? '' : ` Default: ${setting.default.toString()}.`;
    return {
      key,
      name: flagName(key),
      value: valueHelp(setting),
      repeatable: ['urls', 'addresses', 'filters'].includes(String(setting.type)),
      doc: `${setting.doc}${bounds}${fallback}`,
    };
  }),
];

/** Resolves when the hub has stopped. Rejects with SettingsError, StoreOpenError and others that have a code. */
export async function runNodeCommand(flags: RawSettings, signal: AbortSignal, version: string): Promise<void> {
  const settings = readNodeSettings(flags);
  // Loaded only now: LevelDB is not needed to say what is wrong with the settings.
  const { runNode } = await import('../yurthub/node.ts');
  await runNode(settings, signal, version);
}

function valueHelp(setting: Setting): string | undefined {
  if (typeof setting.type === 'object') return setting.type.join('|');
  const texts = {
    string: 'TEXT',
    file: 'FILE',
    folder: 'FOLDER',
    urls: 'URL[,URL…]',
    address: 'IP:PORT',
    addresses: 'IP:PORT[,IP:PORT…]',
    filters: 'NAME[,NAME…]',
    boolean: undefined,
    bytes: 'BYTES[Ki|Mi|Gi]',
    count: 'NUMBER',
  };
  return texts[setting.type];
}

/** Throws SettingsError and SealError. Gives what is said to the person. */
export async function runRotateKeyCommand(flags: RawSettings): Promise<string> {
  const { file } = readNodeSettings(flags).storeKey;
  const { rotateKey } = await import('../yurthub/seal.ts');
  await rotateKey(file);
  return `${file} is a new key, and the one before it is ${file}.old. Restart the hub: it seals the store with the new key and then removes the old one.`;
}
