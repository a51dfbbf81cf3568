// npm run crds: writes config/crds/ from the schemas in controllers/.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { crdFiles } from '../controllers/crds/crd-files.ts';

const folder = path.join(import.meta.dirname, '..', 'config', 'crds');
mkdirSync(folder, { recursive: true });
for (const [file, text] of crdFiles((value) => stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 }))) {
  writeFileSync(path.join(folder, file), text);
  console.log(`config/crds/${file}`);
}
