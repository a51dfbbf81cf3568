// Metrics of identities other than the node's.
import type { Counter, Gauge, Metrics } from '../../runtime/metrics.ts';

export interface IdentityMetrics {
  readonly keys: Gauge;
  readonly keyReads: Counter<'outcome'>;
  readonly tokenChecks: Counter<'outcome'>;
  readonly accessReviews: Counter<'outcome'>;
  readonly refusals: Counter<'code'>;
  readonly settingsReads: Counter<'outcome'>;
}

export const tokenCheckOutcomes = [
  'valid',
  'expired',
  'not_yet_valid',
  'signature',
  'audience',
  'claims',
  'rejected',
  'revoked',
  'unbound',
  'unknown',
] as const;
export type TokenCheckOutcome = (typeof tokenCheckOutcomes)[number];

export function identityMetrics(metrics: Metrics): IdentityMetrics {
  const made: IdentityMetrics = {
    keys: metrics.gauge('holdfast_yurthub_token_keys', 'Public keys by which tokens can be verified without the cloud'),
    keyReads: metrics.counter('holdfast_yurthub_token_key_reads_total', 'Times that the key set was asked for', [
      'outcome',
    ]),
    tokenChecks: metrics.counter('holdfast_yurthub_token_checks_total', 'Bearer tokens judged by the hub', ['outcome']),
    accessReviews: metrics.counter(
      'holdfast_yurthub_access_reviews_total',
      'Times that the API server was asked what a service account may read',
      ['outcome'],
    ),
    refusals: metrics.counter(
      'holdfast_yurthub_token_refusals_total',
      'Requests with a token that were refused while the cloud was out of reach',
      ['code'],
    ),
    settingsReads: metrics.counter(
      'holdfast_yurthub_caching_settings_reads_total',
      'Times that the ConfigMap with the service accounts to keep views for was read',
      ['outcome'],
    ),
  };
  for (const outcome of ['read', 'forbidden', 'absent', 'failed']) made.keyReads.inc({ outcome }, 0);
  for (const outcome of ['allowed', 'denied', 'failed']) made.accessReviews.inc({ outcome }, 0);
  for (const code of ['401', '403']) made.refusals.inc({ code }, 0);
  for (const outcome of ['applied', 'absent', 'forbidden', 'invalid']) made.settingsReads.inc({ outcome }, 0);
  for (const outcome of tokenCheckOutcomes) made.tokenChecks.inc({ outcome }, 0);
  return made;
}
