// Every CRD of the project, by the file in config/crds/ that `npm run crds` writes it to.
import { appSetCrd } from '../app-set/app-set-crd.ts';
import { nodePoolResource } from '../node-pool/node-pool-crd.ts';
import type { CustomResource } from './custom-resource.ts';

export const customResources: Readonly<Record<string, CustomResource>> = {
  'apps.openyurt.io_nodepools.yaml': nodePoolResource,
  'apps.openyurt.io_yurtappsets.yaml': appSetCrd,
};
