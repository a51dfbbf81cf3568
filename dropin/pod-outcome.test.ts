import { outcomeText, type Outcome } from './outcome.ts';
import { packOutcome, unpackOutcome } from './pod-outcome.ts';

const outcome: Outcome = {
  command: 'convert',
  outcome: 'done',
  node: 'a1',
  dryRun: false,
  checks: [],
  steps: [],
  seconds: 4.5,
  kubeletDownSeconds: 0.5,
  hubDownSeconds: undefined,
  resumed: undefined,
  restartAdvised: [],
  error: undefined,
  message: 'This node is converted.',
};
/** Text that no compression makes small. */
const noise = (length: number): string =>
  Array.from({ length }, (_, index) => ((index * 7919 + index ** 3) % 36).toString(36)).join('');

test('an outcome comes out as it went in, below a sentence for people', () => {
  const packed = packOutcome(outcome);
  expect(packed.split('\n')[0]).toBe('This node is converted.');
  expect(outcomeText(unpackOutcome(packed)!)).toBe(outcomeText(outcome));
});

test('what a dry run of a real node says fits whole', () => {
  const checks = Array.from({ length: 15 }, (_, index) => ({
    name: `check ${index}`,
    verdict: 'ok' as const,
    cause: `found ${noise(40 + index)}`,
    fix: '',
  }));
  const steps = Array.from({ length: 7 }, (_, index) => ({
    title: `Step ${index}`,
    changes: [`write /etc/systemd/system/unit-${index}.service (mode 0644)`, 'systemctl daemon-reload'],
  }));
  const whole = { ...outcome, dryRun: true, checks, steps };
  expect(JSON.parse(JSON.stringify(unpackOutcome(packOutcome(whole))))).toEqual(JSON.parse(JSON.stringify(whole)));
});

test('of what is too large the verdict and the reason stay', () => {
  const large = {
    ...outcome,
    outcome: 'stranded' as const,
    error: noise(9_000),
    checks: [{ name: 'disk', verdict: 'refused' as const, cause: noise(3_000), fix: noise(3_000) }],
    restartAdvised: Array.from({ length: 500 }, (_, index) => `default/${noise(40)}-${index}`),
  };
  const packed = packOutcome(large);
  expect(Buffer.byteLength(packed)).toBeLessThanOrEqual(4096);
  const found = unpackOutcome(packed);
  expect(found?.outcome).toBe('stranded');
  expect(large.error.startsWith(found?.error?.slice(0, 500) ?? '-')).toBe(true);
  expect(found?.checks[0]?.name).toBe('disk');
});

test.each([
  ['nothing', ''],
  ['the last lines of a log', 'holdfast convert: unexpected: Error\n    at main'],
  ['another thing in base64', `x\n${Buffer.from('hello').toString('base64')}`],
])('%s is no outcome', (_, text) => {
  expect(unpackOutcome(text)).toBeUndefined();
});
