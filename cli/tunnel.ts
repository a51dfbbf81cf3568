// holdfast tunnel-server and tunnel-agent: flags from the tables of settings; each daemon is loaded only when it runs.
import { agentSettingsSchema, readAgentSettings } from '../tunnel-agent/settings.ts';
import { readServerSettings, serverSettingsSchema } from '../tunnel-server/settings.ts';
import { delay, systemClock } from '../runtime/clock.ts';
import { createLog } from '../runtime/log.ts';
import type { Endpoint, RawSettings } from '../runtime/settings.ts';
import type { Detour } from '../tunnel-agent/detour.ts';
import type { CommandLineParts } from './command-line.ts';
import { settingsFlags } from './flags.ts';

export const tunnelAgentFlags = settingsFlags(agentSettingsSchema, 'dialTimeoutMs: 5000');
export const tunnelServerFlags = settingsFlags(serverSettingsSchema, 'dialTimeoutMs: 5000');

/** Resolves when the agent has stopped. Rejects with SettingsError and others that have a code. */
export async function runTunnelAgentCommand(flags: RawSettings, parts: CommandLineParts): Promise<void> {
  const settings = readAgentSettings(flags, parts.proxy);
  const { runTunnelAgent } = await import('../tunnel-agent/run.ts');
  await runTunnelAgent(settings, createLog(settings.logLevel), parts.version, parts.signal);
}

/** How long after the agent could not start it is started again. */
const agentRetryMs = 10_000;

export interface AgentBesideHub {
  run(signal: AbortSignal): Promise<void>;
  /** The tunnel servers that it uses. */
  servers(): readonly Endpoint[];
}

/**
 * Reads the agent's settings from `file` and gives a way to run it beside the hub: what is wrong with it is logged and never the
 * hub's matter. `detour`: for when a server cannot be reached otherwise. Throws SettingsError and KubeconfigError.
 */
export function agentBesideHub(
  file: string,
  parts: Pick<CommandLineParts, 'version' | 'proxy'>,
  detour: Detour,
): AgentBesideHub {
  const settings = readAgentSettings({ config: file }, parts.proxy);
  let servers = (): readonly Endpoint[] => [];
  return {
    servers: () => servers(),
    run: async (signal) => {
      const log = createLog(settings.logLevel);
      const { runTunnelAgent } = await import('../tunnel-agent/run.ts');
      while (!signal.aborted) {
        try {
          await runTunnelAgent(settings, log, parts.version, signal, detour, (agent) => {
            servers = () => agent.servers();
          });
        } catch (error) {
          log.error('the tunnel agent cannot start', { problem: (error as Error).message });
          await delay(systemClock, agentRetryMs, signal);
        }
      }
    },
  };
}

/** Resolves when the server has drained and stopped. Rejects with SettingsError and others that have a code. */
export async function runTunnelServerCommand(flags: RawSettings, parts: CommandLineParts): Promise<void> {
  const settings = readServerSettings(flags);
  const { runTunnelServer } = await import('../tunnel-server/run.ts');
  await runTunnelServer(settings, createLog(settings.logLevel), parts.version, parts.signal);
}
