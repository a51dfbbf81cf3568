// holdfast upgrade: the new version beside the old, the switch, a look at whether it works, and the way back by itself if it does not.
// The journal of the conversion also says how far an upgrade went: a second run goes on, or back, and holdfast revert takes all of it.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { kubeletConf, type Archive } from './facts.ts';
import { Journal, type Upgrade } from './journal.ts';
import { hubOps, kubeadm, ours, versionFolder } from './places.ts';
import { describe, type Step } from './plan.ts';
import { podsOf } from './pods.ts';
import { Run, type CommandParts, type CommandSettings } from './run.ts';
import type { Outcome } from './outcome.ts';
import { upgradeChecks, upgradePlan, type UpgradeFacts } from './upgrade-plan.ts';

export interface UpgradeParts extends Omit<CommandParts, 'archive'> {
  /** Lends the unpacked archive of the new version, or says why there is none. */
  withArchive<T>(use: (archive: Archive | { readonly problem: string }) => Promise<T>): Promise<T>;
}

/** Never rejects for what happens on the node: that is an outcome. Rejects with ERR_DROPIN_JOURNAL, and when it is told to stop. */
export async function upgrade(parts: UpgradeParts, settings: CommandSettings): Promise<Outcome> {
  const journal = await Journal.open(parts.files);
  const run = new Run('upgrade', { ...parts, archive: undefined }, settings);
  if (journal?.phase !== 'converted') {
    const cause =
      journal === undefined
        ? 'holdfast convert did not set this node up'
        : `a run was interrupted while ${journal.phase}`;
    const fix =
      journal === undefined
        ? 'holdfast convert, from the new archive. A hub that was set up by hand is upgraded by hand: config/node/README.md.'
        : 'holdfast convert goes on with it, holdfast revert takes it back.';
    run.checks = [{ name: 'conversion', verdict: 'refused', cause, fix }];
    return run.outcome('refused', 'Nothing was changed.');
  }
  return parts.withArchive((archive) => upgradeFrom(parts, settings, run, journal, archive));
}

async function upgradeFrom(
  parts: UpgradeParts,
  settings: CommandSettings,
  run: Run,
  journal: Journal,
  archive: Archive | { readonly problem: string },
): Promise<Outcome> {
  const { files, progress } = parts;
  const conf = kubeletConf((await files.read(kubeadm.kubeconfig))?.toString('utf8'));
  run.node = 'problem' in conf ? undefined : conf.nodeName;
  let underway = journal.upgrade;
  const otherBuild = !('problem' in archive) && (await isOtherBuild(parts, archive));
  const goesOn = underway !== undefined && !underway.back && !('problem' in archive) && underway.to === archive.version;
  if (underway !== undefined && !goesOn && !settings.dryRun) {
    progress.begin('An earlier upgrade was interrupted: the node goes back to where that began');
    progress.end();
    const error = await switchBack(parts, run, journal, underway);
    if (error !== undefined) return run.stranded(error, 'holdfast upgrade');
    underway = undefined;
  }
  if (underway === undefined && !('problem' in archive) && archive.version === journal.version && !otherBuild)
    return run.outcome('done', `This node has Holdfast ${journal.version} already.`);
  const unitChanged = await isUnitChanged(parts, journal.version);
  // Whoever goes on where an earlier run was killed finds the node on the way.
  if (!goesOn) run.checks = upgradeChecks(await lookAround(parts, run.node, journal, archive, otherBuild, unitChanged));
  if (run.checks.some(({ verdict }) => verdict === 'refused') || 'problem' in archive) {
    const names = run.checks.filter(({ verdict }) => verdict === 'refused').map(({ name }) => name);
    return run.outcome('refused', `Nothing was changed: ${names.join(', ')}.`);
  }
  const change: Upgrade = underway ?? {
    from: journal.version,
    to: archive.version,
    toWasThere: (await files.stat(versionFolder(archive.version))) !== undefined,
    replacesUnit: !unitChanged,
    back: false,
  };
  const plan = await planOf(parts, change, archive);
  run.steps = plan.map(({ title, apply }) => ({ title, changes: apply.map(describe) }));
  if (settings.dryRun) return run.outcome('done', 'Nothing was changed (--dry-run).');
  if (underway === undefined) await journal.beginUpgrade(change);
  let left: string | undefined;
  const error = await run.there(journal, async (conversion) => {
    await conversion.there(plan);
    left = await prune(parts, journal, change);
    await journal.endUpgrade(change.to);
  });
  if (error === undefined) {
    const message = `This node has Holdfast ${change.to}; ${change.from} stays beside it. Back: holdfast upgrade with its archive.`;
    return run.outcome('done', left === undefined ? message : `${message} An older one could not be removed: ${left}`);
  }
  progress.begin(`It failed, so the node goes back to Holdfast ${change.from}`);
  progress.end();
  const worse = await switchBack(parts, run, journal, change);
  if (worse !== undefined) return run.stranded(`${error}; and on the way back: ${worse}`, 'holdfast upgrade');
  return run.outcome('rolled-back', `The upgrade failed, and the node has Holdfast ${change.from} as before.`, error);
}

