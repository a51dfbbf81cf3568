// (b) and (c): the power fails while the cloud is gone. Nobody but the hub can tell the kubelet what ran here.
import type { EdgeNode } from '../../cluster/node.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

const ratioFigure = 1.3;
const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Times of the same reboot on the connected node, in ms. */
export async function yardstick(stage: Stage): Promise<number[]> {
  const times: number[] = [];
  await stage.report.check('yardstick: reboot of a connected node without the hub', async () => {
    for (let round = 0; round < rounds(stage); round += 1) times.push((await stage.rebootPlain()).ms);
    return seconds(times);
  });
  return times;
}

export async function rebootOffline(stage: Stage, connectedMs: readonly number[]): Promise<void> {
  const times: number[] = [];
  await stage.report.check('all pods are Ready after a reboot with the cloud gone', async () => {
    for (let round = 0; round < rounds(stage); round += 1) times.push((await stage.rebootEdge()).ms);
    return seconds(times);
  });
  await stage.report.check(`within ${ratioFigure} times the connected reboot`, () => {
    expectThat(times.length > 0 && connectedMs.length > 0, 'not measured');
    const ratio = median(times) / median(connectedMs);
    expectThat(
      stage.quick || ratio <= ratioFigure,
      `${ratio.toFixed(2)} times (${seconds(times)} against ${seconds(connectedMs)})`,
    );
    return `${ratio.toFixed(2)} times${stage.quick ? ', judged in the full form' : ''}`;
  });
}

export async function rebootWithExpiredCredentials(stage: Stage): Promise<void> {
  const { report, edge } = stage;
  await report.check(
    "again, two days on by the hub's clock, so that all saved tokens and the kubelet's certificate have expired",
    async () => {
      const { ms } = await stage.rebootEdge({ clockOffsetDays: 2 }, () => expireCertificate(edge));
      return seconds([ms]);
    },
  );
  await checkTokens(stage);
}

export async function rebootWithOldClock(stage: Stage): Promise<void> {
  await stage.report.check("again, with the hub's clock five years back and the certificate expired", async () => {
    const { ms } = await stage.rebootEdge({ clockOffsetDays: -5 * 365 }, () => expireCertificate(stage.edge));
    return seconds([ms]);
  });
  await checkTokens(stage);
}

/** What would have happened by itself to a kubelet that could not renew: it ended a minute ago. */
function expireCertificate(node: EdgeNode): void {
  node.issueCertificate({ notBefore: new Date(Date.now() - 365 * dayMs), notAfter: new Date(Date.now() - minuteMs) });
}

/** Each pod of the application has a token of the API server's, for this pod. */
async function checkTokens(stage: Stage): Promise<void> {
  await stage.report.check('each application pod has its own projected token', async () => {
    const pods = (await stage.edgePods()).filter((pod) => pod.metadata.labels?.['app'] === 'application');
    expectThat(pods.length > 0, 'no application pods');
    for (const pod of pods) {
      const file = '/var/run/secrets/kubernetes.io/serviceaccount/token';
      const token = await stage.edge.execInPod(pod.metadata.uid, 'main', ['cat', file]);
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
        'kubernetes.io': { pod: { uid: string } };
      };
      const uid = claims['kubernetes.io'].pod.uid;
      expectThat(uid === pod.metadata.uid, `${pod.metadata.name} has a token of pod ${uid}`);
    }
  });
}

function rounds(stage: Stage): number {
  return stage.quick ? 2 : 3;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function seconds(ms: readonly number[]): string {
  return ms.map((value) => `${(value / 1000).toFixed(1)} s`).join(', ');
}
