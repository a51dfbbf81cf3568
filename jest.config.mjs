// Tests are compiled by swc to CommonJS, file by file; types are checked apart (npm run check).
export default {
  testEnvironment: 'node',
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  modulePathIgnorePatterns: ['/dist/'],
  moduleFileExtensions: ['ts', 'js', 'mjs', 'json', 'node'],
  extensionsToTreatAsEsm: [],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2023' }, module: { type: 'commonjs' } },
    ],
  },
  // An emergency brake for a test that hangs, never a judgement: a shared machine may be ten times as slow as one of its own.
  testTimeout: 300_000,
  maxWorkers: 2,
};
