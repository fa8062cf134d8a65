// The world of the library: what a command is given by the process, given by the caller instead. Nothing is written anywhere but
// under the home directory, no signal is listened to, and nobody is asked anything.
import { homedir } from 'node:os';
import { Readable } from 'node:stream';
import { systemClock } from '../core/clock.ts';
import { loadSettings } from '../core/settings.ts';
import { Output } from '../commands/output.ts';
import type { Context, OutputStream } from '../core/context.ts';
import type { SettingKey } from '../core/settings.ts';
import type { Invocation } from '../commands/command.ts';

export interface PlaceOptions {
  /** Directory of all state. Default: the variable COCOON_HOME, else the XDG data directory. */
  readonly home?: string | undefined;
  /** `local`, `mainnet`, `testnet` or an added one. Default: the setting `network`. */
  readonly network?: string | undefined;
  /** Ends everything that is under way. */
  readonly signal?: AbortSignal | undefined;
}

const NOWHERE: OutputStream = { isTTY: false, columns: 80, write: async () => {} };

/** What a command would be given. `warn` hears what the CLI prints as a warning. Throws ConfigError. */
export async function invocationOf(
  { home, network, signal = new AbortController().signal }: PlaceOptions, options: Readonly<Record<string, unknown>>,
  { passphrase, warn = () => {} }: { readonly passphrase?: string | undefined; readonly warn?: (text: string) => void } = {},
): Promise<Invocation> {
  const flags: Partial<Record<SettingKey, string>> = network === undefined ? {} : { network };
  const context: Context = {
    version: 'library', env: process.env, cwd: process.cwd(), homedir: homedir(), clock: systemClock, signal,
    stdin: { isTTY: false, source: Readable.from([]) }, stdout: NOWHERE, stderr: { ...NOWHERE, write: async (text) => warn(text.trimEnd()) },
    prompts: passphrase === undefined ? null : { secret: async () => passphrase, confirm: async () => false },
    self: { command: process.execPath, args: [] },
  };
  const settings = await loadSettings({ env: context.env, cwd: context.cwd, homedir: context.homedir, flags, home, file: undefined });
  // Warnings are all that is said: `quiet` keeps notes back.
  const out = new Output(context.stdout, context.stderr, { json: false, quiet: true, verbose: false, schema: 'library' });
  return { argv: [], args: [], options, yes: false, settings, context, out };
}
