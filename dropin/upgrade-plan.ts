// What an upgrade changes, as data: the new version beside the old, the switch, and what has to hold afterwards. And whether it
// may be made: pure, from what was found on the node.
import type { MachineFacts } from './host.ts';
import { upgradeStepPrefix } from './journal.ts';
import { currentLink, ours, prefix, versionFolder } from './places.ts';
import type { Action, Step } from './plan.ts';
import { neededBytes, type Check } from './preflight.ts';

export interface UpgradePlanFacts {
  readonly from: string;
  readonly to: string;
  /** The folder of the new version's archive. */
  readonly archive: string;
  /** It was on the node before, from an earlier upgrade, and stays there on the way back. */
  readonly toWasThere: boolean;
  /** The unit of either version, where it is to be exchanged. */
  readonly unit: { readonly old: string; readonly new: string } | undefined;
}

export function upgradePlan({ from, to, archive, toWasThere, unit }: UpgradePlanFacts): Step[] {
  const turn = (version: string, text: string | undefined): Action[] => [
    ...(text === undefined
      ? []
      : [
          { kind: 'file', path: ours.unitFile, content: text, mode: 0o644 } as const,
          { kind: 'reload-units' } as const,
        ]),
    { kind: 'link', path: currentLink, target: version },
    { kind: 'restart-hub' },
  ];
  return [
    {
      id: `${upgradeStepPrefix}program`,
      title: `Put Holdfast ${to} beside ${from} in ${prefix}`,
      apply: [{ kind: 'tree', path: versionFolder(to), from: archive }],
      undo: toWasThere ? [] : [{ kind: 'restore', path: versionFolder(to), whole: true }],
    },
    {
      id: `${upgradeStepPrefix}switch`,
      title: `Turn to Holdfast ${to}`,
      apply: turn(to, unit?.new),
      undo: [...turn(from, unit?.old), { kind: 'announce', version: from, back: true }],
    },
    {
      id: `${upgradeStepPrefix}check`,
      title: 'See that the hub serves, has what the cloud has, and carries the Lease of the node',
      apply: [{ kind: 'verify-hub', version: to }, { kind: 'await-sync' }, { kind: 'announce', version: to }],
      undo: [],
    },
  ];
}

export interface UpgradeFacts extends Pick<MachineFacts, 'isRoot' | 'architecture' | 'freeBytes'> {
  readonly archive:
    | {
        readonly version: string;
        readonly architecture: string;
        readonly storeFormat: number;
        readonly damaged: readonly string[];
      }
    | { readonly problem: string };
  readonly installed: string;
  /** What is installed under the archive's version is not what is in the archive. */
  readonly otherBuild: boolean;
  /** Of the hub's store as it is now. */
  readonly storeFormat: number;
  readonly cloudReachable: boolean;
  readonly hubReady: boolean;
  /** Somebody changed the unit since it was installed. */
  readonly unitChanged: boolean;
}

export function upgradeChecks(facts: UpgradeFacts): Check[] {
  const checks: Check[] = [];
  const check = (name: string, problem: string | undefined, fix: string, found: string, weak = false): void => {
    if (problem === undefined) checks.push({ name, verdict: 'ok', cause: found, fix: '' });
    else checks.push({ name, verdict: weak ? 'warning' : 'refused', cause: problem, fix });
  };
  const { archive, installed } = facts;
  check('root', facts.isRoot ? undefined : 'this is not root', 'Run it as root: sudo holdfast …', 'runs as root');
  check(
    'archive',
    'problem' in archive
      ? archive.problem
      : archive.architecture !== facts.architecture
        ? `the archive is for ${archive.architecture}, and this machine is ${facts.architecture}`
        : archive.damaged.length > 0
          ? `files of the archive are damaged or missing: ${archive.damaged.join(', ')}`
          : undefined,
    'Name the archive of a release for this machine: holdfast upgrade holdfast-VERSION-linux-ARCHITECTURE.tar.gz',
    'problem' in archive ? '' : `Holdfast ${archive.version} for ${archive.architecture}`,
  );
  if ('problem' in archive) return checks;
  check(
    'version',
    facts.otherBuild ? `another build of Holdfast ${archive.version} is installed` : undefined,
    'Give the new build a version of its own; or holdfast revert, and convert from this archive.',
    `from ${installed} to ${archive.version}`,
  );
  check(
    'store',
    archive.storeFormat < facts.storeFormat
      ? `the hub's store has format ${facts.storeFormat}, and Holdfast ${archive.version} reads no later one than ${archive.storeFormat}`
      : undefined,
    'Upgrade to a version that reads it. For an earlier one: holdfast revert, and convert from its archive; what is kept is then fetched again.',
    `format ${facts.storeFormat}, which it reads`,
  );
  check(
    'cloud',
    facts.cloudReachable
      ? undefined
      : 'the API server cannot be asked, so nobody could say whether the new version works',
    'Upgrade when the cloud is in reach.',
    'in reach',
  );
  check(
    'disk',
    facts.freeBytes < neededBytes ? `${Math.round(facts.freeBytes / 1024 / 1024)} MiB are free` : undefined,
    `Make room: ${neededBytes / 1024 / 1024} MiB in ${prefix}.`,
    `${Math.round(facts.freeBytes / 1024 / 1024)} MiB are free`,
  );
  check(
    'hub',
    facts.hubReady ? undefined : 'the hub is not ready now',
    'holdfast diagnose says why; if the upgrade fails, the node is as it is now.',
    'ready',
    true,
  );
  check(
    'unit',
    facts.unitChanged ? `${ours.unitFile} was changed since it was installed, and stays as it is` : undefined,
    `Compare it with ${currentLink}/systemd/${ours.unit} afterwards.`,
    'as it was installed',
    true,
  );
  return checks;
}
