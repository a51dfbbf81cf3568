// The manifest of kube-apiserver's static pod with the EgressSelector, and without. Lines are put in and taken out; every other byte stays
// as kubeadm, or somebody, wrote it. Pure.
import { yamlItems, type YamlItem, type YamlPath } from '../../runtime/yaml.ts';
import { InstallError } from '../errors.ts';
import { usualAddressTypes, wantedFlags, wantedVolumes } from './wanted.ts';

const commandPath = ['spec', 'containers', 0, 'command'] as const;
const mountsPath = ['spec', 'containers', 0, 'volumeMounts'] as const;
const volumesPath = ['spec', 'volumes'] as const;

/** `--NAME=VALUE` of the command, by name. Throws InstallError (ERR_INSTALL_EGRESS). */
export function flagsOf(manifest: string): Readonly<Record<string, string>> {
  return Object.fromEntries(itemsAt(manifest, commandPath).flatMap(({ value }) => flagOf(value)));
}

/** The same again when it has all of it already. Throws InstallError (ERR_INSTALL_EGRESS). */
export function withEgress(manifest: string): string {
  let text = manifest;
  for (const [name, value] of Object.entries(wantedFlags)) text = withFlag(text, name, value);
  for (const { name, path, type } of wantedVolumes) {
    text = withItem(text, mountsPath, name, [`mountPath: ${path}`, `name: ${name}`, 'readOnly: true']);
    text = withItem(text, volumesPath, name, ['hostPath:', `  path: ${path}`, `  type: ${type}`, `name: ${name}`]);
  }
  return text;
}

/** For a manifest that was written anew since, so that there is no former one to put back. Throws InstallError (ERR_INSTALL_EGRESS). */
export function withoutEgress(manifest: string, formerAddressTypes = usualAddressTypes): string {
  let text = manifest;
  for (const name of ['egress-selector-config-file', 'enable-aggregator-routing']) text = withoutFlag(text, name);
  if (flagsOf(text)['kubelet-preferred-address-types'] === wantedFlags['kubelet-preferred-address-types'])
    text = withFlag(text, 'kubelet-preferred-address-types', formerAddressTypes);
  for (const { name } of wantedVolumes)
    for (const path of [mountsPath, volumesPath])
      text = without(
        text,
        itemsAt(text, path).filter((item) => isNamed(item, name)),
      );
  return text;
}

function withFlag(text: string, name: string, value: string): string {
  const items = itemsAt(text, commandPath);
  const present = items.find((item) => flagOf(item.value)[0]?.[0] === name);
  if (present !== undefined && flagOf(present.value)[0]?.[1] === value) return text;
  const last = present ?? items.at(-1);
  if (last === undefined) throw problem(commandPath);
  const line = `${last.indent}- --${name}=${value}\n`;
  return `${text.slice(0, present === undefined ? last.end : last.start)}${line}${text.slice(last.end)}`;
}

function withoutFlag(text: string, name: string): string {
  return without(
    text,
    itemsAt(text, commandPath).filter((item) => flagOf(item.value)[0]?.[0] === name),
  );
}

function withItem(text: string, path: YamlPath, name: string, lines: readonly string[]): string {
  const items = itemsAt(text, path);
  const last = items.at(-1);
  if (last === undefined) throw problem(path);
  if (items.some((item) => isNamed(item, name))) return text;
  const added = lines.map((line, index) => `${last.indent}${index === 0 ? '- ' : '  '}${line}\n`).join('');
  return `${text.slice(0, last.end)}${added}${text.slice(last.end)}`;
}

function without(text: string, items: readonly YamlItem[]): string {
  return [...items]
    .sort((a, b) => b.start - a.start)
    .reduce((rest, { start, end }) => `${rest.slice(0, start)}${rest.slice(end)}`, text);
}

function itemsAt(text: string, path: YamlPath): YamlItem[] {
  let items: YamlItem[] | undefined;
  try {
    items = yamlItems(text, path);
  } catch (error) {
    throw new InstallError('ERR_INSTALL_EGRESS', `the manifest of kube-apiserver: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (items === undefined) throw problem(path);
  return items;
}

function problem(path: YamlPath): InstallError {
  return new InstallError(
    'ERR_INSTALL_EGRESS',
    `the manifest of kube-apiserver has no list at ${path.join('.')} with an item in a line of its own, as kubeadm writes it: make the change by hand, config/tunnel/README.md`,
  );
}

function flagOf(value: unknown): [name: string, value: string][] {
  const [, name, text = ''] = /^--([^=]+)(?:=(.*))?$/s.exec(String(value)) ?? [];
  return name === undefined ? [] : [[name, text]];
}

function isNamed({ value }: YamlItem, name: string): boolean {
  return (value as { name?: unknown }).name === name;
}
