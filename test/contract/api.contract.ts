// The contract: one table of cases, asked four times. What the API server itself answers is what counts; a hub has to
// answer the same, online, cut off, and started again while it is, but for the differences that the table allows.
import { initialEventsEndAnnotation } from '../../kube/watch-event-type.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import type { Answer, Asker } from './asker.ts';
import { cases } from './cases.ts';
import { differences, isAllowed, type Allowance } from './comparison.ts';
import { alwaysAllowed, type ContractCase, type Known } from './contract-case.ts';
import { Stage } from './stage.ts';

/** Watches wait for their time-out, so cases are asked side by side; not more than a client has. */
const sideBySide = 16;

describeWithApiserver('the Kubernetes contract', () => {
  let stage: Stage;
  let direct: Map<string, readonly Answer[] | Error>;
  let online: Map<string, readonly Answer[] | Error>;
  let offline: Map<string, readonly Answer[] | Error>;
  let restarted: Map<string, readonly Answer[] | Error>;

  beforeAll(async () => {
    stage = await Stage.start();
    direct = await askAll(stage.direct, stage.known);
    [online, offline] = await Promise.all([askAll(stage.online, stage.known), askAll(stage.offline, stage.known)]);
    restarted = await askAll(await stage.restarted(), stage.known);
  });
  afterAll(async () => {
    await stage?.stop();
  });

  test('every name stands once', () => {
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  });

  describe('at the API server', () => {
    test.each(cases.map((line) => [line.name, line] as const))('%s', (name, line) => {
      expect(answersOf(direct, name).map(({ status }) => status)).toEqual(line.statuses);
    });
  });

  describe('through the hub, online', () => {
    test.each(cases.map((line) => [line.name, line] as const))('%s', (name, line) => {
      expectSame(answersOf(direct, name), answersOf(online, name), line.online ?? []);
    });
  });

  describe('through the hub, cut off', () => {
    test.each(cases.map((line) => [line.name, line] as const))('%s', (name, line) => {
      expectOffline(line, answersOf(direct, name), answersOf(offline, name));
    });
  });

  describe('through the hub, cut off and started again', () => {
    test.each(cases.map((line) => [line.name, line] as const))('%s', (name, line) => {
      expectOffline(line, answersOf(direct, name), answersOf(restarted, name));
    });
  });
});

function expectOffline(line: ContractCase, direct: readonly Answer[], answers: readonly Answer[]): void {
  if (line.offlineInstead === undefined) expectSame(direct, answers, line.offline ?? []);
  else expect(answers.map(({ status }) => status)).toEqual(line.offlineInstead.statuses);
  for (const answer of answers) if (answer.status === 503) expectToSayWhenToAsk(answer);
}

function expectSame(direct: readonly Answer[], hub: readonly Answer[], allowances: readonly Allowance[]): void {
  const found = differences(comparable(direct), comparable(hub));
  const allowed = [...alwaysAllowed, ...allowances];
  const unexpected = found.filter((difference) => !allowed.some((allowance) => isAllowed(difference, allowance)));
  expect(unexpected).toEqual([]);
  // An allowance that nothing needs any more only hides the next fault.
  const unused = allowances.filter((allowance) => !found.some((difference) => isAllowed(difference, allowance)));
  expect(unused).toEqual([]);
}

/** Tokens to go on with, bookmarks and refusals name the server's version, which differs; that there is one is what counts. */
function comparable(answers: readonly Answer[]): unknown {
  return JSON.parse(
    JSON.stringify(answers, (key, value: unknown) => {
      if (key === 'continue' && value !== '') return '…';
      if (key === 'message' && typeof value === 'string') return value.replace(/(current: |\()\d+/, '$1…');
      // Tables say how old objects are.
      if (key === 'cells' && Array.isArray(value)) return value.map((cell) => (isAge(cell) ? '…' : (cell as unknown)));
      // The API server sends them when it likes, but for the one that ends initial events.
      if (Array.isArray(value)) return value.filter((event) => !isBookmark(event) || endsInitialEvents(event));
      return isBookmark(value) ? withoutVersion(value) : value;
    }),
  );
}

function expectToSayWhenToAsk(answer: Answer): void {
  expect(answer).toMatchObject({ retryAfter: true, body: { kind: 'Status', reason: 'ServiceUnavailable', code: 503 } });
}

async function askAll(asker: Asker, known: Known): Promise<Map<string, readonly Answer[] | Error>> {
  const answers = new Map<string, readonly Answer[] | Error>();
  const waiting: ContractCase[] = [...cases];
  const askOne = async (): Promise<void> => {
    for (let line = waiting.shift(); line !== undefined; line = waiting.shift()) {
      const given = line.ask((target, question) => asker.ask(target, question), known);
      answers.set(line.name, await given.catch((error: unknown) => new Error(String(error))));
    }
  };
  await Promise.all(Array.from({ length: sideBySide }, askOne));
  return answers;
}

function answersOf(all: ReadonlyMap<string, readonly Answer[] | Error>, name: string): readonly Answer[] {
  const answers = all.get(name) ?? new Error('was not asked');
  if (answers instanceof Error) throw answers;
  return answers;
}

interface Bookmark {
  readonly type: 'BOOKMARK';
  readonly object: unknown;
}

function isBookmark(value: unknown): value is Bookmark {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'BOOKMARK';
}

function endsInitialEvents(bookmark: Bookmark): boolean {
  return JSON.stringify(bookmark).includes(initialEventsEndAnnotation);
}

/** Wherever a bookmark says its version: as a Table it says it twice. */
function withoutVersion({ type, object }: Bookmark): unknown {
  const text = JSON.stringify(object, (key, value: unknown) =>
    key === 'resourceVersion' && typeof value === 'string' && /^[1-9]\d*$/.test(value) ? '…' : value,
  );
  return { type, object: JSON.parse(text) as unknown };
}

function isAge(cell: unknown): boolean {
  return typeof cell === 'string' && /^(\d+[smhdy])+$/.test(cell);
}
