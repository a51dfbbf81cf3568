import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { stringify } from 'yaml';
import { crdFiles } from './crd-files.ts';

const folder = path.join(__dirname, '..', '..', 'config', 'crds');

test('config/crds is what the schemas say (npm run crds writes it)', () => {
  const wanted = crdFiles((value) => stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 }));
  const found = readdirSync(folder).filter((file) => file.endsWith('.yaml') && file !== 'kustomization.yaml');
  expect(found.sort()).toEqual([...wanted.keys()].sort());
  for (const [file, text] of wanted) expect(readFileSync(path.join(folder, file), 'utf8')).toBe(text);
});
