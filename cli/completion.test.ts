import { spawnSync } from 'node:child_process';
import { completionScript } from './completion.ts';

const commands = [
  { name: 'convert', summary: "Put this node's hub", flags: [{ name: 'dry-run', doc: 'Change nothing.' }] },
  { name: 'controllers', summary: 'In the cloud', flags: [{ name: 'output', doc: "json's" }] },
];

/** What bash itself completes when these words have been typed. */
function completed(...words: string[]): string[] {
  const script = `${completionScript('bash', commands)}
COMP_WORDS=(holdfast "$@"); COMP_CWORD=$#; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
  return stdout.trim().split('\n').filter(Boolean);
}

test('bash completes commands, and the flags of the command that was typed', () => {
  expect(completed('')).toEqual(['convert', 'controllers']);
  expect(completed('conv')).toEqual(['convert']);
  expect(completed('convert', '--')).toEqual(['--dry-run']);
  expect(completed('controllers', '--dry')).toEqual([]);
});

test('the other shells get the same words, and quotes in texts do no harm', () => {
  expect(completionScript('zsh', commands)).toContain('bashcompinit');
  expect(completionScript('fish', commands)).toContain(
    `complete -c holdfast -f -n __fish_use_subcommand -a convert -d 'Put this node\\'s hub'`,
  );
});

test('another shell is refused by name', () => {
  expect(() => completionScript('tcsh', commands)).toThrow('completion is for bash, zsh, fish, not tcsh');
});
