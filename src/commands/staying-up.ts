// Options of commands that ask for answers through several proxies: a second attempt beside a slow one, and whether another node
// may go on with an answer that broke off.
import { InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../core/settings.ts';
import type { Command } from 'commander';
import type { Settings } from '../core/settings.ts';

export interface StayingUpOptions {
  /** Milliseconds. */
  readonly hedge?: number;
  /** False: `--no-continue`. */
  readonly continue?: boolean;
}

function duration(text: string): number {
  try {
    return parseDurationMs(text, '--hedge');
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : 'expected a duration');
  }
}

export function declareHedge(command: Command): void {
  command.option('--hedge <duration>', 'ask a second proxy when the first byte of a streamed answer takes longer, for example 800ms (default: the setting client.hedge)', duration);
}

export function declareStayingUp(command: Command): void {
  declareHedge(command);
  command.option('--no-continue', 'do not let another node go on with an answer that broke off (default: the setting client.continue)');
}

/** Milliseconds after which a second attempt is made; null: never. */
export const hedgeMsOf = ({ hedge }: StayingUpOptions, settings: Settings): number | null =>
  hedge ?? (settings.text('client.hedge') === undefined ? null : settings.durationMs('client.hedge'));

/** Whether another node may go on with an answer. `--no-continue` comes first; commander gives `true` where it is absent. */
export const continuesOf = (options: StayingUpOptions, settings: Settings): boolean => options.continue !== false && settings.boolean('client.continue');
