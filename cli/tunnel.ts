// holdfast tunnel-server and tunnel-agent: flags from the tables of settings; each daemon is loaded only when it runs.
import { agentSettingsSchema, readAgentSettings } from '../tunnel-agent/settings.ts';
import { readServerSettings, serverSettingsSchema } from '../tunnel-server/settings.ts';
import { delay, systemClock } from '../runtime/clock.ts';
import { createLog } from '../runtime/log.ts';
import {
  flagName,
  isRepeatable,
  valueHelp,
  type RawSettings,
  type Setting,
  type SettingsSchema,
} from '../runtime/settings.ts';
import type { CommandLineParts } from './command-line.ts';
import type { Flag } from './flags.ts';

export const tunnelAgentFlags = flagsOf(agentSettingsSchema);
export const tunnelServerFlags = flagsOf(serverSettingsSchema);

/** Resolves when the agent has stopped. Rejects with InvalidSettingsError and others that have a code. */
export async function runTunnelAgentCommand(flags: RawSettings, parts: CommandLineParts): Promise<void> {
  const settings = readAgentSettings(flags, parts.proxy);
  const { runTunnelAgent } = await import('../tunnel-agent/run.ts');
  await runTunnelAgent(settings, createLog(settings.logLevel), parts.version, parts.signal);
}

/** How long after the agent could not start it is started again. */
const agentRetryMs = 10_000;

/**
 * Reads the agent's settings from `file` and gives a way to run it beside the hub: what is wrong with it is logged and never the
 * hub's matter. Throws InvalidSettingsError and KubeconfigError.
 */
export function agentBesideHub(
  file: string,
  parts: Pick<CommandLineParts, 'version' | 'proxy'>,
): (signal: AbortSignal) => Promise<void> {
  const settings = readAgentSettings({ config: file }, parts.proxy);
  return async (signal) => {
    const log = createLog(settings.logLevel);
    const { runTunnelAgent } = await import('../tunnel-agent/run.ts');
    while (!signal.aborted) {
      try {
        await runTunnelAgent(settings, log, parts.version, signal);
      } catch (error) {
        log.error('the tunnel agent cannot start', { problem: (error as Error).message });
        await delay(systemClock, agentRetryMs, signal);
      }
    }
  };
}

/** Resolves when the server has drained and stopped. Rejects with InvalidSettingsError and others that have a code. */
export async function runTunnelServerCommand(flags: RawSettings, parts: CommandLineParts): Promise<void> {
  const settings = readServerSettings(flags);
  const { runTunnelServer } = await import('../tunnel-server/run.ts');
  await runTunnelServer(settings, createLog(settings.logLevel), parts.version, parts.signal);
}

function flagsOf(schema: SettingsSchema): readonly Flag[] {
  return [
    {
      key: 'config',
      name: 'config',
      value: 'FILE',
      repeatable: false,
      doc: 'YAML file with settings, named as below without dashes (dialTimeoutMs: 5000). Flags win.',
    },
    ...Object.entries<Setting>(schema).map(([key, setting]): Flag => ({
      key,
      name: flagName(key),
      value: valueHelp(setting),
      repeatable: isRepeatable(setting),
      doc: `${setting.doc}${bounds(setting)}${fallback(setting)}`,
    })),
  ];
}

function bounds({ min, max }: Setting): string {
  return max === undefined ? '' : ` From ${min ?? 0} to ${max}.`;
}

function fallback({ default: value }: Setting): string {
  return value === undefined || (Array.isArray(value) && value.length === 0) ? '' : ` Default: ${value.toString()}.`;
}
