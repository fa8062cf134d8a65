// What a command file exports, and what it is given when it runs.
import type { Command } from 'commander';
import type { Context } from '../core/context.ts';
import type { Settings } from '../core/settings.ts';
import type { Output } from './output.ts';

export interface Invocation {
  /** The command line as it was given. */
  readonly argv: readonly string[];
  /** Positional arguments; a variadic one is spread at the end. */
  readonly args: readonly string[];
  /** Options of the command itself, as commander parsed them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** --yes: every confirmation is answered. */
  readonly yes: boolean;
  readonly settings: Settings;
  readonly context: Context;
  readonly out: Output;
}

export interface CommandModule {
  /** Adds arguments, options and help text to the already named command. */
  declare(command: Command): void;
  /** Does the work; throws a CocoonError to fail. */
  run(invocation: Invocation): Promise<void>;
}
