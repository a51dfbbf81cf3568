// Runs of a command that fail, or are killed, at a chosen call: for tests that go through all of them.
import { DropInError } from './errors.ts';
import type { Outcome } from './outcome.ts';

/** Calls that a run makes, in order. */
export async function callsOf(run: (fault: (call: string) => void) => Promise<unknown>): Promise<string[]> {
  const calls: string[] = [];
  await run((call) => calls.push(call));
  return calls;
}

/** Throws at the call of this number, and at all later ones if it is a kill. */
export function faultAt(number: number, kind: 'failure' | 'kill'): (call: string) => void {
  let count = 0;
  return (call) => {
    count += 1;
    if (count === number || (kind === 'kill' && count > number))
      throw kind === 'kill' ? new Error('killed') : new DropInError('ERR_DROPIN_CALL', `${call} failed`);
  };
}

/** To be killed at a call that only looks is to be killed at the next one that changes something. */
export const changes = (call: string): boolean => !/(stat|read|list|state|commandLine|get|machine)$/.test(call);

/** Undefined for a run that was killed. */
export const attempt = (run: Promise<Outcome>): Promise<Outcome | undefined> => run.catch(() => undefined);

/** Hundreds of runs: seconds, but not on a machine that does ten other things. */
export const patienceMs = 300_000;
