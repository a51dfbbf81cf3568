// How a control plane's host starts Node.js for the tunnel server, for what stands in for one: as the unit and the static pod of
// config/tunnel do. A test holds them together.

export const tunnelServerEnvironment: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '1',
  // Pieces that pass by are garbage at once. In a young generation of 16 MiB so many of them wait that V8 marks the whole heap for their
  // sake: two fifths of the processor time of a large copy, and 20 MiB.
  NODE_OPTIONS: '--max-semi-space-size=1',
};
