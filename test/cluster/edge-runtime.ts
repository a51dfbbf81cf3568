// How an edge host starts Node.js, for what stands in for one: as config/node/supervise.sh does. A test holds the two together.

export const edgeNodeFlags: readonly string[] = ['--max-semi-space-size=2', '--max-old-space-size=96'];

export const edgeEnvironment: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TRIM_THRESHOLD_: '131072',
  MALLOC_TOP_PAD_: '65536',
};
