// holdfast convert and holdfast revert: what they come to, from what is on the node and in the journal.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DropInError } from './errors.ts';
import { kubeletConf, nodeFacts, podsUnknown } from './facts.ts';
import { clearLeftovers, Journal } from './journal.ts';
import { kubeconfigAtHub } from './kubelet-conf.ts';
import type { Outcome } from './outcome.ts';
import { kubeadm, ours } from './places.ts';
import { conversionPlan, describe, reversionPlan, type Step, type Tunnel } from './plan.ts';
import { tunnelOf } from './tunnel.ts';
import { isKubeProxy, podsOf, runningContainers, usesApi, type Pod } from './pods.ts';
import { preflight } from './preflight.ts';
import { Run, type CommandParts, type CommandSettings } from './run.ts';

export interface RevertSettings extends CommandSettings {
  /** Also with the API server out of reach. */
  readonly force: boolean;
}

/** Everything that is known before the first change. */
interface Found {
  readonly node: string | undefined;
  readonly confText: string | undefined;
  readonly pods: readonly Pod[] | undefined;
  readonly tunnel: Tunnel | undefined;
}

/** Never rejects for what happens on the node: that is an outcome. Rejects with ERR_DROPIN_JOURNAL, and when it is told to stop. */
export async function convert(parts: CommandParts, settings: CommandSettings): Promise<Outcome> {
  const { host, files, archive, progress } = parts;
  const run = new Run('convert', parts, settings);
  let journal = await Journal.open(files);
  if (journal?.phase === 'converted') {
    if (journal.upgrade !== undefined) {
      const { from, to } = journal.upgrade;
      const cause = `an upgrade from Holdfast ${from} to ${to} was interrupted`;
      run.checks = [{ name: 'upgrade', verdict: 'refused', cause, fix: `holdfast upgrade goes on with it.` }];
      return run.outcome('refused', 'Nothing was changed.');
    }
    if (archive === undefined || archive.version === journal.version)
      return run.outcome('done', 'This node is converted already. holdfast status says how it is.');
    const fix = 'holdfast upgrade, from this archive.';
    const cause = `this node was converted with Holdfast ${journal.version}, and this is ${archive.version}`;
    run.checks = [{ name: 'version', verdict: 'refused', cause, fix }];
    return run.outcome('refused', 'Nothing was changed.');
  }
  if (journal?.phase === 'reverting' && !settings.dryRun) {
    progress.begin('An earlier run was on its way back: that comes to its end first');
    progress.end();
    const error = await takeBack(run, journal, reversionPlan(journal.version, journal.otherVersions()));
    if (error !== undefined) return run.stranded(error, 'holdfast revert');
    journal = undefined;
  }
  const found = await look(parts);
  run.node = found.node;
  // Whoever goes on where an earlier run was killed finds the ports taken, and the files there, by that run.
  if (journal === undefined) {
    const conf = kubeletConf(found.confText);
    run.checks = preflight(await nodeFacts({ host, files, archive, conf, pods: found.pods }));
  }
  if (journal !== undefined && found.pods === undefined) {
    const fix = 'Go on when the cloud is in reach, or take back what was done: holdfast revert --force.';
    run.checks = [{ name: 'cloud', verdict: 'refused', cause: podsUnknown, fix }];
    return run.outcome('refused', 'An earlier run was interrupted, and this one changed nothing.');
  }
  const plan = planFor(parts, found);
  run.steps = plan.map(({ title, apply }) => ({ title, changes: apply.map(describe) }));
  const refused = run.checks.filter(({ verdict }) => verdict === 'refused');
  if (refused.length > 0)
    return run.outcome('refused', `Nothing was changed: ${refused.map(({ name }) => name).join(', ')}.`);
  if (settings.dryRun) return run.outcome('done', 'Nothing was changed (--dry-run).');
  if (archive === undefined || found.node === undefined)
    throw new DropInError('ERR_DROPIN_REFUSED', 'go on with the command of the archive by which it was begun');

  if (journal === undefined) await clearLeftovers(files);
  journal ??= await Journal.begin(files, archive.version, parts.wallTime()).catch(async (error: unknown) => {
    await clearLeftovers(files);
    throw error;
  });
  const underway = journal;
  const error = await run.there(underway, async (conversion) => {
    await underway.noteOnce('containers', async () => runningContainers(found.pods ?? []));
    await conversion.there(plan);
    await underway.setPhase('converted');
  });
  if (error === undefined) {
    run.restartAdvised = (found.pods ?? []).filter((pod) => usesApi(pod) && !isKubeProxy(pod)).map(nameOf);
    return run.outcome(
      'done',
      'This node is converted: holdfast status says how it is, holdfast revert takes it back.',
    );
  }
  progress.begin('It failed, so everything is taken back');
  progress.end();
  const worse = await takeBack(run, journal, plan);
  if (worse !== undefined) return run.stranded(`${error}; and on the way back: ${worse}`, 'holdfast revert');
  return run.outcome('rolled-back', 'The conversion failed, and the node is as it was before.', error);
}

