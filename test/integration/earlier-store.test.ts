// What a hub of an earlier version kept is there for the hub of today, which finds it on a node whose cloud is gone.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { projectRoot } from '../cluster/project-root.ts';
import { caPem, issue } from '../../yurthub/uplink/far-end.ts';
import { questions, type Expected } from './earlier-store/questions.ts';
import { HubUnderTest } from './hub-under-test.ts';

const node = issue('system:node:edge1', 'client');
const nowhere = 'https://127.0.0.1:1';
const json = { 'content-type': 'application/json' };

/** What an answer means: bytes, but for Tables and the like there is nothing here that bytes do not say. */
const shown = ({ target, status, type, body }: Expected): unknown => ({
  target,
  status,
  type,
  body: type.includes('json') ? (JSON.parse(Buffer.from(body, 'base64').toString()) as unknown) : body,
});

describe.each(['before-segments', 'segments'])('a store of an earlier version: %s', (version) => {
  const kept = path.join(projectRoot(), 'test/integration/earlier-store', version);
  let hub: HubUnderTest;

  beforeEach(async () => {
    hub = await HubUnderTest.prepare({ apiServer: nowhere, ca: caPem, node });
    mkdirSync(hub.dataDir);
    execFileSync('tar', ['-xzf', path.join(kept, 'data.tar.gz'), '-C', hub.dataDir]);
  });
  afterEach(async () => {
    await hub.remove();
  });

  test('everything that it knew is answered as it was, also after a second start', async () => {
    const expected = JSON.parse(gunzipSync(readFileSync(path.join(kept, 'expected.json.gz'))).toString()) as Expected[];
    for (let start = 1; start <= 2; start += 1) {
      await hub.start();
      const answers: Expected[] = [];
      for (const { target, method = 'GET', headers, body } of questions) {
        const sent = { headers: { ...json, ...headers }, ...(body === undefined ? {} : { body }) };
        const answer = await hub.client.request(method, target, sent);
        const type = answer.headers['content-type'] ?? '';
        answers.push({ target, status: answer.status, type, body: answer.body.toString('base64') });
      }
      expect(answers.map(shown)).toEqual(expected.map(shown));
      expect(hub.said.filter((line) => line.startsWith('error'))).toEqual([]);
      await hub.stop();
    }
  });
});
