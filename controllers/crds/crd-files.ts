// The text of each file in config/crds/.
import { customResourceDefinition } from './custom-resource.ts';
import { customResources } from './definitions.ts';

const head = '# Made by `npm run crds` from the schemas in controllers/; changes here are lost.\n';

/** `toYaml` writes one document without anchors and without folding lines. */
export function crdFiles(toYaml: (value: unknown) => string): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(customResources).map(([file, custom]) => [file, head + toYaml(customResourceDefinition(custom))]),
  );
}
