// What an app set asks for in certain pools only: replicas, images, and JSON patches with the pool's name in them.
import { applyJsonPatch } from '../../kube/patch/json-patch.ts';
import { isJsonObject } from '../../kube/patch/json-value.ts';
import { labelRequirements } from '../../kube/selectors/label-selector-object.ts';
import type { LabelSelector } from '../../kube/selectors/label-selector-object.ts';
import { matchesLabels } from '../../kube/selectors/label-selector.ts';
import { TemplateError } from './errors.ts';
import type { RenderedObject } from './render.ts';
import type { NodePool, Tweaks, WorkloadTweak } from './types.ts';

/** Stands for the pool's name in the values of patches. */
const poolNamePlaceholder = '{{nodepool-name}}';

/** A pool is chosen by its name or by its labels; neither given chooses none. Throws SelectorError. */
export function choosesPool(
  choice: { readonly pools?: readonly string[]; readonly nodepoolSelector?: LabelSelector },
  pool: NodePool,
): boolean {
  if (choice.pools?.includes(pool.metadata.name)) return true;
  if (choice.nodepoolSelector === undefined) return false;
  return matchesLabels(labelRequirements(choice.nodepoolSelector), pool.metadata.labels ?? {});
}

/** A tweak and where it stands in the list, for messages. */
export interface PlacedTweaks {
  readonly index: number;
  readonly tweaks: Tweaks;
}

export function tweaksForPool(tweaks: readonly WorkloadTweak[], pool: NodePool): PlacedTweaks[] {
  return tweaks.flatMap((tweak, index) => (choosesPool(tweak, pool) ? [{ index, tweaks: tweak.tweaks }] : []));
}

/** Replicas and images, in the order of the list: a later tweak wins. Changes `object`. */
export function applySimpleTweaks(object: RenderedObject, placed: readonly PlacedTweaks[]): void {
  for (const { tweaks } of placed) {
    if (tweaks.replicas !== undefined) object.spec['replicas'] = tweaks.replicas;
    for (const { name, targetImage } of tweaks.containerImages ?? []) setImage(object, name, targetImage);
  }
}

/** The object with all patches applied, in order, after all other tweaks. Throws TemplateError, which names the patch. */
export function applyPatches(object: RenderedObject, placed: readonly PlacedTweaks[], pool: string): RenderedObject {
  let result: unknown = object;
  for (const { index, tweaks } of placed) {
    for (const [position, patch] of (tweaks.patches ?? []).entries()) {
      const where = `workloadTweaks[${index}].tweaks.patches[${position}]`;
      const { path, operation: op } = patch;
      if (op !== 'remove' && patch.value === undefined)
        throw new TemplateError(`${where}: operation ${op} needs a value`);
      const value = withPoolName(patch.value, pool);
      try {
        // OpenYurt patches an object in which empty structs like `resources` are always there.
        result = applyJsonPatch(result, [{ op, path, value }], { createParents: true });
      } catch (error) {
        const hint = path.endsWith('/-') ? '; add the whole list where the template has none' : '';
        throw new TemplateError(`${where}: ${(error as Error).message}${hint}`, { cause: error });
      }
    }
  }
  return result as RenderedObject;
}

function setImage(object: RenderedObject, name: string, image: string): void {
  const template = object.spec['template'];
  const podSpec = isJsonObject(template) ? template['spec'] : undefined;
  if (!isJsonObject(podSpec)) return;
  for (const list of [podSpec['containers'], podSpec['initContainers']]) {
    if (!Array.isArray(list)) continue;
    for (const container of list as unknown[])
      if (isJsonObject(container) && container['name'] === name) container['image'] = image;
  }
}

function withPoolName(value: unknown, pool: string): unknown {
  if (typeof value === 'string') return value.replaceAll(poolNamePlaceholder, () => pool);
  if (Array.isArray(value)) return value.map((item: unknown) => withPoolName(item, pool));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [withPoolName(key, pool) as string, withPoolName(inner, pool)]),
  );
}
