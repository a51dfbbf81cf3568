// holdfast join: kubeadm makes the machine a node, and convert puts the hub on it. A file says that a join is underway, so that a run
// that was killed is told from a machine that somebody else made a node.
import { convert } from './convert.ts';
import { DropInError } from './errors.ts';
import { kubeletConf, nodeFacts } from './facts.ts';
import { Journal } from './journal.ts';
import { joinConfiguration, type JoinSettings, type JoinTarget } from './join-target.ts';
import type { Kubeadm } from './kubeadm-program.ts';
import type { Outcome } from './outcome.ts';
import { kubeadm as places, ours } from './places.ts';
import { isKubeProxy, isReady, podsOf } from './pods.ts';
import { preflight, supportedMinors, type Check } from './preflight.ts';
import { Run, type CommandParts, type CommandSettings } from './run.ts';
import { waitUntil } from './wait.ts';

export interface JoinParts extends CommandParts {
  readonly kubeadm: Kubeadm;
}

/** Checks of a conversion that have a meaning before there is a node. */
const shared = new Set(['root', 'archive', 'distribution', 'systemd', 'role', 'ports', 'disk', 'ip', 'leftovers']);
const sockets = ['/run/containerd/containerd.sock', '/var/run/crio/crio.sock', '/run/crio/crio.sock'];
/** kube-proxy of a new node comes a moment after it. */
const proxyMs = 30_000;

/** Never rejects for what happens on the machine: that is an outcome. Rejects with ERR_DROPIN_JOURNAL, and when it is told to stop. */
export async function join(
  parts: JoinParts,
  target: JoinTarget,
  joining: Omit<JoinSettings, 'timeoutMs'>,
  settings: CommandSettings,
): Promise<Outcome> {
  const { files, progress } = parts;
  const run = new Run('join', parts, settings);
  const begun = (await files.stat(ours.joining)) !== undefined;
  const journal = await Journal.open(files);
  const hasConf = (await files.stat(places.kubeconfig)) !== undefined;
  if (!begun || !hasConf) run.checks = await checksOf(parts, hasConf);
  const refused = run.checks.filter(({ verdict }) => verdict === 'refused');
  if (refused.length > 0)
    return run.outcome('refused', `Nothing was changed: ${refused.map(({ name }) => name).join(', ')}.`);
  run.steps = [
    {
      title: `Make this machine a node of the cluster at ${target.server}`,
      changes: ['kubeadm join, which gets the token by its standard input', 'wait until the node is Ready'],
    },
    { title: 'Put the hub on it', changes: ['holdfast convert, whose --dry-run says more once the machine is a node'] },
  ];
  if (settings.dryRun) return run.outcome('done', 'Nothing was changed (--dry-run).');
  if (journal === undefined) {
    const problem = await makeNode(parts, target, joining, settings, begun);
    if (problem !== undefined) {
      const { why, worse } = problem;
      if (worse !== undefined) return run.stranded(`${why}; and on the way back: ${worse}`, 'holdfast join');
      return run.outcome('rolled-back', 'The machine did not become a node, and is as it was before.', why);
    }
  }
  progress.begin('The machine is a node; the hub is put on it');
  progress.end();
  const outcome = await convert(parts, settings);
  await files.remove(ours.joining);
  await files.removeEmptyFolder(ours.data);
  const message =
    outcome.outcome === 'done'
      ? `This machine is node ${outcome.node} of the cluster, with the hub: holdfast status says how it is.`
      : `This machine is a node of the cluster, without the hub; holdfast convert tries again. ${outcome.message}`;
  return { ...outcome, command: 'join', message };
}

