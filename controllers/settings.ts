// The settings of `holdfast controllers`.
import { readSettings, type RawSettings, type SettingsOf, type SettingsSchema } from '../runtime/settings.ts';

export const controllersSettingsSchema = {
  kubeconfig: {
    type: 'file',
    doc: 'Kubeconfig to reach the API server with. Not needed in a pod, which has its service account.',
  },
  leaseNamespace: {
    type: 'text',
    default: 'kube-system',
    doc: 'Namespace of the Lease holdfast-controllers, by which one of several replicas leads.',
  },
  leaseSeconds: {
    type: 'count',
    default: 15,
    min: 3,
    max: 300,
    doc: 'So long after the last sign of the leader another replica takes over, in seconds; the leader itself gives up after two thirds of it.',
  },
  requestsPerSecond: {
    type: 'count',
    default: 200,
    min: 5,
    max: 10_000,
    doc: 'Requests to the API server per second, watches apart; twice as many at once after a pause.',
  },
  evictionGuard: {
    type: 'boolean',
    default: true,
    doc: 'Tell dead nodes of pools from those that are cut off, and see to their pods. Nodes without a hub are left to Kubernetes.',
  },
  podStaySeconds: {
    type: 'count',
    default: 86_400,
    min: 300,
    max: 315_360_000,
    doc: 'How long pods stay on a node that is cut off, where neither the node nor its pool says so.',
  },
  opsListen: {
    type: 'address',
    default: '127.0.0.1:10270',
    doc: 'Address of /healthz, /readyz and /metrics (plain HTTP).',
  },
  logLevel: { type: ['error', 'warn', 'info', 'debug'], default: 'info', doc: 'Least severe level that is logged.' },
} as const satisfies SettingsSchema;

export type ControllersSettings = SettingsOf<typeof controllersSettingsSchema>;

/** Throws SettingsError. */
export function readControllersSettings(flags: RawSettings): ControllersSettings {
  return readSettings(controllersSettingsSchema, flags);
}