/** Undefined when it arrived; else why not. */
async function switchBack(
  parts: UpgradeParts,
  run: Run,
  journal: Journal,
  change: Upgrade,
): Promise<string | undefined> {
  const plan = await planOf(parts, change, undefined);
  return run.back(journal, async (conversion) => {
    await journal.turnUpgradeBack();
    await conversion.undo(plan);
    if (!change.toWasThere) await journal.forget(versionFolder(change.to));
    await journal.endUpgrade(change.from);
  });
}

/** Without an archive the way back alone, which needs none. */
async function planOf({ files }: UpgradeParts, change: Upgrade, archive: Archive | undefined): Promise<Step[]> {
  const unitIn = (folder: string): string => path.join(folder, 'systemd', ours.unit);
  const old = (await files.read(unitIn(versionFolder(change.from))))?.toString('utf8');
  const unit =
    change.replacesUnit && old !== undefined
      ? { old, new: archive === undefined ? '' : readFileSync(unitIn(archive.folder), 'utf8') }
      : undefined;
  return upgradePlan({ ...change, archive: archive?.folder ?? '', unit });
}

async function isUnitChanged({ files }: UpgradeParts, installed: string): Promise<boolean> {
  const shipped = await files.read(path.join(versionFolder(installed), 'systemd', ours.unit));
  const present = await files.read(ours.unitFile);
  return shipped === undefined || present === undefined || !shipped.equals(present);
}

async function isOtherBuild({ files }: UpgradeParts, archive: Archive): Promise<boolean> {
  const installed = await files.read(path.join(versionFolder(archive.version), 'manifest.json'));
  return installed !== undefined && !installed.equals(readFileSync(path.join(archive.folder, 'manifest.json')));
}

async function lookAround(
  { host, files }: UpgradeParts,
  node: string | undefined,
  journal: Journal,
  archive: Archive | { readonly problem: string },
  otherBuild: boolean,
  unitChanged: boolean,
): Promise<UpgradeFacts> {
  const format = Number.parseInt((await files.read(ours.storeFormat))?.toString('utf8') ?? '', 10);
  const pods = node === undefined ? undefined : await podsOf(host.cloud, node).catch(() => undefined);
  return {
    ...(await host.machine([])),
    archive,
    installed: journal.version,
    otherBuild: otherBuild && !('problem' in archive) && archive.version === journal.version,
    storeFormat: Number.isNaN(format) ? 1 : format,
    cloudReachable: pods !== undefined,
    hubReady: (await host.get(`${hubOps}/readyz`))?.status === 200,
    unitChanged,
  };
}

/** Only the present version and the one before it stay. Why one could not be removed, if so: that is no reason to go back. */
async function prune({ files }: UpgradeParts, journal: Journal, { from, to }: Upgrade): Promise<string | undefined> {
  try {
    for (const version of journal.otherVersions().filter((each) => each !== from && each !== to)) {
      await files.remove(versionFolder(version));
      await journal.forget(versionFolder(version));
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
