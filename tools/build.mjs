// Bundles the program: dist/holdfast.mjs, and beside it dist/holdfast-controllers.mjs.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { bundle } from './bundle.mjs';

const root = path.join(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
await bundle(root, 'dist', version);
