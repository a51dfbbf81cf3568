// holdfast node: reads the settings, runs the hub until a signal says to stop, and the tunnel agent beside it if asked to.
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { RawSettings } from '../yurthub/settings.ts';
import { readNodeSettings } from '../yurthub/settings.ts';
import { flagName, nodeSettingsSchema, type Setting } from '../yurthub/settings-schema.ts';
import type { CommandLineParts } from './command-line.ts';
import type { Flag } from './flags.ts';
import { agentBesideHub } from './tunnel.ts';

export const hubFlags: readonly Flag[] = [
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

export const nodeFlags: readonly Flag[] = [
  ...hubFlags,
  {
    key: 'tunnelConfig',
    name: 'tunnel-config',
    value: 'FILE',
    repeatable: false,
    doc: 'YAML file with the settings of holdfast tunnel-agent: the agent then runs in this process as well.',
  },
];

/** Resolves when hub and agent have stopped. Rejects with SettingsError, StoreOpenError and others that have a code. */
export async function runNodeCommand(
  { tunnelConfig, ...flags }: RawSettings,
  parts: Pick<CommandLineParts, 'signal' | 'version' | 'proxy'>,
): Promise<void> {
  const settings = readNodeSettings(flags);
  const agent = typeof tunnelConfig === 'string' ? agentBesideHub(tunnelConfig, parts) : undefined;
  // Loaded only now: LevelDB is not needed to say what is wrong with the settings.
  const { runNode } = await import('../yurthub/node.ts');
  // The agent ends with the hub, however that ends; the hub never ends for the agent.
  using stop = new LinkedAbort(parts.signal);
  const beside = agent?.(stop.signal);
  try {
    await runNode(settings, parts.signal, parts.version);
  } finally {
    stop.abort();
    await beside;
  }
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
