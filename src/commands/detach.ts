// `--detach`: starts the same command line again as a process that outlives the terminal, and returns when it is ready or says why
// it is not. A passphrase that only the person at the terminal knows is asked for first and handed over through a pipe. How it was
// started is kept in a private file, so that `node upgrade` can start it again.
import { join } from 'node:path';
import { z } from 'zod';
import { logOf, runningRecord, SECRET_FD, startDaemon } from '../core/daemon-process.ts';
import { ConfigError, NotFoundError } from '../core/errors.ts';
import { ensureFolder, readBounded, writeFileAtomic } from '../core/files.ts';
import { networkInUse } from './chain.ts';
import { recordPath } from './daemon.ts';
import { isPaid } from './network.ts';
import { neededPassphrase } from './passphrase.ts';
import { roleKey } from './role-wallet.ts';
import { keystoreOf } from './wallets.ts';
import type { Command } from 'commander';
import type { DaemonPlace, Program } from '../core/daemon-process.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { Invocation } from './command.ts';

/** Loading a model of many gigabytes takes minutes. */
const READY_MS = 15 * 60_000;
const MAX_BYTES = 64 * 1024;

const Launch = z.strictObject({
  version: z.literal(1),
  /** The program: executable and leading arguments. */
  command: z.string(),
  program: z.array(z.string()),
  /** Its command line, without the secret. */
  args: z.array(z.string()),
  cwd: z.string(),
  /** Variables that settings come from. */
  env: z.record(z.string(), z.string()),
  /** True: the passphrase comes from the terminal each time. */
  asksPassphrase: z.boolean(),
  /** The process that came of it. */
  pid: z.int(),
  start: z.string(),
});
/** How a daemon was started with --detach. */
export type Launch = z.infer<typeof Launch>;
export type LaunchPlan = Omit<Launch, 'pid' | 'start'>;

export type DetachedRole = 'node' | 'proxy' | 'client';

export function declareDetach(command: Command): void {
  command.option('--detach', 'return when it is ready; it goes on without the terminal');
}

const launchFile = (record: string): string => `${record.replace(/\.json$/, '')}.launch`;

export const placeOf = (invocation: Pick<Invocation, 'settings' | 'context' | 'options'>, role: DetachedRole): DaemonPlace => {
  const record = recordPath(invocation, role);
  return { what: role, record, log: logOf(record) };
};

/** True when it was asked for and has been done: the process of its own is ready. Throws DaemonError with the end of its log. */
export async function detach(invocation: Invocation, role: DetachedRole): Promise<boolean> {
  const { options, context, argv, out } = invocation;
  if (options['detach'] !== true) return false;
  const place = placeOf(invocation, role);
  const running = await runningRecord(place);
  if (running !== null) throw new ConfigError('E_STATE', `a ${role} runs already as process ${running.pid}`, { hint: `run \`cocoon ${role} stop\` first` });
  const passphrase = await askedPassphrase(invocation, role);
  const launch: LaunchPlan = {
    version: 1, command: context.self.command, program: [...context.self.args], args: withoutDetach(argv), cwd: context.cwd,
    env: Object.fromEntries(Object.entries(context.env).flatMap(([name, value]) => (name.startsWith('COCOON_') && value !== undefined ? [[name, value]] : []))),
    asksPassphrase: passphrase !== null,
  };
  await ensureFolder(join(place.record, '..'));
  const record = await startLaunched(invocation, place, launch, passphrase);
  out.result({ pid: record.pid, log: place.log, facts: { ...record.facts } });
  await out.line(`${role} ready ${Object.entries(record.facts).map(([name, value]) => `${name}=${value}`).join(' ')}`);
  await out.note(`process ${record.pid}; its log is ${place.log}`);
  return true;
}

/** Starts what `launch` says, waits until it is ready, and keeps how it was started. Throws DaemonError with the end of its log. */
export async function startLaunched({ context: { env, signal } }: Pick<Invocation, 'context'>, place: DaemonPlace, launch: LaunchPlan, passphrase: string | null): Promise<DaemonRecord> {
  const others = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('COCOON_')));
  const program: Program = {
    command: launch.command, args: [...launch.program, ...launch.args, ...(passphrase === null ? [] : ['--passphrase-fd', String(SECRET_FD)])], cwd: launch.cwd, env: { ...others, ...launch.env },
    ...(passphrase !== null && { secret: passphrase }),
  };
  const record = await startDaemon(place, program, { timeoutMs: READY_MS, signal });
  const { pid, start } = record;
  await writeFileAtomic(launchFile(place.record), `${JSON.stringify({ ...launch, pid, start } satisfies Launch)}\n`);
  return record;
}

/** How the daemon that runs was started, where that was with --detach; else null. Throws ConfigError. */
export async function readLaunch({ record }: Pick<DaemonPlace, 'record'>, { pid, start }: Pick<DaemonRecord, 'pid' | 'start'>): Promise<LaunchPlan | null> {
  const path = launchFile(record);
  try {
    const { pid: launchedPid, start: launchedStart, ...plan } = Launch.parse(JSON.parse(Buffer.from(await readBounded(path, MAX_BYTES, { private: true })).toString('utf8')));
    return launchedPid === pid && launchedStart === start ? plan : null;
  } catch (cause) {
    if (cause instanceof NotFoundError) return null;
    throw new ConfigError('E_STATE', `cannot read ${path}: it does not say how a daemon was started`, { cause, hint: 'remove the file and start the daemon with --detach again' });
  }
}

/** The passphrase, tried at the key, where nothing but the terminal has it; else null. Throws `E_PASSPHRASE`, `E_NO_TERMINAL`. */
export async function askedPassphrase(invocation: Invocation, role: DetachedRole): Promise<string | null> {
  if (!await isPaid(invocation.settings)) return null;
  const network = await networkInUse(invocation.settings);
  const entry = await roleKey(invocation, network, role);
  const passphrase = await neededPassphrase(invocation, { subject: `key ${entry.label}`, purpose: 'unlock', label: entry.label });
  if (passphrase !== null) await keystoreOf(invocation).unlock(entry.label, passphrase);
  return passphrase;
}

/** Up to `--` only: what follows is not an option. */
function withoutDetach(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.filter((word, at) => word !== '--detach' || (end >= 0 && at > end));
}
