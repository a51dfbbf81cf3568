// Edge to cloud and edge to edge: programs on a node behind NAT use the agent's local port, and reach what the lists of both ends allow.
import { registryPort } from '../../cluster/network.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { expectThat } from '../report.ts';
import { podAddress } from './scrapes.ts';
import { localPort, type TunnelStage } from './stage.ts';

export async function outgoing(stage: TunnelStage): Promise<void> {
  const { report, cluster } = stage;
  const { plane } = cluster;
  const [first, second] = stage.nodes;
  if (first === undefined || second === undefined) throw new Error('no nodes');
  const registry = `http://${plane.address}:${registryPort}/v2/`;
  const api = `https://${plane.address}:${plane.port}/readyz`;

  await report.check('HTTP and HTTPS from an edge node to the cloud', async () => {
    const said = await curl(first, ['-o', '/dev/null', '-w', '%{http_code}', registry]);
    expectThat(said === '200', `the registry: ${said}`);
    const ready = await curl(first, ['--cacert', plane.caFile, api]);
    expectThat(ready === 'ok', `the API server: ${ready}`);
  });
  await report.check("TCP from an edge node to another site's pod", async () => {
    const address = await podAddress(stage, second.name);
    const page = await curl(first, ['--proxytunnel', `http://${address}:8080/`]);
    expectThat(page === `${second.name}\n`, page);
  });
  await report.check('what a list does not allow is refused, by the server and by the agent', async () => {
    const address = await podAddress(stage, first.name);
    const other = await curl(second, ['--proxytunnel', `http://${address}:8080/`]);
    expectThat(/403 .*node site-b of pool pool-of-site-b may not reach/.test(other), other);
    const cloud = await curl(second, [registry, '-i']);
    expectThat(/403 .*may not reach/.test(cloud), cloud);
    const local = await curl(first, ['--proxytunnel', 'http://example.com/']);
    expectThat(/403 no entry of localTargets allows example.com:80/.test(local), local);
    return /403 .*/.exec(other)?.[0];
  });
}

/** Through the node's local port; what came back, or what curl shows of the proxy's answer. */
async function curl(node: EdgeNode, args: readonly string[]): Promise<string> {
  const proxy = ['--proxy', `http://127.0.0.1:${localPort}`, '--noproxy', ''];
  // curl shows the proxy's answer in its trace alone.
  const script = '"$@" 2>/tmp/curl.$$ || cat /tmp/curl.$$; rm -f /tmp/curl.$$';
  const argv = ['sh', '-c', script, 'sh', 'curl', '-sS', '-v', '--max-time', '20', ...proxy, ...args];
  return await node.enter(argv);
}
