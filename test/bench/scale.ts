// How long the benchmark measures.

export interface Scale {
  readonly rounds: number;
  readonly warmUpSeconds: number;
  readonly getSeconds: number;
  readonly watchSeconds: number;
  readonly warmLists: number;
  readonly largeListsBesideLease: number;
  /** How long a link stays cut before it heals. */
  readonly outageSeconds: number;
  /** Between the first requests of the kubelet stand-in and the reading of idle memory. */
  readonly settleSeconds: number;
  /** The same before the uplink of an idle node is metered, and for how long it is: watches are renewed every 5 to 10 minutes. */
  readonly idleSettleSeconds: number;
  readonly idleMinutes: number;
  /** Read memory once more a minute after the large lists. */
  readonly minuteLater: boolean;
  readonly slopeMinutes: number;
}

export const fullScale: Scale = {
  rounds: 3,
  warmUpSeconds: 5,
  getSeconds: 3,
  watchSeconds: 10,
  warmLists: 3,
  largeListsBesideLease: 8,
  outageSeconds: 20,
  settleSeconds: 30,
  idleSettleSeconds: 60,
  idleMinutes: 12,
  minuteLater: true,
  slopeMinutes: 10,
};

/** Shows that everything can be measured; its figures are indications. */
export const quickScale: Scale = {
  rounds: 1,
  warmUpSeconds: 2,
  getSeconds: 1,
  watchSeconds: 2,
  warmLists: 1,
  largeListsBesideLease: 3,
  outageSeconds: 4,
  settleSeconds: 5,
  idleSettleSeconds: 10,
  idleMinutes: 1.5,
  minuteLater: false,
  slopeMinutes: 0.5,
};
