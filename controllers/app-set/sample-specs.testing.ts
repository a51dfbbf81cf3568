// For tests: app sets of one container.
import type { WorkloadSpec, WorkloadTweak } from './types.ts';

export interface SampleOptions {
  readonly image?: string;
  readonly replicas?: number;
  readonly tweaks?: readonly WorkloadTweak[];
}

const pods = (image: string): Readonly<Record<string, unknown>> => ({
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image }] },
});

export function deploymentSpec({ image = 'web:1', replicas, tweaks }: SampleOptions = {}): WorkloadSpec {
  return {
    workloadTemplate: {
      deploymentTemplate: {
        metadata: { labels: { app: 'web' } },
        spec: {
          ...(replicas === undefined ? {} : { replicas }),
          selector: { matchLabels: { app: 'web' } },
          template: pods(image),
        },
      },
    },
    ...(tweaks === undefined ? {} : { workloadTweaks: tweaks }),
  };
}

export function statefulSetSpec({ image = 'web:1', replicas }: SampleOptions = {}): WorkloadSpec {
  return {
    workloadTemplate: {
      statefulSetTemplate: {
        spec: {
          ...(replicas === undefined ? {} : { replicas }),
          serviceName: 'web',
          selector: { matchLabels: { app: 'web' } },
          template: pods(image),
        },
      },
    },
  };
}

export function daemonSetSpec({ image = 'web:1' }: SampleOptions = {}): WorkloadSpec {
  return {
    workloadTemplate: {
      daemonSetTemplate: { spec: { selector: { matchLabels: { app: 'web' } }, template: pods(image) } },
    },
  };
}
