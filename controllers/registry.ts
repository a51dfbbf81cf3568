// Every controller of the process. To add one: write its folder, and name its factory here.
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { Api } from './machinery/api.ts';
import type { Controller } from './machinery/controller.ts';
import type { Recorder } from './machinery/event-recorder.ts';
import type { InformerSet } from './machinery/informer.ts';
import { appSetController } from './app-set/controller.ts';
import { certificateApprover } from './certificate-approver/certificate-approver.ts';
import { membershipController } from './membership/membership-controller.ts';
import { nodePoolController } from './node-pool/node-pool-controller.ts';
import { poolNodesController } from './node-pool/pool-nodes-controller.ts';
import { tunnelCertificateController } from './tunnel-certificate/tunnel-certificate.ts';

/** What controllers are made of. */
export interface ControllerParts {
  readonly api: Api;
  readonly informers: InformerSet;
  readonly recorder: Recorder;
  readonly log: Log;
  readonly clock: Clock;
  /** For metrics of their own. */
  readonly metrics: Metrics;
  /** As Math.random. */
  readonly random: () => number;
}

/** Several controllers where they share what they know. */
export type ControllerFactory = (parts: ControllerParts) => Controller | readonly Controller[];

export const controllerFactories: readonly ControllerFactory[] = [
  nodePoolController,
  poolNodesController,
  membershipController,
  certificateApprover,
  appSetController,
  tunnelCertificateController,
];
