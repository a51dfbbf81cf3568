// Two web servers behind a Service, and a client of it in a pod on the same node, which counts.
import { core } from '../../cluster/manifest.ts';
import type { Manifest } from '../../cluster/manifest.ts';

export interface Place {
  /** One of its own for each node. */
  namespace: string;
  node: string;
  /** Folder of the node in which the client writes `count`: served, failed. */
  clientFolder: string;
  image: string;
}

const server = 'mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www';
/** By the Service's address, and a new connection each time. */
const client = `ok=0; bad=0
while :; do
  if timeout 3 wget -q -O /dev/null "http://$WEB_SERVICE_HOST/"; then ok=$((ok + 1)); else bad=$((bad + 1)); fi
  echo "$ok $bad" > /data/count.new; mv /data/count.new /data/count
  sleep 0.1
done`;

/** In an order in which the client finds the Service in its environment. */
export function applicationManifests({ namespace, node, clientFolder, image }: Place): Manifest[] {
  const pod = (name: string, script: string, extra: Record<string, unknown>): Manifest =>
    core(namespace, 'pods', 'Pod', {
      metadata: { name, labels: { app: name.split('-')[0] } },
      spec: {
        nodeName: node,
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'main',
            image,
            command: ['sh', '-c', script],
            ...(extra['volumes'] === undefined ? {} : { volumeMounts: [{ name: 'data', mountPath: '/data' }] }),
          },
        ],
        ...extra,
      },
    });
  return [
    core(namespace, 'services', 'Service', {
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    }),
    pod('web-1', server, {}),
    pod('web-2', server, {}),
    pod('client', client, { volumes: [{ name: 'data', hostPath: { path: clientFolder } }] }),
  ];
}
