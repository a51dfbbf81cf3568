// Durations as Go writes them, which is what Kubernetes' annotations and flags hold.

const unitSeconds: Readonly<Record<string, number>> = {
  h: 3600,
  m: 60,
  s: 1,
  ms: 1e-3,
  us: 1e-6,
  '\u00b5s': 1e-6,
  ns: 1e-9,
};

/** Seconds of a text such as `24h`, `1h30m` or `90s` (Go's time.ParseDuration, not negative); undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d*)?(h|m|s|ms|us|\u00b5s|ns))+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d*)?)(h|ms|m|s|us|\u00b5s|ns)/g))
    seconds += Number(amount) * unitSeconds[unit!]!;
  return seconds;
}
