// Puts the parts of the hub together. (Placeholder of the command line's author: the lead writes this file.)
import type { NodeSettings } from './settings.ts';

export async function runNode(_settings: NodeSettings, _signal: AbortSignal): Promise<void> {
  throw Object.assign(new Error('holdfast node is not put together yet'), { code: 'ERR_NOT_IMPLEMENTED' });
}
