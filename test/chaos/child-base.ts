// What every process of a world has: its log, its truth file, the chain, calls from the driver, and a good end at SIGTERM. It
// never outlives its driver.
import { openSync, writeSync } from 'node:fs';
import { createTonAccess } from '../../src/chain/access/access.ts';
import { followRoot } from '../../src/chain/follow/root-follower.ts';
import { openHotWallet } from '../../src/chain/hot-wallet.ts';
import { systemClock } from '../../src/core/clock.ts';
import { asCocoonError } from '../../src/core/errors.ts';
import { endpointOf, logFile, rootOf, walletOf } from './world.ts';
import type { TonAccess } from '../../src/chain/access/types.ts';
import type { RootFollower } from '../../src/chain/follow/root-follower.ts';
import type { HotWallet } from '../../src/chain/hot-wallet.ts';
import type { Log, LogLevel } from '../../src/core/log.ts';
import type { Call, Command, Told, Truth } from './messages.ts';
import type { KeyName, World } from './world.ts';

export interface Running {
  /** Answers a call of the driver. */
  handle(command: Command): Promise<unknown>;
  close(): Promise<void>;
}

export interface ChildContext {
  readonly world: World;
  readonly log: Log;
  /** Fires when the process is told to stop, also while it starts. */
  readonly signal: AbortSignal;
  violation(text: string): void;
  /** Ends the process unhealthily. */
  fatal(error: unknown): void;
}

/** Children end at once, whatever is still open: what must be on disk is. */
function exit(code: number): never {
  // oxlint-disable-next-line unicorn/no-process-exit
  process.exit(code);
}

function tell(told: Told): void {
  process.send?.(told);
}

export function fileLog(world: World, name: string): Log {
  const file = openSync(logFile(world, name), 'a');
  const write = (level: LogLevel) => (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    if (level === 'debug' || (level === 'info' && message === 'request')) return;
    writeSync(file, `${new Date().toISOString()} ${process.pid} ${level} ${message} ${JSON.stringify(fields)}\n`);
  };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

/** Lines that are with the operating system when the call returns: a killed process loses none. */
export function truthLog(path: string): (line: Truth) => void {
  const file = openSync(path, 'a');
  return (line) => { writeSync(file, `${JSON.stringify(line)}\n`); };
}

const cpuSeconds = (): Record<string, number> => ({ cpuS: (process.cpuUsage().user + process.cpuUsage().system) / 1e6 });

/** Starts, serves calls, ends at SIGTERM with exit code 0. A start that fails ends with 1 and its reason. */
export async function runChild(world: World, name: string, start: (context: ChildContext) => Promise<Running>): Promise<void> {
  const log = fileLog(world, name);
  const stopping = new AbortController();
  const fatal = (error: unknown): void => {
    const { code, message } = asCocoonError(error);
    log.error('fatal', { code, message, stack: error instanceof Error ? error.stack : String(error) });
    tell({ kind: 'fatal', code, message });
    setTimeout(() => exit(1), 20); // what was told leaves first
  };
  process.on('disconnect', () => exit(9));
  process.on('SIGTERM', () => stopping.abort(new Error('told to stop')));
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  try {
    log.info('starting');
    const running = await start({ world, log, signal: stopping.signal, violation: (text) => tell({ kind: 'violation', text: `${name}: ${text}` }), fatal });
    process.on('message', ({ id, command }: Call) => {
      running.handle(command).then((value) => tell({ kind: 'reply', id, value }), (error: unknown) => tell({ kind: 'reply', id, value: { outcome: 'E_INTERNAL', message: String(error) } }));
    });
    tell({ kind: 'ready' });
    log.info('ready', cpuSeconds());
    if (!stopping.signal.aborted) await new Promise((resolve) => { stopping.signal.addEventListener('abort', resolve, { once: true }); });
    await running.close();
    log.info('ended', cpuSeconds());
    exit(0);
  } catch (error) {
    if (stopping.signal.aborted) exit(0);
    fatal(error);
  }
}

export const openAccess = (world: World): TonAccess => createTonAccess({ endpoints: [{ url: endpointOf(world) }], timeoutMs: 15_000, requestTimeoutMs: 5_000 });

export const openRoot = ({ world, log, signal }: ChildContext, access: TonAccess): Promise<RootFollower> =>
  followRoot({ access, root: rootOf(world), pollMs: 1_000, maxAgeS: 300, clock: systemClock, log, signal });

/** Short validities, so that messages expire within a run. */
export function openWallet({ world, log }: ChildContext, access: TonAccess, name: KeyName): HotWallet {
  const { kind, signer, folder } = walletOf(world, name);
  return openHotWallet({ access, wallet: kind, signer, folder, pollMs: 250, resendMs: 1_500, validForS: 10, expiryMarginS: 3, log });
}
