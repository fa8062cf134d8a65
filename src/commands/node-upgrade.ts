// `cocoon node upgrade`: installs another version beside this one, lets the node finish what runs, starts the other version in its
// place, and goes back by itself when that one does not come up healthy. `--rollback` goes back to the version before.
import { execFile } from 'node:child_process';
import { awaitDaemon, runningRecord, stopDaemon } from '../core/daemon-process.ts';
import { abortError } from '../core/deadline.ts';
import { asCocoonError, ConfigError, DaemonError, NotFoundError, UsageError } from '../core/errors.ts';
import { sleep } from '../core/retry.ts';
import { openVersions } from '../node/daemon/versions.ts';
import { isHealthy } from '../node/daemon/state.ts';
import { declareDaemon } from './daemon.ts';
import { requireDaemon } from './daemon-place.ts';
import { askedPassphrase, readLaunch, startLaunched } from './detach.ts';
import { tellDrain, tellResume, untilDrained } from './draining.ts';
import { readNodeState } from './node-status.ts';
import { declarePassphrase } from './passphrase.ts';
import type { Command } from 'commander';
import type { DaemonPlace } from '../core/daemon-process.ts';
import type { NodeState } from '../node/daemon/state.ts';
import type { VersionedProgram, Versions } from '../node/daemon/versions.ts';
import type { Invocation } from './command.ts';
import type { LaunchPlan } from './detach.ts';

/** How long the new version may take until it answers, is connected and says its version. */
const HEALTHY_MS = 120_000;
const LOOK_MS = 250;
const RESTART_MS = 120_000;
const APPEAR_MS = 60_000;
const READY_MS = 15 * 60_000;

export function declare(command: Command): void {
  command
    .argument('[package]', 'what npm installs: cocoon@VERSION, an archive or a folder')
    .option('--rollback', 'go back to the version before')
    .option('--restart <command>', 'how to restart a node that was not started with --detach, for example "systemctl restart cocoon-node"; it has to start versions/current');
  declarePassphrase(command);
  declareDaemon(command);
  command.addHelpText('after', '\nRequests that run are waited for at most --timeout. What was drained stays so. No package\'s scripts are run.');
}

/** How the node is replaced: start what is in use now, and what it takes to do so. */
interface Replacement {
  readonly place: DaemonPlace;
  /** Ends the running node and starts this program. */
  start(program: VersionedProgram, by: Invocation): Promise<void>;
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [spec], options, settings, context, out } = invocation;
  if ((spec === undefined) === (options['rollback'] !== true)) throw new UsageError('E_USAGE', 'expected either a package or --rollback');
  const before = await readNodeState(invocation);
  const { place, record } = await requireDaemon(invocation, 'node');
  const launch = await readLaunch(place, record);
  const versions = openVersions(settings.home, context.self.command);
  const replacement = await replacementOf(invocation, place, launch);
  const earlier = (await versions.used())?.previous ?? null;
  const current = await programNow(versions, before, launch);
  const next = spec === undefined ? await previousOf(versions) : await installed(invocation, versions, spec);
  if (before.attestation.evidence !== 'simulated') await out.warn('this machine\'s evidence is that of its image as it was started; a program that is replaced inside it is not part of that evidence');
  await out.note(`version ${before.version} finishes what runs`);
  await drained(invocation);
  await versions.use(next, current);
  try {
    await out.note(`starting version ${next.version}`);
    await replacement.start(next, invocation);
    await requireUp(invocation, next, before);
  } catch (error) {
    await goBack(withoutSignal(invocation), versions, replacement, { next, current, earlier, before }, error);
  }
  await versions.prune();
  out.result({ before: before.version, version: next.version, rolledBack: false });
  await out.line(`node upgraded from ${before.version} to ${next.version}`);
}

async function installed({ context, out }: Invocation, versions: Versions, spec: string): Promise<VersionedProgram> {
  await out.note(`installing ${spec}`);
  const program = await versions.install(spec, { cwd: context.cwd, signal: context.signal });
  await out.note(`version ${program.version} is installed`);
  return program;
}

async function previousOf(versions: Versions): Promise<VersionedProgram> {
  const previous = (await versions.used())?.previous ?? null;
  if (previous === null) throw new NotFoundError('E_NOT_FOUND', 'there is no version before this one');
  return previous;
}

