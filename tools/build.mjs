// Bundles the program: dist/holdfast.mjs, and beside it dist/holdfast-controllers.mjs.
import path from 'node:path';
import { bundle } from './bundle.mjs';

await bundle(path.join(import.meta.dirname, '..'), 'dist');
