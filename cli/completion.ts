// What shells complete after `holdfast`: its commands, and the flags of each. Pure text from the table of commands.
import { UsageError } from './errors.ts';

export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly { readonly name: string; readonly doc: string }[];
}

const shells = ['bash', 'zsh', 'fish'] as const;

/** A script for the shell; the head of it says how it is loaded. Throws UsageError for another shell. */
export function completionScript(shell: string | undefined, commands: readonly CompletedCommand[]): string {
  switch (shell ?? 'none') {
    case 'bash':
      return `# In ~/.bashrc: eval "$(holdfast completion bash)"\n${bashFunction(commands)}`;
    case 'zsh':
      return `# In ~/.zshrc: eval "$(holdfast completion zsh)"\nautoload -U +X bashcompinit && bashcompinit\n${bashFunction(commands)}`;
    case 'fish':
      return `# In ~/.config/fish/config.fish: holdfast completion fish | source\n${fishLines(commands)}`;
    default:
      throw new UsageError(`completion is for ${shells.join(', ')}${shell === undefined ? '' : `, not ${shell}`}`);
  }
}

function bashFunction(commands: readonly CompletedCommand[]): string {
  const cases = commands.map(
    ({ name, flags }) => `    ${name}) words="${flags.map((flag) => `--${flag.name}`).join(' ')}" ;;`,
  );
  return `_holdfast() {
  local current=\${COMP_WORDS[COMP_CWORD]} words=
  if [ "$COMP_CWORD" -eq 1 ]; then words="${commands.map(({ name }) => name).join(' ')}"; else
    case \${COMP_WORDS[1]} in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _holdfast holdfast`;
}

function fishLines(commands: readonly CompletedCommand[]): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return commands
    .flatMap(({ name, summary, flags }) => [
      `complete -c holdfast -f -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
      ...flags.map(
        (flag) =>
          `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -l ${flag.name} -d ${quoted(flag.doc)}`,
      ),
    ])
    .join('\n');
}
