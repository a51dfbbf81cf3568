// The cloud goes on while a node is cut off: writes that fill the API server's watch cache, so that a node that returns
// cannot resume its watches (410 Gone).
import type { ApiClient } from '../../cluster/api-client.ts';
import { namespace } from '../workload.ts';

const everyMs = 200;
const collection = `/api/v1/namespaces/${namespace}/configmaps`;

export class CloudWrites {
  readonly #cloud: ApiClient;
  #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #count = 0;

  constructor(cloud: ApiClient) {
    this.#cloud = cloud;
  }

  /** Writes made since the start. */
  get count(): number {
    return this.#count;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'noise' }, data: { count: '0' } };
    await this.#cloud.rawRequest('POST', collection, body); // 409 when an earlier run made it
    while (!signal.aborted) {
      this.#count += 1;
      await this.#cloud.request('PATCH', `${collection}/noise`, { data: { count: String(this.#count) } });
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }
}
