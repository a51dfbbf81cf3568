// Everything about clients with a token, put together.
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { Store, Uplink } from '../types.ts';
import type { ViewBounds } from '../views/bounds.ts';
import type { ViewSet } from '../views/view-set.ts';
import { Accounts } from './accounts.ts';
import { Allowances } from './allowances.ts';
import { Authenticator, type PodLookup } from './authenticator.ts';
import { isKeptFor } from './caching-rules.ts';
import { CachingSettings } from './caching-settings.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { identityMetrics, type IdentityMetrics } from './metrics.ts';
import type { ServiceAccount } from './service-account.ts';

export interface IdentitiesParts {
  readonly store: Store;
  readonly uplink: Uplink;
  readonly pods: PodLookup;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

export interface IdentitiesSettings {
  readonly nodeName: string;
  readonly offlineTokenGraceSeconds: number;
  readonly accessRecheckSeconds: number;
  readonly userAgent: string;
}

const maxAllowances = 2_000;

export class Identities {
  /** Who may fill and read which view. */
  readonly allowances: Allowances;
  readonly #parts: IdentitiesParts;
  readonly #metrics: IdentityMetrics;
  readonly #issuer: IssuerKeys;
  readonly #authenticator: Authenticator;
  readonly #caching: CachingSettings;
  readonly #isKeptFor = (account: ServiceAccount): boolean => isKeptFor(this.#caching.rules, account);

  constructor(parts: IdentitiesParts, settings: IdentitiesSettings) {
    const { nodeName, userAgent } = settings;
    this.#parts = parts;
    this.#metrics = identityMetrics(parts.metrics);
    const inner = { ...parts, metrics: this.#metrics };
    this.#caching = new CachingSettings(inner);
    this.#issuer = new IssuerKeys(inner, { userAgent });
    this.#authenticator = new Authenticator(
      { ...inner, issuer: this.#issuer },
      { nodeName, offlineGraceMs: settings.offlineTokenGraceSeconds * 1_000, userAgent },
    );
    this.allowances = new Allowances(
      { ...inner, authenticator: this.#authenticator, isKeptFor: this.#isKeptFor },
      { maxCount: maxAllowances, recheckMs: settings.accessRecheckSeconds * 1_000, userAgent },
    );
    this.#caching.onChange(() => this.allowances.keptForOthers());
  }

  /** Of the views that are kept for service accounts, at present. */
  get bounds(): ViewBounds {
    return this.#caching.rules;
  }

  /** Reads what an earlier process kept. Rejects with StoreReadError. */
  async load(): Promise<void> {
    await Promise.all([this.#authenticator.load(), this.allowances.load(), this.#caching.load()]);
  }

  accounts(views: ViewSet): Accounts {
    return new Accounts({
      authenticator: this.#authenticator,
      allowances: this.allowances,
      views,
      isKeptFor: this.#isKeptFor,
      uplink: this.#parts.uplink,
      metrics: this.#metrics,
    });
  }

  /** Keeps keys, decisions and settings fresh until `signal` aborts. */
  async run(views: ViewSet, signal: AbortSignal): Promise<void> {
    await Promise.all([this.#issuer.run(signal), this.allowances.run(signal), this.#caching.run(views, signal)]);
  }
}
