// The whole table.
import { discoveryCases } from './cases/discovery.ts';
import { formCases } from './cases/forms.ts';
import { objectCases } from './cases/objects.ts';
import { pageCases } from './cases/pages.ts';
import { refusalCases } from './cases/refusals.ts';
import { selectorCases } from './cases/selectors.ts';
import { versionCases } from './cases/versions.ts';
import { watchCases } from './cases/watches.ts';
import type { ContractCase } from './contract-case.ts';

export const cases: readonly ContractCase[] = [
  ...selectorCases,
  ...pageCases,
  ...versionCases,
  ...watchCases,
  ...formCases,
  ...objectCases,
  ...discoveryCases,
  ...refusalCases,
];
