// Settings that both ends of the tunnel have, as data and as what the sessions take.
import type { SettingsSchema } from '../runtime/settings.ts';
import type { Windows } from './wire.ts';

const MiB = 2 ** 20;

export const windowSettings = {
  streamWindowBytes: {
    type: 'bytes',
    default: MiB,
    min: 64 * 1024,
    max: 64 * MiB,
    doc: 'What may be on the way in one connection; 4Mi for long round trips. Also what one that nobody reads may hold in memory.',
  },
  connectionWindowBytes: {
    type: 'bytes',
    default: 16 * MiB,
    min: MiB,
    max: 256 * MiB,
    doc: 'What may be on the way in all connections between one agent and one server together.',
  },
} as const satisfies SettingsSchema;

export function windowsOf(settings: Windows): Windows {
  return {
    streamWindowBytes: settings.streamWindowBytes,
    connectionWindowBytes: settings.connectionWindowBytes,
  };
}
