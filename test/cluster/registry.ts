// The cluster's image registry: the pull half of the OCI distribution API for the few images of images.ts, over plain
// HTTP in the cloud. A program of its own: registry.ts ADDRESS PORT.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buildImage, nodeImages, registryName } from './images.ts';
import type { Blob } from '../../release/oci-image.ts';

const [address, port] = process.argv.slice(2);

/** By path below /v2/: manifests by tag and by digest, blobs by digest. */
const served = new Map<string, Blob>();
for (const { name, manifest, config, layers } of nodeImages.map(buildImage)) {
  if (!name.startsWith(`${registryName}/`)) continue;
  const [repository = '', tag = ''] = name.slice(registryName.length + 1).split(':');
  for (const reference of [tag, manifest.digest]) served.set(`${repository}/manifests/${reference}`, manifest);
  for (const blob of [config, ...layers]) served.set(`${repository}/blobs/${blob.digest}`, blob);
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? '/', 'http://registry').pathname;
  const blob = served.get(path.replace(/^\/v2\//, ''));
  if (path === '/v2/') response.writeHead(200).end();
  else if (blob === undefined) response.writeHead(404).end();
  else {
    response.writeHead(200, {
      'content-type': blob.mediaType,
      'content-length': blob.content.length,
      'docker-content-digest': blob.digest,
    });
    response.end(request.method === 'HEAD' ? undefined : blob.content);
  }
}

createServer(answer).listen(Number(port), address);
