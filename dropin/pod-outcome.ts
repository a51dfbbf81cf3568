// How a command that ran in a pod on a node tells the cloud what came of it: by the termination message of its container, which the
// kubelet reports with the pod's status, also from where nobody reaches the kubelet. Pure.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { exitStatus, type Outcome } from './outcome.ts';

/** Kubernetes cuts a container's message there (KEP-140: pkg/kubelet/container, MaxContainerTerminationMessageLength). */
const limitBytes = 4096;
/** What a person sees in `kubectl describe pod`. */
const sentenceBytes = 600;
/** Of what is unpacked: a message is not trusted to be as small as ours. */
const maxUnpackedBytes = 1 << 20;

/** A sentence for people, and in the line below it the outcome; of what does not fit, the least important is left out. */
export function packOutcome(outcome: Outcome): string {
  const sentence = cut([outcome.message, outcome.error ?? ''].join(' ').replaceAll(/\s+/g, ' ').trim(), sentenceBytes);
  const checks = outcome.checks.filter(({ verdict }) => verdict !== 'ok');
  const restartAdvised = outcome.restartAdvised.slice(0, 20);
  const candidates: Outcome[] = [
    outcome,
    { ...outcome, checks },
    { ...outcome, checks, steps: [] },
    { ...outcome, checks, steps: [], restartAdvised },
    {
      ...outcome,
      checks: checks.map((check) => ({ ...check, cause: cut(check.cause, 100), fix: cut(check.fix, 100) })),
      steps: [],
      restartAdvised: [],
      error: outcome.error === undefined ? undefined : cut(outcome.error, sentenceBytes),
    },
  ];
  const packed = candidates.map((each) => `${sentence}\n${deflateRawSync(JSON.stringify(each)).toString('base64')}`);
  return packed.find((text) => Buffer.byteLength(text) <= limitBytes) ?? sentence;
}

/** Undefined for what is no packed outcome. */
export function unpackOutcome(text: string): Outcome | undefined {
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  try {
    const bytes = inflateRawSync(Buffer.from(line, 'base64'), { maxOutputLength: maxUnpackedBytes });
    const outcome = JSON.parse(bytes.toString('utf8')) as Partial<Outcome>;
    const { outcome: verdict, message, checks, steps, restartAdvised } = outcome;
    if (verdict === undefined || !Object.hasOwn(exitStatus, verdict) || typeof message !== 'string') return undefined;
    if (![checks, steps, restartAdvised].every(Array.isArray)) return undefined;
    return outcome as Outcome;
  } catch {
    return undefined; // something else ended the container, and its message is for people
  }
}

/** At most so many bytes of UTF-8. */
function cut(text: string, bytes: number): string {
  const all = Buffer.from(text);
  // A character that is cut through becomes U+FFFD, of up to three bytes.
  return all.length <= bytes ? text : `${all.subarray(0, bytes - 6).toString('utf8')}…`;
}
