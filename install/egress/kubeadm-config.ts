// kubeadm's ClusterConfiguration with the same flags and volumes, so that `kubeadm upgrade`, which writes the manifest anew from it, keeps
// them. v1beta3 has arguments as a mapping, v1beta4 as a list. Pure.
import { editYaml } from '../../runtime/yaml.ts';
import { InstallError } from '../errors.ts';
import { wantedFlags, wantedVolumes } from './wanted.ts';

interface NamedArgument {
  readonly name: string;
  readonly value: string;
}
interface ExtraVolume {
  readonly name: string;
}

const argsPath = ['apiServer', 'extraArgs'] as const;
const volumesPath = ['apiServer', 'extraVolumes'] as const;

/** The same again when it has all of it already. Throws InstallError (ERR_INSTALL_EGRESS). */
export function configWithEgress(text: string): string {
  return edited(text, (args, volumes) => ({
    args: { ...args, ...wantedFlags },
    volumes: [
      ...volumes,
      ...wantedVolumes
        .filter(({ name }) => !volumes.some((volume) => volume.name === name))
        .map(({ name, path, type }) => ({ name, hostPath: path, mountPath: path, readOnly: true, pathType: type })),
    ],
  }));
}

/** Where there is no former text to put back. Throws InstallError (ERR_INSTALL_EGRESS). */
export function configWithoutEgress(text: string): string {
  return edited(text, (args, volumes) => ({
    args: Object.fromEntries(
      Object.entries(args).filter(([name, value]) => (wantedFlags as Record<string, string>)[name] !== value),
    ),
    volumes: volumes.filter(({ name }) => !wantedVolumes.some((wanted) => wanted.name === name)),
  }));
}

type Arguments = Readonly<Record<string, string>>;

function edited(
  text: string,
  change: (args: Arguments, volumes: readonly ExtraVolume[]) => { args: Arguments; volumes: readonly ExtraVolume[] },
): string {
  let changed = false;
  try {
    const result = editYaml(text, ({ get, set, remove }) => {
      const version = get(['apiVersion']);
      if (version !== 'kubeadm.k8s.io/v1beta3' && version !== 'kubeadm.k8s.io/v1beta4')
        throw new SyntaxError(`apiVersion is ${String(version)}, and known are kubeadm.k8s.io/v1beta3 and v1beta4`);
      const asList = version.endsWith('v1beta4');
      const found = get(argsPath) as readonly NamedArgument[] | Arguments | null | undefined;
      const before: Arguments = Array.isArray(found)
        ? Object.fromEntries((found as readonly NamedArgument[]).map(({ name, value }) => [name, value]))
        : ((found ?? {}) as Arguments);
      // A flag that is given more than once cannot be kept in a mapping.
      if (Array.isArray(found) && Object.keys(before).length !== found.length)
        throw new SyntaxError('apiServer.extraArgs names a flag more than once');
      const volumesBefore = (get(volumesPath) ?? []) as readonly ExtraVolume[];
      const { args, volumes } = change(before, volumesBefore);
      const put = (path: readonly string[], value: unknown, count: number): void =>
        count === 0 ? remove(path) : set(path, value);
      if (JSON.stringify(args) !== JSON.stringify(before)) {
        changed = true;
        const list = Object.entries(args).map(([name, value]) => ({ name, value }));
        put(argsPath, asList ? list : args, list.length);
      }
      if (volumes.length !== volumesBefore.length) {
        changed = true;
        put(volumesPath, volumes, volumes.length);
      }
    });
    return changed ? result : text;
  } catch (error) {
    throw new InstallError(
      'ERR_INSTALL_EGRESS',
      `the ConfigMap kubeadm-config, ClusterConfiguration: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}
