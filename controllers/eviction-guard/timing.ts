// Every duration by which the guard decides, in seconds of its own clock. `npm run simulate -- health` shows what they do.

export const timing = {
  /** The kubelet renews every 10 s: two renewals missed. */
  late: 20,
  /** A member counts as heard. */
  heard: 25,
  /** A report counts for so long after it came, and a probe in it for so long after it ended. */
  report: 25,
  probe: 30,
  /** Reports that are older than this, and younger than that, are about to be replaced: pods are not deleted before. */
  freshReport: 15,
  missingReport: 60,
  /** Members that have seen each other for so long are on one side. */
  together: 30,
  /** Cut off: before the node controller calls the node Unknown (50 s), and after a pause that a bad link may make. */
  cutOff: 40,
  /** Pods are deleted after so much silence: one more round of reports than the verdict itself takes. */
  act: 45,
  /** Between renewals of a Lease. */
  renewal: 10,
  /** The node's own hub says that the kubelet is down: as long as stock Kubernetes waits. */
  kubeletDown: 300,
  /** Members of a site that was silent as a whole may take so long to come back. */
  siteReturn: 300,
} as const;

/** How much it takes to call a node dead by what its witnesses did not see. */
export interface Proof {
  /** Silence that several witnesses must have seen, each by itself; one with whom others agree; and one alone. */
  readonly several: number;
  readonly agreed: number;
  readonly lone: number;
  /** A member counts as heard after what silenced the node, if its last sign came so much later than the node's. */
  readonly outlived: number;
}

/**
 * For the verdict, which anybody may see, and which a sign of life takes back. Reports come every ten seconds, so that it is said within
 * 28 s where none is lost.
 */
export const proofOfVerdict: Proof = { several: 17, agreed: 40, lone: 60, outlived: 12 };
/**
 * For what cannot be taken back. Two whose last renewals before the same cut came in different rounds are less than two rounds
 * apart, so that whoever was heard 20 s later was not cut by what silenced the node.
 */
export const proofToAct: Proof = { several: 30, agreed: 45, lone: 60, outlived: 20 };

/** Probes that must have failed in a row, beside the time, for silence to be more than a pause in probing. */
export const failuresNeeded = { several: 3, lone: 6 } as const;
/**
 * Chances that a node is well all the same, above which its pods are not deleted: that its own way to the cloud lost as many renewals in a
 * row as were missed, and that all probes of its witnesses failed. Both by what these links lost before.
 */
export const acceptedChance = { renewals: 1e-4, probes: 1e-6 } as const;
