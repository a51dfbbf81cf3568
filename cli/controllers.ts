// holdfast controllers: flags from the table of settings. The daemon is a bundle of its own: what it needs to reach a cluster in
// every way that a kubeconfig knows would cost each node memory for nothing.
import { controllersSettingsSchema, readControllersSettings } from '../controllers/settings.ts';
import { createLog } from '../runtime/log.ts';
import type { RawSettings } from '../runtime/settings.ts';
import type { CommandLineParts } from './command-line.ts';
import { settingsFlags } from './flags.ts';

export const controllersFlags = settingsFlags(controllersSettingsSchema, 'requestsPerSecond: 50');

/** Resolves when the controllers have stopped and the Lease is released. Rejects with SettingsError and others that have a code. */
export async function runControllersCommand(
  flags: RawSettings,
  parts: Pick<CommandLineParts, 'signal' | 'version'>,
): Promise<void> {
  const settings = readControllersSettings(flags);
  const { runControllers } = await import('../controllers/run.ts');
  await runControllers(settings, createLog(settings.logLevel), parts.version, parts.signal);
}
