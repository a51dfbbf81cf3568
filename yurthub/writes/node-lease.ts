// The node's Lease while the cloud is out of reach: the kubelet's renewals are acknowledged, so that it goes on as usual.
// The hub never renews the Lease itself: the node controller takes a renewed Lease for a living kubelet.
import { headerValue } from '../../runtime/headers.ts';
import type { ResourceRequest } from '../../kube/request-info.ts';
import { failure } from '../../kube/status.ts';
import { sendStatus } from '../answers.ts';
import type { HubRequest, HubResponse, Store, UpstreamReply } from '../types.ts';
import { needsCloud, readObject, RefusedError, sendWireObject, type WireObject } from './request-object.ts';

export class NodeLease {
  readonly #store: Store;
  readonly #nodeName: string;
  readonly #key: string;
  #last: WireObject | undefined;
  /** The uid of the Lease in the store: it is written once, not every ten seconds, since any version will do. */
  #storedUid: string | undefined;

  constructor(store: Store, nodeName: string) {
    this.#store = store;
    this.#nodeName = nodeName;
    this.#key = `lease/${nodeName}`;
  }

  async load(): Promise<void> {
    const record = await this.#store.get(this.#key);
    if (record === undefined) return;
    const end = record.indexOf(10);
    try {
      this.#last = readObject(record.subarray(end + 1), record.toString('latin1', 0, end));
      this.#storedUid = this.#last.item.uid;
    } catch {
      // A damaged record is as good as none: the next Lease from the cloud replaces it.
    }
  }

  /** Takes note of what the API server answered. May reject with StoreWriteError. */
  async keep(reply: UpstreamReply): Promise<void> {
    if (reply.statusCode !== 200 && reply.statusCode !== 201) return;
    const contentType = headerValue(reply.headers, 'content-type') ?? 'application/json';
    const lease = readObject(reply.body, contentType);
    if (lease.item.name !== this.#nodeName) return;
    this.#last = lease;
    if (lease.item.uid === this.#storedUid) return;
    await this.#store.write(
      [{ type: 'put', key: this.#key, value: Buffer.concat([Buffer.from(`${contentType}\n`), lease.body]) }],
      'written',
    );
    this.#storedUid = lease.item.uid;
  }

  /** Throws RefusedError for a body that is no Lease of this node. */
  answer(request: HubRequest, response: HubResponse, info: ResourceRequest, body: Buffer): void {
    if (info.verb === 'get') {
      if (this.#last === undefined) throw needsCloud('the Lease is not known');
      sendWireObject(request, response, 200, this.#last);
      return;
    }
    const sent = readObject(body, headerValue(request.headers, 'content-type'));
    if (sent.item.name !== this.#nodeName) {
      if (info.verb === 'update')
        throw new RefusedError(failure('BadRequest', 'holdfast: the name in the body is not that of the URL'));
      throw needsCloud('this is not the Lease of this node');
    }
    if (info.verb === 'update') {
      this.#last = sent;
      sendWireObject(request, response, 200, sent);
      return;
    }
    if (this.#last === undefined) throw needsCloud('the Lease is not known');
    const message = `leases.coordination.k8s.io "${this.#nodeName}" already exists`;
    sendStatus(request, response, failure('AlreadyExists', message));
  }
}
