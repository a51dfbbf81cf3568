// The command is killed at a random moment, on the way there and on the way back, and run again: it ends in the same state.
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

/** About as long as a conversion takes, and a reversion. */
const spans = { convert: 10_000, revert: 6_000 } as const;

export async function interrupted(stage: Stage): Promise<void> {
  const { report, quick } = stage;
  const before = await stage.snapshot();
  const containers = await stage.containers();
  for (let round = 1; round <= (quick ? 2 : 10); round += 1) {
    for (const command of ['convert', 'revert'] as const)
      await report.check(`round ${round}: ${command} is killed, and run again`, async () => {
        const afterMs = Math.round(Math.random() * spans[command]);
        const killed = await killAfter(stage, [command], afterMs);
        // From the archive as it was unpacked: what was installed may be half gone.
        await stage.succeed([command]);
        if (command === 'revert') await stage.expectSame(before);
        return `killed after ${afterMs} ms${killed ? '' : ', when it had ended'}`;
      });
  }
  await report.check('no container of the application was started anew', async () => {
    const now = await stage.containers();
    expectThat(now === containers, `before:\n${containers}\nnow:\n${now}`);
  });
}

/** False if it had ended by then. */
export async function killAfter(
  { node, command }: Stage,
  args: readonly string[],
  afterMs: number,
  program = command,
): Promise<boolean> {
  await node.startProcess('holdfast', [program, ...args]);
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  const killed = node.processId('holdfast') !== undefined;
  await node.kill9('holdfast');
  await waitFor('the command is gone', () => node.processId('holdfast') === undefined, { deadlineMs: 180_000 });
  return killed;
}
