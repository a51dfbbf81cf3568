// Stands in for systemd on a kubeadm machine, where process 1 is a shell: reads real unit files and drop-ins, starts what
// multi-user.target wants, restarts what ends, and answers systemctl.ts on a socket. Like systemd it goes by what it read last,
// until daemon-reload. Of a unit's settings for its safety it keeps those of confinement.ts. No timers, sockets, cgroups or
// dependencies beyond the order of the boot.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { confinement } from './confinement.ts';
import { commandWords, startOrder, Unit } from './unit-file.ts';

const unitsSocket = '/run/holdfast-lab-units.sock';
const folders = ['/etc/systemd/system', '/run/systemd/system', '/usr/lib/systemd/system'];
const target = '/etc/systemd/system/multi-user.target.wants';
const logFolder = '/var/log/units';
const basicEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
};

/** One loaded unit, and the process of it if it runs. */
interface Service {
  readonly unit: Unit;
  readonly fragment: string;
  readonly dropIns: readonly string[];
}

interface Running {
  child: ChildProcess | undefined;
  /** Somebody asked it to end: no restart. */
  stopping: boolean;
  readonly stopAsked: PromiseWithResolvers<void>;
  /** Settles when it has ended for good. */
  readonly ended: Promise<void>;
}

const loaded = new Map<string, Service>();
const running = new Map<string, Running>();
const results = new Map<string, number>();

function load(name: string): Service | undefined {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const fragment = folders.map((folder) => path.join(folder, name)).find(existsSync);
  if (fragment === undefined) return undefined;
  const dropIns = new Map<string, string>();
  for (const folder of [...folders].reverse()) {
    const dropInFolder = path.join(folder, `${name}.d`);
    if (!existsSync(dropInFolder)) continue;
    for (const file of readdirSync(dropInFolder))
      if (file.endsWith('.conf')) dropIns.set(file, path.join(dropInFolder, file));
  }
  const files = [...dropIns.keys()].sort().map((file) => dropIns.get(file) ?? '');
  const service = {
    unit: new Unit([fragment, ...files].map((file) => readFileSync(file, 'utf8'))),
    fragment,
    dropIns: files,
  };
  loaded.set(name, service);
  return service;
}

/** Runs one command of a unit to its end, behind the words of `before`; gives its exit code. */
function execute(
  name: string,
  service: Service,
  command: string,
  before: readonly string[],
  started: (child: ChildProcess) => void,
): Promise<number> {
  return new Promise((resolve) => {
    mkdirSync(logFolder, { recursive: true });
    const log = openSync(path.join(logFolder, `${name}.log`), 'a');
    try {
      const readFile = (file: string): string | undefined =>
        existsSync(file) ? readFileSync(file, 'utf8') : undefined;
      const env = { ...basicEnvironment, ...service.unit.environment(readFile) };
      const [program = '', ...args] = [...before, ...commandWords(command, env)];
      // A session of its own: so it ends as a group, and no signal to the shell above reaches it.
      const child = spawn(program, args, { env, cwd: '/', detached: true, stdio: ['ignore', log, log] });
      child.once('error', () => resolve(203)); // as systemd says EXIT_EXEC
      child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGTERM' ? 0 : 1)));
      started(child);
    } catch {
      resolve(1);
    } finally {
      closeSync(log);
    }
  });
}

/** As systemd says it started: the process is there, and ExecStartPost= has been carried out. */
async function start(name: string): Promise<number> {
  const service = load(name);
  if (service === undefined) return 5;
  if (running.has(name)) return 0;
  const ended = Promise.withResolvers<void>();
  const self: Running = {
    child: undefined,
    stopping: false,
    stopAsked: Promise.withResolvers(),
    ended: ended.promise,
  };
  running.set(name, self);
  results.delete(name);
  void supervise(name, self).finally(() => {
    running.delete(name);
    ended.resolve();
  });
  for (const command of service.unit.all('ExecStartPost')) {
    const code = await execute(name, service, command, [], () => undefined);
    if (code !== 0) return 1;
  }
  return 0;
}

async function supervise(name: string, self: Running): Promise<void> {
  for (;;) {
    const service = load(name);
    if (service === undefined) return;
    for (const [key, parent, mode] of [
      ['RuntimeDirectory', '/run', 0o755],
      ['StateDirectory', '/var/lib', Number.parseInt(service.unit.last('StateDirectoryMode') || '0755', 8)],
    ] as const)
      for (const folder of service.unit.names(key)) mkdirSync(path.join(parent, folder), { recursive: true, mode });
    const code = await execute(name, service, service.unit.last('ExecStart'), confinement(service.unit), (child) => {
      self.child = child;
    });
    self.child = undefined;
    results.set(name, code);
    const policy = service.unit.last('Restart');
    const again = policy === 'always' || (policy === 'on-failure' && code !== 0);
    if (!again || self.stopping) return;
    await Promise.race([pause(service.unit.duration('RestartSec', 100)), self.stopAsked.promise]);
    if (self.stopping) return;
  }
}

