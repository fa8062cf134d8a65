// `cocoon completion bash|zsh|fish`: a script that completes commands and their flags, made from the table of commands.
import { UsageError } from '../core/errors.ts';
import { describeCommands } from './program.ts';
import type { Command } from 'commander';
import type { CommandShape } from './program.ts';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText('after', `
Install:
  bash  cocoon completion bash > ~/.local/share/bash-completion/completions/cocoon
  zsh   cocoon completion zsh > "\${fpath[1]}/_cocoon"
  fish  cocoon completion fish > ~/.config/fish/completions/cocoon.fish`);
}

/** Words that may follow each prefix of words: '' → groups and commands, 'localnet' → start, status, stop. */
function nextWords(commands: readonly CommandShape[]): Map<string, Map<string, string>> {
  const next = new Map<string, Map<string, string>>();
  for (const { path, summary, groupSummary } of commands) {
    const words = path.split(' ');
    for (const [depth, word] of words.entries()) {
      const prefix = words.slice(0, depth).join(' ');
      const known = next.get(prefix) ?? new Map<string, string>();
      known.set(word, depth === words.length - 1 ? summary : groupSummary);
      next.set(prefix, known);
    }
  }
  return next;
}

function bash(commands: readonly CommandShape[]): string {
  const cases = [...nextWords(commands)].map(([prefix, words]) => `    "${prefix}") words="${[...words.keys()].join(' ')}" ;;`);
  const flags = commands.map(({ path, flags: list }) => `    "${path}") words="${list.join(' ')}" ;;`);
  return `# bash completion for cocoon
_cocoon() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" words="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "\${COMP_WORDS[i]}" == -* ]] || path="\${path:+$path }\${COMP_WORDS[i]}"
  done
  if [[ "$current" == -* ]]; then
    case "$path" in
${flags.join('\n')}
    esac
  else
    case "$path" in
${cases.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _cocoon cocoon
`;
}

function zsh(commands: readonly CommandShape[]): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
  const cases = [...nextWords(commands)].map(([prefix, words]) =>
    `    '${prefix}') choices=(${[...words].map(([word, summary]) => `'${word}:${quote(summary)}'`).join(' ')}) ;;`);
  const flags = commands.map(({ path, flags: list }) => `    '${path}') choices=(${list.map((flag) => `'${flag}'`).join(' ')}) ;;`);
  return `#compdef cocoon
_cocoon() {
  local -a choices plain
  plain=(\${words[2,CURRENT-1]:#-*})
  if [[ $words[CURRENT] == -* ]]; then
    case "$plain" in
${flags.join('\n')}
    esac
  else
    case "$plain" in
${cases.join('\n')}
    esac
  fi
  if (( $#choices )); then _describe cocoon choices; else _files; fi
}
_cocoon "$@"
`;
}

function fish(commands: readonly CommandShape[]): string {
  const quote = (text: string): string => text.replaceAll("'", "\\'");
  const lines: string[] = [];
  for (const [prefix, words] of nextWords(commands)) {
    const when = prefix === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${prefix}; and not __fish_seen_subcommand_from ${[...words.keys()].join(' ')}`;
    for (const [word, summary] of words) lines.push(`complete -c cocoon -n '${when}' -f -a '${word}' -d '${quote(summary)}'`);
  }
  for (const { path, flags } of commands) {
    const when = path.split(' ').map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    for (const flag of flags) lines.push(`complete -c cocoon -n '${when}' -l ${flag.replace(/^--/, '')}`);
  }
  return `# fish completion for cocoon\n${lines.join('\n')}\n`;
}

const SHELLS: Readonly<Record<string, (commands: readonly CommandShape[]) => string>> = { bash, zsh, fish };

export async function run({ args: [shell = ''], out }: Invocation): Promise<void> {
  const make = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (make === undefined) throw new UsageError('E_USAGE', `cannot complete for "${shell}": expected bash, zsh or fish`);
  const script = make(await describeCommands());
  out.result({ shell, script });
  await out.text(script);
}