/** What runs now, so that one can come back to it. */
async function programNow(versions: Versions, { version }: NodeState, launch: LaunchPlan | null): Promise<VersionedProgram> {
  if (launch !== null) return { version, command: launch.command, args: [...launch.program] };
  const known = (await versions.used())?.current;
  if (known?.version !== version) throw new ConfigError('E_STATE', `the node runs version ${version}, which is not one under versions/current`, { hint: 'let its service start versions/current/node_modules/cocoon/bin/cocoon, or start it with --detach' });
  return known;
}

async function replacementOf(invocation: Invocation, place: DaemonPlace, launch: LaunchPlan | null): Promise<Replacement> {
  const { restart } = invocation.options;
  if (launch !== null) {
    const passphrase = launch.asksPassphrase ? await askedPassphrase(invocation, 'node') : null;
    return {
      place,
      async start({ command, args }, by) {
        await stopDaemon(place);
        await startLaunched(by, place, { ...launch, command, program: [...args] }, passphrase);
      },
    };
  }
  if (typeof restart !== 'string') {
    throw new ConfigError('E_CONFIG', 'this node was not started with --detach, so it is not known how to start it again', { hint: 'say so with --restart "systemctl restart cocoon-node"' });
  }
  return {
    place,
    async start(_program, by) {
      await new Promise<void>((resolve, reject) => {
        execFile('/bin/sh', ['-c', restart], { timeout: RESTART_MS }, (error) => (error === null ? resolve() : reject(new DaemonError('E_NOT_RUNNING', `"${restart}" failed: ${error.message.slice(0, 500)}`))));
      });
      // systemd and others return before the node has said anything.
      await awaitDaemon(place, { appearMs: APPEAR_MS, timeoutMs: READY_MS, signal: by.context.signal });
    },
  };
}

/** Given up with Ctrl-C, the node takes work again. */
async function drained(invocation: Invocation): Promise<void> {
  const { drainedSinceMs } = await tellDrain(invocation, false);
  try {
    const left = await untilDrained(invocation, invocation.settings.durationMs('timeout'));
    if (left > 0) await invocation.out.warn(`${left} requests still ran and were cut off`);
  } catch (error) {
    if (drainedSinceMs === null) await tellResume(invocation).catch(() => undefined);
    throw error;
  }
}

/** Throws DaemonError unless the program answers, says this version, and is as well as the one before it was. */
async function requireUp(invocation: Invocation, { version }: VersionedProgram, before: NodeState): Promise<void> {
  const { context: { signal } } = invocation;
  const endsMs = performance.now() + HEALTHY_MS;
  let problem = 'it did not answer';
  while (performance.now() < endsMs) {
    try {
      const state = await readNodeState(invocation);
      if (state.version !== version) throw new DaemonError('E_NOT_RUNNING', `version ${state.version} runs, expected ${version}`);
      if (isHealthy(state) || !isHealthy(before)) return;
      problem = `it is ${state.state}`;
    } catch (error) {
      problem = asCocoonError(error).message;
      if (await runningRecord((await requireDaemon(invocation, 'node')).place) === null) break;
    }
    await sleep(LOOK_MS, signal).catch(() => undefined);
    if (signal.aborted) throw abortError(signal);
  }
  throw new DaemonError('E_NOT_RUNNING', problem);
}

/** Whoever gives up in the middle gets the old version back all the same. */
const withoutSignal = (invocation: Invocation): Invocation => ({ ...invocation, context: { ...invocation.context, signal: new AbortController().signal } });

async function goBack(
  invocation: Invocation, versions: Versions, replacement: Replacement, { next, current, earlier, before }: { next: VersionedProgram; current: VersionedProgram; earlier: VersionedProgram | null; before: NodeState }, error: unknown,
): Promise<never> {
  const why = asCocoonError(error).message;
  await invocation.out.warn(`version ${next.version} did not come up: ${why}`);
  await versions.use(current, earlier);
  await stopDaemon(replacement.place);
  try {
    await replacement.start(current, invocation);
    await requireUp(invocation, current, before);
  } catch (cause) {
    throw new DaemonError('E_NOT_RUNNING', `version ${next.version} did not come up (${why}), and neither did ${current.version} again: ${asCocoonError(cause).message}`, { cause, hint: `its log is ${replacement.place.log}` });
  }
  await versions.prune();
  throw new DaemonError('E_NOT_RUNNING', `version ${next.version} did not come up healthy, so version ${current.version} runs again: ${why}`, { cause: error, hint: `its log is ${replacement.place.log}` });
}
