// The local chain as one more process of a local network, and what is known of it without asking it: which chain it is, where it
// answers while it runs, and the root contract that was deployed on it. A folder that holds another chain forgets the root.
import { Address } from '@ton/core';
import { z } from 'zod';
import { ConfigError, DaemonError, NotFoundError } from '../core/errors.ts';
import { ensureFolder, readBounded, writeFileAtomic } from '../core/files.ts';
import { withLock } from '../core/lock.ts';
import { localChainAdmin, readAdminToken } from '../chain/local/admin-client.ts';
import type { LocalChainAdmin } from '../chain/local/admin-client.ts';
import type { LocalChainFacts } from '../chain/networks.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { LocalnetLayout } from './layout.ts';
import { awaitDaemon, runningRecord, startDaemon, stopDaemon } from './process.ts';
import type { Program } from './process.ts';

const READY_MS = 60_000;
const LOCK_MS = 10_000;
const MAX_BYTES = 16 * 1024;

const ChainState = z.strictObject({
  version: z.literal(1),
  /** Drawn when the chain was made: tells it from a later chain in the same folder. */
  chainId: z.string().regex(/^[0-9a-f]{64}$/),
  globalId: z.int(),
  root: z.string().regex(/^0:[0-9a-f]{64}$/).nullable(),
});
type ChainState = z.infer<typeof ChainState>;

/** Null where there never was a chain. Throws ConfigError when the file is something else. */
export async function readChainState(layout: LocalnetLayout): Promise<ChainState | null> {
  let text: string;
  try {
    text = Buffer.from(await readBounded(layout.chainState, MAX_BYTES)).toString('utf8');
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
  try {
    return ChainState.parse(JSON.parse(text));
  } catch (cause) {
    throw new ConfigError('E_CONFIG', `cannot read "${layout.chainState}": it does not describe a local chain`, { cause, hint: 'stop the local network, remove the file and start it again' });
  }
}

async function changeState(layout: LocalnetLayout, change: (before: ChainState | null) => ChainState): Promise<void> {
  await ensureFolder(layout.root);
  await withLock(layout.chainState, async () => {
    await writeFileAtomic(layout.chainState, `${JSON.stringify(change(await readChainState(layout)), null, 2)}\n`);
  }, { timeoutMs: LOCK_MS });
}

/** Said by the chain's own process when it serves. */
export function recordChain(layout: LocalnetLayout, chain: { readonly chainId: string; readonly globalId: number }): Promise<void> {
  return changeState(layout, (before) => ({ version: 1, ...chain, root: before?.chainId === chain.chainId ? before.root : null }));
}

/** Said by `network deploy`. Throws ConfigError where there never was a chain. */
export function recordLocalRoot(layout: LocalnetLayout, root: Address): Promise<void> {
  return changeState(layout, (before) => {
    if (before === null) throw new ConfigError('E_CONFIG', 'there is no local chain on which a root contract could be', { hint: 'run `cocoon localnet start --chain-only --detach`' });
    return { ...before, root: root.toRawString() };
  });
}

/** What a command needs to use the local chain; null where there never was one. */
export async function localChainFacts(layout: LocalnetLayout): Promise<LocalChainFacts | null> {
  const state = await readChainState(layout);
  if (state === null) return null;
  const record = await runningRecord(layout, 'chain');
  return { globalId: state.globalId, root: state.root === null ? null : Address.parseRaw(state.root), endpoint: record?.facts['endpoint'] ?? null };
}

/** Starts the chain if it does not run, and waits until it is ready. Throws DaemonError E_NOT_RUNNING. */
export async function startChain(layout: LocalnetLayout, program: Program, signal: AbortSignal): Promise<DaemonRecord> {
  await ensureFolder(layout.root);
  return withLock(layout.lock, async () => {
    const wait = { timeoutMs: READY_MS, signal };
    const record = await runningRecord(layout, 'chain');
    if (record !== null && record.state !== 'failed') return awaitDaemon(layout, 'chain', wait);
    await stopDaemon(layout, 'chain');
    return startDaemon(layout, 'chain', program, wait);
  }, { timeoutMs: READY_MS, signal });
}

/** Stops the chain alone; null when it did not run. */
export function stopChain(layout: LocalnetLayout): Promise<'stopped' | 'killed' | null> {
  return withLock(layout.lock, () => stopDaemon(layout, 'chain'), { timeoutMs: READY_MS });
}

/** The admin side of the running chain. Throws DaemonError E_NOT_RUNNING. */
export async function chainAdmin(layout: LocalnetLayout): Promise<LocalChainAdmin> {
  const facts = await localChainFacts(layout);
  if (facts === null || facts.endpoint === null) throw new DaemonError('E_NOT_RUNNING', 'the local chain is not running', { hint: 'run `cocoon localnet start --chain-only --detach`' });
  return localChainAdmin({ endpoint: facts.endpoint, token: await readAdminToken(layout.chain) });
}
