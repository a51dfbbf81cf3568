// (b) The cloud vanishes without a word. Names, services and the clients of the API go on.
import { setTimeout as sleep } from 'node:timers/promises';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expectThat } from '../report.ts';
import { headlessIsRight, noneFailed, serviceAnswers } from './checks.ts';
import { clientState } from './client-state.ts';
import type { Stage } from './stage.ts';

/** Holds the cut for a while, in which `plain` is free for `measurePlain`. It stays cut. */
export async function cut(stage: Stage, measurePlain: () => Promise<void>): Promise<void> {
  const { report, edge } = stage;
  const holdMs = stage.quick ? 15_000 : 120_000;
  const before = clientState(edge);
  const complaintsBefore = new Set(complaints(stage));
  await edge.link.apply({ kind: 'drop' });
  const started = performance.now();
  await Promise.all([sleep(holdMs, undefined, { signal: stage.signal }), measurePlain()]);

  await report.check('no attempt of the client has failed since the cut', () => {
    const found = noneFailed(before, clientState(edge));
    return `in ${Math.round((performance.now() - started) / 1000)} s ${found}`;
  });
  await report.check('the watch in the pod stays or is resumed, and its store is whole', () => {
    const now = clientState(edge);
    expectThat(now.watches <= before.watches + 1, `${now.watches - before.watches} requests for a watch`);
    expectThat(
      JSON.stringify(now.configMaps) === JSON.stringify(before.configMaps),
      `${JSON.stringify(now.configMaps)}, before ${JSON.stringify(before.configMaps)}`,
    );
    return now.watches === before.watches ? 'it stayed' : 'it was resumed';
  });
  await report.check('each pod still answers for the service', () => serviceAnswers(stage, edge, 180_000));
  await report.check('names still lead to the pods', () => headlessIsRight(stage, stage.deadline(2_000)));
  await report.check('kube-proxy and CoreDNS have no complaint about the API', () => {
    const found = complaints(stage).filter((line) => !complaintsBefore.has(line));
    expectThat(found.length === 0, found.slice(0, 5).join('\n'));
  });
}

/** client-go's errors and warnings about lists and watches, and whatever CoreDNS says of the API after its start. */
const complaint = / F (?:[EW]\d{4} .*(?:reflector|watch|list)|\[\w+\] plugin\/kubernetes)/i;

/** In the logs of both; each line has its own time. */
function complaints(stage: Stage): string[] {
  const folder = stage.edge.file('/var/log/pods');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.startsWith('kube-system_') && file.endsWith('.log'))
    .flatMap((file) => readFileSync(path.join(folder, file), 'utf8').split('\n'))
    .filter((line) => complaint.test(line));
}
