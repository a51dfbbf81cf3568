// holdfast upgrade: where the new version comes from, and what is printed.
import { unpackFolder } from '../dropin/places.ts';
import { withUnpacked } from '../dropin/unpack.ts';
import { upgrade, type UpgradeParts } from '../dropin/upgrade.ts';
import { commandParts, finish, readSettings, type Parts, type Values } from './convert.ts';
import type { Argument } from './flags.ts';

export const upgradeArgument: Argument = {
  key: 'archive',
  name: 'ARCHIVE',
  doc: 'holdfast-VERSION-linux-ARCHITECTURE.tar.gz, or the folder that it was unpacked to. Without it the archive that this command is in.',
};

/** Exit status: 0 done, 1 went back to the old version, 2 not understood, 3 refused and nothing changed, 4 neither here nor there. */
export async function runUpgradeCommand(flags: Values, parts: Parts): Promise<number> {
  const { settings, json } = readSettings(flags);
  const { archive: own, ...others } = commandParts(parts);
  const { archive: source } = flags;
  const withArchive: UpgradeParts['withArchive'] = (use) => {
    if (typeof source === 'string') return withUnpacked(source, unpackFolder, use);
    return use(own ?? { problem: 'this holdfast does not run from a release archive, and none was named' });
  };
  return finish(await upgrade({ ...others, withArchive }, settings), json, parts);
}
