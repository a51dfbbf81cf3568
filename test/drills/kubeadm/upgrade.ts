// The hub of a converted node gets another version while pods serve: once well, once with a version that does not work, and killed
// on the way.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expectThat } from '../report.ts';
import { hubProcess } from './hub-process.ts';
import { killAfter } from './interrupted.ts';
import { makeRelease, type Stage } from './stage.ts';

const installed = '/usr/local/bin/holdfast';
/** About as long as an upgrade takes. */
const spanMs = 12_000;

interface Outcome {
  outcome: string;
  error?: string;
  seconds: number;
  hubDownSeconds?: number;
  resumed?: { clientWatches: number; clientLists: number; upstreamLists: number; upstreamWatches: number };
  checks: { name: string; verdict: string; cause: string }[];
}

export async function upgraded(stage: Stage): Promise<void> {
  const { report, quick } = stage;
  const before = await stage.snapshot();
  await stage.podsAreReady();
  const containers = await stage.containers();
  await stage.succeed(['convert']);
  const first = await version(stage);
  const next = `${first}-next`;
  const { archive } = await makeRelease(next);
  /** Ends with exit status `code`. */
  const run = async (args: readonly string[], code: number): Promise<Outcome> => {
    const result = await stage.holdfast([...args, '--output', 'json'], installed);
    expectThat(
      result.code === code,
      `holdfast ${args.join(' ')} ended with ${result.code}:\n${result.stdout}${result.stderr}`,
    );
    return JSON.parse(result.stdout) as Outcome;
  };
  // What the kubelet asks for a moment after it has come over is not the upgrade's.
  await stage.podsAreReady();
  const counted = stage.counted();
  await report.check('upgrade to another version, from its archive', async () => {
    const { seconds, hubDownSeconds, resumed } = await run(['upgrade', archive], 0);
    const now = await version(stage);
    expectThat(now === next, `holdfast says ${now}`);
    const { startMs } = await hubProcess(stage.node);
    return `${seconds} s, the hub was away for ${hubDownSeconds} s (cold start ${startMs.toFixed(0)} ms); since then ${JSON.stringify(resumed)}`;
  });
  if (!quick)
    await report.check('a version that does not work is left again by itself', async () => {
      const broken = await brokenArchive(stage, archive, `${first}-broken`);
      const { error = '' } = await run(['upgrade', broken, '--timeout', '30'], 1);
      const now = await version(stage);
      expectThat(now === next, `after the way back holdfast says ${now}`);
      return error.split('\n')[0];
    });
  await report.check('a version that cannot read the store is refused', async () => {
    const older = await changedArchive(stage, archive, `${first}-older`, (manifest) => (manifest.storeFormat = 0));
    const { checks } = await run(['upgrade', older], 3);
    const cause = checks.find(({ name, verdict }) => name === 'store' && verdict === 'refused')?.cause;
    expectThat(cause !== undefined, JSON.stringify(checks));
    return cause;
  });
  for (let round = 1; round <= (quick ? 0 : 10); round += 1) {
    // There and back by turns, each time to the version that is not there.
    await report.check(`round ${round}: killed, and run again`, async () => {
      const args = round % 2 === 1 ? ['upgrade', stage.folder] : ['upgrade', archive];
      const afterMs = Math.round(Math.random() * spanMs);
      const killed = await killAfter(stage, args, afterMs, installed);
      await run(args, 0);
      const now = await version(stage);
      expectThat(now === (round % 2 === 1 ? first : next), `holdfast says ${now}`);
      return `killed after ${afterMs} ms${killed ? '' : ', when it had ended'}`;
    });
  }
  await report.check('no request of a client on the node failed, and no container was started anew', async () => {
    const now = stage.counted();
    expectThat(now.failed === counted.failed, `${now.failed - counted.failed} requests failed`);
    const after = await stage.containers();
    expectThat(after === containers, `before:\n${containers}\nnow:\n${after}`);
    return `${now.served - counted.served} requests`;
  });
  await report.check('revert takes every version away', async () => {
    await stage.succeed(['revert'], installed);
    return stage.expectSame(before);
  });
}

async function version(stage: Stage): Promise<string> {
  const { stdout } = await stage.holdfast(['version'], installed);
  return stdout.trim().replace('holdfast ', '');
}

interface Manifest {
  version: string;
  storeFormat: number;
  files: Record<string, string>;
}

/** A folder of the node with the same archive, changed. */
async function changedArchive(
  { node }: Stage,
  archive: string,
  name: string,
  change: (manifest: Manifest, folder: string) => void,
): Promise<string> {
  const folder = `/var/lib/unpacked/${name}`;
  await node.enter(['mkdir', '-p', folder]);
  await node.enter(['tar', '-xzf', archive, '--strip-components=1', '-C', folder]);
  const file = node.file(`${folder}/manifest.json`);
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest;
  change(manifest, node.file(folder));
  writeFileSync(file, JSON.stringify({ ...manifest, version: name }));
  return folder;
}

/** Its program ends at once. */
function brokenArchive(stage: Stage, archive: string, name: string): Promise<string> {
  return changedArchive(stage, archive, name, (manifest, folder) => {
    const program = 'process.exit(1);\n';
    writeFileSync(path.join(folder, 'lib', 'holdfast.mjs'), program);
    manifest.files['lib/holdfast.mjs'] = createHash('sha256').update(program).digest('hex');
  });
}