/** Undefined when there is a node that is Ready; else why not, and the machine is as before, or why that is not so. */
async function makeNode(
  { host, files, kubeadm, progress }: JoinParts,
  target: JoinTarget,
  joining: Omit<JoinSettings, 'timeoutMs'>,
  { timeoutMs }: CommandSettings,
  begun: boolean,
): Promise<{ why: string; worse: string | undefined } | undefined> {
  const hasConf = async (): Promise<boolean> => (await files.stat(places.kubeconfig)) !== undefined;
  const message = (problem: unknown): string => (problem instanceof Error ? problem.message : String(problem));
  // Of a run that was killed; it may come to its end without it.
  const busy = await waitUntil(host, progress, 'no other kubeadm runs on this machine', timeoutMs, async () =>
    (await kubeadm.isRunning()) ? 'one does' : undefined,
  ).catch(message);
  if (busy !== undefined) return { why: busy, worse: undefined };
  try {
    if (!(await hasConf())) {
      progress.begin(`Make this machine a node of the cluster at ${target.server}`);
      await files.makeFolder(ours.data, 0o700);
      await files.write(ours.joining, '', { mode: 0o600 });
      // What that run left kubeadm would take for another node's.
      if (begun) await kubeadm.reset();
      await kubeadm.join(joinConfiguration(target, { ...joining, timeoutMs }), target.token);
      progress.end();
    }
    // kubeadm removes it at its end, unless it was killed: the token is in it.
    await files.remove(places.bootstrapKubeconfig);
  } catch (error) {
    return { why: message(error), worse: await takeBack(files, kubeadm).catch(message) };
  }
  progress.begin('Wait until the node is Ready');
  const nodeName = async (): Promise<string> => {
    const conf = kubeletConf((await files.read(places.kubeconfig))?.toString('utf8'));
    return 'problem' in conf ? '' : conf.nodeName;
  };
  // A node that does not get Ready in time is a node all the same: convert says what it lacks.
  await waitUntil(host, progress, 'the node is Ready', timeoutMs, async () => {
    const { status, body } = await host.cloud.request({ method: 'GET', path: `/api/v1/nodes/${await nodeName()}` });
    if (status !== 200) return `the API server answers ${status}`;
    const { conditions = [] } =
      (JSON.parse(body.toString('utf8')) as { status?: { conditions?: { type: string; status: string }[] } }).status ??
      {};
    return conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True')
      ? undefined
      : 'not yet: kubectl describe node';
  }).catch(ignoreLate);
  await waitUntil(host, progress, 'kube-proxy is Ready', Math.min(timeoutMs, proxyMs), async () =>
    (await podsOf(host.cloud, await nodeName())).some((pod) => isKubeProxy(pod) && isReady(pod))
      ? undefined
      : 'it has not started yet',
  ).catch(ignoreLate);
  progress.end();
  return undefined;
}

/** Whatever part of a join there is goes; the machine was no node before. */
async function takeBack(files: JoinParts['files'], kubeadm: Kubeadm): Promise<undefined> {
  const traces = [places.kubeconfig, places.bootstrapKubeconfig, places.clusterCa];
  const found = await Promise.all(traces.map((file) => files.stat(file)));
  if (found.some((entry) => entry !== undefined)) await kubeadm.reset();
  await files.remove(ours.joining);
  await files.removeEmptyFolder(ours.data);
}

async function checksOf({ host, files, archive, kubeadm }: JoinParts, hasConf: boolean): Promise<Check[]> {
  const conf = kubeletConf((await files.read(places.kubeconfig))?.toString('utf8'));
  const facts = await nodeFacts({ host, files, archive, conf, pods: undefined });
  const found = await Promise.all(sockets.map((file) => files.stat(file)));
  const version = await kubeadm.version();
  const minor = Number(/^v1\.(\d+)\./.exec(version ?? '')?.[1] ?? 0);
  const checks: Check[] = [];
  const check = (name: string, problem: string | undefined, fix: string, cause: string): void => {
    if (problem === undefined) checks.push({ name, verdict: 'ok', cause, fix: '' });
    else checks.push({ name, verdict: 'refused', cause: problem, fix });
  };
  check(
    'joined',
    hasConf
      ? `this machine has joined a cluster already: ${'problem' in conf ? places.kubeconfig : conf.nodeName}`
      : undefined,
    'holdfast convert puts the hub on it. To have it join another cluster: kubeadm reset.',
    'this machine is no node yet',
  );
  check(
    'kubeadm',
    version === undefined
      ? 'kubeadm is not on the path'
      : minor >= supportedMinors.from && minor <= supportedMinors.to
        ? undefined
        : `kubeadm is ${version}`,
    `Install kubeadm and kubelet 1.${supportedMinors.from} to 1.${supportedMinors.to}, of the minor version of the cluster: kubernetes.io/docs/setup.`,
    `kubeadm ${version}`,
  );
  check(
    'kubelet',
    facts.kubeletUnit.loaded ? undefined : `systemd has no ${places.kubeletUnit}`,
    'Install the package kubelet; kubeadm starts it.',
    `systemd has ${places.kubeletUnit}`,
  );
  check(
    'containers',
    found.some((entry) => entry !== undefined) ? undefined : `no container runtime is there (${sockets[0]})`,
    'apt-get install containerd, and see that it runs: systemctl status containerd.',
    'a container runtime is there',
  );
  return [...preflight(facts).filter(({ name }) => shared.has(name)), ...checks];
}

function ignoreLate(error: unknown): void {
  if (!(error instanceof DropInError) || error.code !== 'ERR_DROPIN_CALL') throw error;
}