async function stop(name: string): Promise<void> {
  const self = running.get(name);
  if (self === undefined) return;
  const unit = load(name)?.unit ?? new Unit([]);
  const mode = unit.last('KillMode');
  const signal = (which: NodeJS.Signals, group: boolean): void => {
    const pid = self.child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(group ? -pid : pid, which);
    } catch {
      // it ended between the check and the signal
    }
  };
  const pid = self.child?.pid;
  self.stopping = true;
  self.stopAsked.resolve();
  signal('SIGTERM', mode !== 'mixed' && mode !== 'process');
  const late = setTimeout(() => signal('SIGKILL', mode !== 'process'), unit.duration('TimeoutStopSec', 30_000));
  await self.ended;
  clearTimeout(late);
  // What the main process left behind goes with its group.
  if (mode !== 'process' && pid !== undefined)
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // nothing was left
    }
}

function state(name: string): 'active' | 'activating' | 'inactive' | 'failed' {
  const self = running.get(name);
  if (self !== undefined) return self.child === undefined ? 'activating' : 'active';
  return (results.get(name) ?? 0) === 0 ? 'inactive' : 'failed';
}

const isEnabled = (name: string): boolean => existsSync(path.join(target, name));

function enable(name: string): number {
  const service = load(name);
  if (service === undefined) return 1;
  mkdirSync(target, { recursive: true });
  if (!isEnabled(name)) symlinkSync(service.fragment, path.join(target, name));
  return 0;
}

interface Answer {
  code: number;
  stdout: string;
}

/** What systemctl would do and say. */
async function answer(argv: readonly string[]): Promise<Answer> {
  const options = argv.filter((argument) => argument.startsWith('-'));
  const [verb = '', ...rest] = argv.filter((argument) => !argument.startsWith('-'));
  const names = rest.map((name) => (/\.\w+$/.test(name) ? name : `${name}.service`));
  const out: string[] = [];
  let code = 0;
  if (verb === 'daemon-reload') loaded.clear();
  for (const name of names) {
    const service = load(name);
    switch (verb) {
      case 'start':
        code ||= await start(name);
        break;
      case 'stop':
        await stop(name);
        break;
      case 'restart':
        await stop(name);
        code ||= await start(name);
        break;
      case 'enable':
        code ||= enable(name);
        if (options.includes('--now')) code ||= await start(name);
        break;
      case 'disable':
        rmSync(path.join(target, name), { force: true });
        if (options.includes('--now')) await stop(name);
        break;
      case 'is-active':
      case 'is-failed':
        out.push(state(name));
        code ||= state(name) === (verb === 'is-active' ? 'active' : 'failed') ? 0 : 3;
        break;
      case 'is-enabled':
        out.push(isEnabled(name) ? 'enabled' : 'disabled');
        code ||= isEnabled(name) ? 0 : 1;
        break;
      case 'status':
        out.push(service === undefined ? `Unit ${name} could not be found.` : `Active: ${state(name)}`);
        code ||= service === undefined ? 4 : state(name) === 'active' ? 0 : 3;
        break;
      case 'show': {
        const properties: Record<string, string> = {
          Id: name,
          LoadState: service === undefined ? 'not-found' : 'loaded',
          ActiveState: state(name),
          MainPID: String(running.get(name)?.child?.pid ?? 0),
          UnitFileState: isEnabled(name) ? 'enabled' : 'disabled',
          FragmentPath: service?.fragment ?? '',
          DropInPaths: service?.dropIns.join(' ') ?? '',
        };
        const wanted = options
          .find((option) => option.startsWith('--property='))
          ?.slice('--property='.length)
          .split(',');
        for (const [key, value] of Object.entries(properties))
          if (wanted === undefined || wanted.includes(key)) out.push(`${key}=${value}`);
        break;
      }
      case 'daemon-reload':
      case 'reset-failed':
        break;
      default:
        out.push(`units.ts does not know systemctl ${verb}`);
        code = 1;
    }
  }
  return { code, stdout: out.map((line) => `${line}\n`).join('') };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  let question = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => (question += text));
  socket.on('error', () => undefined); // a systemctl that was killed asks no more
  socket.on('end', () => {
    answer(JSON.parse(question) as string[]).then(
      (result) => socket.end(JSON.stringify(result)),
      (error: unknown) => socket.end(JSON.stringify({ code: 1, stdout: `${String(error)}\n` })),
    );
  });
});
server.listen(unitsSocket, () => void boot());

async function boot(): Promise<void> {
  const wanted = existsSync(target) ? readdirSync(target) : [];
  const units = new Map(wanted.flatMap((name) => [[name, load(name)?.unit ?? new Unit([])] as const]));
  for (const name of startOrder(units)) await start(name);
  // What waits for the boot looks for this.
  closeSync(openSync('/run/booted', 'w'));
}