/** As convert. */
export async function revert(parts: CommandParts, settings: RevertSettings): Promise<Outcome> {
  const { files } = parts;
  const run = new Run('revert', parts, settings);
  const journal = await Journal.open(files);
  if (journal === undefined) {
    if (!settings.dryRun) await clearLeftovers(files);
    return run.outcome('done', 'This node is not converted: there is nothing to take back.');
  }
  const plan = reversionPlan(journal.version, journal.otherVersions());
  run.steps = plan
    .toReversed()
    .filter(({ id, undo }) => undo.length > 0 && journal.hasBegun(id) && !journal.isUndone(id))
    .map(({ title, undo }) => ({ title: `Undo: ${title}`, changes: undo.map(describe) }));
  const found = await look(parts);
  run.node = found.node;
  if (found.pods === undefined && !settings.force) {
    run.checks = [
      {
        name: 'cloud',
        verdict: 'refused',
        cause: 'the API server cannot be asked, and without it and without the hub this node starts no pod',
        fix: 'Revert when the cloud is in reach, or with --force.',
      },
    ];
    return run.outcome('refused', 'Nothing was changed.');
  }
  if (settings.dryRun) return run.outcome('done', 'Nothing was changed (--dry-run).');
  const error = await takeBack(run, journal, plan);
  if (error !== undefined) return run.stranded(error, 'holdfast revert');
  const since = Date.parse(journal.begunAt);
  run.restartAdvised = (found.pods ?? [])
    .filter((pod) => usesApi(pod) && !isKubeProxy(pod) && Date.parse(pod.status?.startTime ?? '') >= since)
    .map(nameOf);
  return run.outcome('done', 'This node is as it was before it was converted.');
}

/** Everything, and then the journal. Undefined when it arrived; else why not. */
function takeBack(run: Run, journal: Journal, plan: readonly Step[]): Promise<string | undefined> {
  return run.back(journal, async (conversion) => {
    await journal.setPhase('reverting');
    await conversion.undo(plan);
    await journal.remove();
  });
}

async function look({ host, files }: CommandParts): Promise<Found> {
  const confText = (await files.read(kubeadm.kubeconfig))?.toString('utf8');
  const conf = kubeletConf(confText);
  const node = 'problem' in conf ? undefined : conf.nodeName;
  const pods = node === undefined ? undefined : await podsOf(host.cloud, node).catch(() => undefined);
  return { node, confText, pods, tunnel: await tunnelOf(host.cloud) };
}

function planFor({ archive }: CommandParts, { node, confText, pods, tunnel }: Found): Step[] {
  const unit = archive === undefined ? '' : readFileSync(path.join(archive.folder, 'systemd', ours.unit), 'utf8');
  return conversionPlan({
    version: archive?.version ?? '',
    archive: archive?.folder ?? '',
    unit,
    kubeconfig: confText === undefined || node === undefined ? '' : kubeconfigAtHub(confText),
    kubeProxy: (pods ?? []).some(isKubeProxy),
    tunnel,
  });
}

const nameOf = ({ metadata }: Pod): string => `${metadata.namespace}/${metadata.name}`;
