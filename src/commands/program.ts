// Turns the table of commands into a commander program: global flags, groups, exit codes in the help, and the one
// command that was named loaded and declared. Knows no command by itself.
import { Command, CommanderError, Option } from 'commander';
import { UsageError } from '../core/errors.ts';
import { COMMANDS, GROUPS } from './table.ts';
import type { CommandEntry } from './table.ts';
import type { CommandModule } from './command.ts';

const GLOBAL_FLAGS: readonly (readonly [flags: string, help: string])[] = [
  ['--json', 'print one JSON document on stdout'],
  ['-q, --quiet', 'no talk on stderr, only errors'],
  ['-v, --verbose', 'more talk on stderr'],
  ['--no-color', 'no colours'],
  ['-y, --yes', 'answer yes to every confirmation'],
  ['--network <name>', 'local, mainnet, testnet or an added network'],
  ['--config <file>', 'configuration file (default: cocoon.toml in the home directory)'],
  ['--home <dir>', 'directory of all state (default: the XDG data directory)'],
  ['--timeout <time>', 'time limit of one request, for example 30s'],
];

const EXIT_CODES = `
Exit codes:
  0 done                          8 not enough TON or stake
  1 a bug in cocoon               9 transaction sent, not confirmed
  2 usage                        10 engine or GPU failed
  3 preflight or configuration   11 daemon not running or unhealthy
  4 wallet locked                12 incomplete, a check was skipped
  5 attestation failed           13 refused by policy
  6 network unreachable          14 no node free
  7 not found                    130 interrupted, 143 terminated

Details of an error: cocoon explain CODE`;

/** Global flags as given; absent ones are undefined. */
export interface GlobalFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly color?: boolean;
  readonly yes?: boolean;
  readonly network?: string;
  readonly config?: string;
  readonly home?: string;
  readonly timeout?: string;
}

export type Parsed =
  | { readonly kind: 'text'; readonly text: string }
  | {
    readonly kind: 'command'; readonly path: string; readonly module: CommandModule;
    readonly args: readonly string[]; readonly options: Readonly<Record<string, unknown>>; readonly globals: GlobalFlags;
  };

const globalOptions = (): Option[] => GLOBAL_FLAGS.map(([flags, help]) => new Option(flags, help).helpGroup('Global options:'));
const GLOBAL_NAMES = new Set(globalOptions().map((option) => option.attributeName()));
const TAKES_VALUE = new Set(globalOptions().filter((option) => option.required).map((option) => option.long));

/** A command as completion needs it. */
export interface CommandShape {
  readonly path: string;
  readonly summary: string;
  readonly groupSummary: string;
  /** Long flags, own and global. */
  readonly flags: readonly string[];
}

/** Every command with its flags; loads all command files. */
export async function describeCommands(): Promise<CommandShape[]> {
  return Promise.all(COMMANDS.filter(({ hidden }) => hidden !== true).map(async ({ path, summary, load }) => {
    const command = new Command(path);
    (await load()).declare(command);
    const flags = [...command.options, ...globalOptions()].flatMap(({ long }) => (typeof long === 'string' ? [long] : []));
    return { path, summary, groupSummary: GROUPS[path.split(' ')[0] ?? ''] ?? '', flags: [...flags, '--help'] };
  }));
}

/** Words of argv that may name a command: what is left without flags, up to `--`. */
function commandWords(argv: readonly string[]): string[] {
  const words: string[] = [];
  for (let i = 0; i < argv.length && words.length < 2; i += 1) {
    const word = argv[i] ?? '';
    if (word === '--') break;
    if (!word.startsWith('-')) words.push(word);
    else if (TAKES_VALUE.has(word)) i += 1;
  }
  return words;
}

/** The entry that argv names, or undefined. */
export function findCommand(argv: readonly string[]): CommandEntry | undefined {
  const [first, second] = commandWords(argv);
  return COMMANDS.find(({ path }) => path === first || path === `${first} ${second}`);
}

/** Parses argv. Help and version come back as text; a command line that is not understood throws UsageError. */
export async function parseCommandLine(argv: readonly string[], version: string, columns: number): Promise<Parsed> {
  const named = findCommand(argv);
  const module = await named?.load();
  let written = '';
  let parsed: Parsed | undefined;

  const prepare = (command: Command): Command => command
    .exitOverride()
    .configureOutput({ writeOut: (text) => { written += text; }, writeErr: () => {}, getOutHelpWidth: () => Math.min(columns, 100) })
    .showSuggestionAfterError(true)
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: false })
    .addHelpOption(new Option('-h, --help', 'show this help').helpGroup('Global options:'));

  const program = prepare(new Command('cocoon'))
    .description('Private AI inference on TON: serve it, ask it, prove it, get paid for it.')
    .version(version, '-V, --version', 'print the version')
    .addHelpText('after', EXIT_CODES);
  for (const option of globalOptions()) program.addOption(option);

  const groups = new Map<string, Command>();
  for (const entry of COMMANDS) {
    const [first = '', second] = entry.path.split(' ');
    let parent = program;
    if (second !== undefined) {
      parent = groups.get(first) ?? prepare(program.command(first)).description(GROUPS[first] ?? '');
      groups.set(first, parent);
    }
    const command = prepare(parent.command(second ?? first, { hidden: entry.hidden === true })).description(entry.summary);
    if (entry !== named || module === undefined) continue;
    module.declare(command);
    for (const option of globalOptions()) command.addOption(option);
    command.addHelpText('after', EXIT_CODES);
    command.action(() => {
      const merged: Record<string, unknown> = { ...program.opts(), ...command.opts() };
      const isGlobal = (name: string): boolean => GLOBAL_NAMES.has(name);
      parsed = {
        kind: 'command', path: entry.path, module, args: command.processedArgs.flat().filter((arg) => arg !== undefined).map(String),
        options: Object.fromEntries(Object.entries(command.opts()).filter(([name]) => !isGlobal(name))),
        globals: Object.fromEntries(Object.entries(merged).filter(([name]) => isGlobal(name))),
      };
    });
  }

  try {
    // No command at all is a question, not a mistake.
    await program.parseAsync(argv.length === 0 ? ['--help'] : [...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw usageError(error, helpFor(argv, named));
  }
  return parsed ?? { kind: 'text', text: written };
}

/** The command or group whose help fits a command line that was not understood. */
function helpFor(argv: readonly string[], named: CommandEntry | undefined): string {
  const [group = ''] = commandWords(argv);
  if (named !== undefined) return `${named.path} `;
  return Object.hasOwn(GROUPS, group) ? `${group} ` : '';
}

function usageError(error: CommanderError, helpPath: string): UsageError {
  const message = error.code === 'commander.help' ? 'no command was named' : error.message.replace(/^error: /, '').replace(/\n/g, ' ').replace(/\.$/, '');
  return new UsageError('E_USAGE', message, { hint: `run \`cocoon ${helpPath}--help\`` });
}
