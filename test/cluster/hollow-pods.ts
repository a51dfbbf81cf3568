// Pods without nodes: what a scheduler and kubelets would do for the pods of one cluster, as far as workloads see it. Pods
// become ready, unless their image is among the broken ones, and vanish when they are deleted.
import type { ApiClient } from './api-client.ts';

interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly containers: readonly { readonly name: string; readonly image: string }[] };
  readonly status?: { readonly phase?: string };
}

export class HollowPods {
  /** Pods with one of these images never get ready. */
  readonly brokenImages = new Set<string>();
  readonly #api: ApiClient;
  readonly #stop = new AbortController();
  readonly #pods = new Map<string, Pod>();
  #running: Promise<void> = Promise.resolve();

  constructor(api: ApiClient) {
    this.#api = api;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** An image that was broken can be pulled now. */
  async mend(image: string): Promise<void> {
    this.brokenImages.delete(image);
    await Promise.all([...this.#pods.values()].map((pod) => this.#tend(pod)));
  }

  async #run(): Promise<void> {
    const tending = new Set<Promise<void>>();
    while (!this.#stop.signal.aborted) {
      for await (const { type, object } of this.#api.watch<Pod>('/api/v1/pods', this.#stop.signal)) {
        if (type === 'DELETED') this.#pods.delete(object.metadata.uid);
        if (type !== 'ADDED' && type !== 'MODIFIED') continue;
        this.#pods.set(object.metadata.uid, object);
        const tended = this.#tend(object).finally(() => tending.delete(tended));
        tending.add(tended);
      }
    }
    await Promise.all(tending);
  }

  async #tend({ metadata, spec, status }: Pod): Promise<void> {
    const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
    // Whoever was faster leads to another event; answers of 404 and 409 need nothing here.
    if (metadata.deletionTimestamp !== undefined) {
      await this.#api.rawRequest('DELETE', `${path}?gracePeriodSeconds=0`);
      return;
    }
    if (status?.phase === 'Running' || spec.containers.some(({ image }) => this.brokenImages.has(image))) return;
    const now = new Date().toISOString();
    const conditions = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: now,
    }));
    const body = { metadata: { uid: metadata.uid }, status: { phase: 'Running', conditions } };
    await this.#api.rawRequest('PATCH', `${path}/status`, body);
  }
}
