// Starts, describes and stops a whole local network: its signing key, a proxy and a node as processes of their own.
// Everything is real but the TEE: evidence is signed by the network's own key and accepted on this network only.
import { createServer } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { toHex } from '../core/bytes.ts';
import { DaemonError } from '../core/errors.ts';
import { ensureFolder, pathExists } from '../core/files.ts';
import { withLock } from '../core/lock.ts';
import { simulatedImageHash } from '../tee/image-hash.ts';
import { createLocalAuthority, loadLocalAuthority } from '../tee/local-authority.ts';
import { simulatedMeasurement } from '../tee/simulated.ts';
import { LOCAL_ROLES, readDescription, writeDescription } from './layout.ts';
import { awaitDaemon, runningRecord, startDaemon, stopDaemon } from './process.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { LocalPart, LocalRole, LocalnetDescription, LocalnetLayout, Payments } from './layout.ts';
import type { Program } from './process.ts';

/** Limit for a daemon to become ready; loading a large model takes the most of it. */
const READY_MS = 60_000;

export interface StartOptions {
  /** Version of this package; part of the simulated measurements. */
  readonly version: string;
  readonly payments: Payments;
  /** The command that runs a role: `cocoon proxy start …`, `cocoon node start …`. */
  program(role: LocalRole): Program;
  /** Called before the roles are started, under the lock: what they need on the chain. */
  prepare?(description: LocalnetDescription): Promise<void>;
  readonly signal: AbortSignal;
  /** Called before each part is started. */
  onProgress?(what: string): void | Promise<void>;
}

export interface RoleStatus {
  readonly role: LocalPart;
  /** `stopped`: no process. `starting`: a process that has not said it is ready. `connecting`: it was, and has lost its connection. */
  readonly state: 'ready' | 'starting' | 'connecting' | 'stopped';
  readonly record: DaemonRecord | null;
}

export interface RoleEnd {
  readonly role: LocalPart;
  /** Null: it did not run. */
  readonly ended: 'stopped' | 'killed' | null;
}

/** Listens for a moment; the port, or null when it is taken. 0 takes a free one. */
async function tryPort(port: number): Promise<number | null> {
  const server = createServer();
  const bound = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (!bound) return null;
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address === null || typeof address === 'string' ? null : address.port;
}

async function freeAddress(): Promise<string> {
  const port = await tryPort(0);
  if (port === null) throw new DaemonError('E_NOT_RUNNING', 'cannot find a free port on 127.0.0.1');
  return `127.0.0.1:${port}`;
}

/** The address while nobody else listens there, else another one. */
async function usableAddress(address: string): Promise<string> {
  return (await tryPort(Number(address.slice(address.lastIndexOf(':') + 1)))) === null ? freeAddress() : address;
}

/** The description of this network, made on first use: key, image hashes of this version, addresses that stay the same. */
export async function describeLocalnet(layout: LocalnetLayout, version: string, payments: Payments = 'none'): Promise<LocalnetDescription> {
  const authority = await pathExists(layout.authority) ? await loadLocalAuthority(layout.authority) : await createLocalAuthority(layout.authority);
  const known = await pathExists(layout.description) ? await readDescription(layout) : null;
  const imageHash = (role: 'proxy' | 'worker'): string => toHex(simulatedImageHash(simulatedMeasurement(role, version)));
  const description: LocalnetDescription = {
    version: 1,
    simulatedAttestation: true,
    networkId: toHex(authority.network.networkId),
    authorityPublicKey: toHex(authority.network.networkPublicKey),
    proxyImageHashes: [imageHash('proxy')],
    workerImageHashes: [imageHash('worker')],
    proxy: known?.proxy ?? { clients: await freeAddress(), workers: await freeAddress() },
    payments,
  };
  await writeDescription(layout, description);
  return description;
}

/**
 * The description for a start: what runs under another one (an older version, another key) is stopped first, and a proxy
 * that is to be started gets other addresses where its own are taken.
 */
async function prepare(layout: LocalnetLayout, { version, payments }: StartOptions): Promise<LocalnetDescription> {
  const before = await pathExists(layout.description) ? await readDescription(layout) : null;
  const now = await describeLocalnet(layout, version, payments);
  if (!isDeepStrictEqual(before, now)) await stopAll(layout);
  if (await runningRecord(layout, 'proxy') !== null) return now;
  const proxy = { clients: await usableAddress(now.proxy.clients), workers: await usableAddress(now.proxy.workers) };
  if (isDeepStrictEqual(proxy, now.proxy)) return now;
  await stopAll(layout); // a node that runs would look for the proxy where it was
  await writeDescription(layout, { ...now, proxy });
  return { ...now, proxy };
}

/**
 * Starts what does not run yet, in order, and waits until each part is ready: also one that runs and has to find the part
 * that was started before it. Idempotent. When a part fails, the parts that this call started are stopped again.
 * Throws DaemonError E_NOT_RUNNING, or the signal's reason.
 */
export async function startLocalnet(layout: LocalnetLayout, options: StartOptions): Promise<RoleStatus[]> {
  await ensureFolder(layout.root);
  return withLock(layout.lock, async () => {
    const description = await prepare(layout, options);
    await options.prepare?.(description);
    const wait = { timeoutMs: READY_MS, signal: options.signal };
    const started: LocalRole[] = [];
    try {
      for (const role of LOCAL_ROLES) {
        const record = await runningRecord(layout, role);
        if (record !== null && record.state !== 'failed') {
          // A node that lost its proxy has said so long before a new proxy is ready, and says when it has found it.
          await awaitDaemon(layout, role, wait);
          continue;
        }
        await stopDaemon(layout, role);
        await options.onProgress?.(`starting the ${role}`);
        started.push(role);
        await startDaemon(layout, role, options.program(role), wait);
      }
    } catch (error) {
      for (const role of started.reverse()) await stopDaemon(layout, role);
      throw error;
    }
    return localnetStatus(layout);
  }, { timeoutMs: READY_MS, signal: options.signal });
}

/** What runs now. */
export async function localnetStatus(layout: LocalnetLayout): Promise<RoleStatus[]> {
  // A network without payments is complete without a chain, which is listed while it runs.
  const isPaid = await pathExists(layout.description) && (await readDescription(layout)).payments === 'chain';
  const parts: LocalPart[] = isPaid || await runningRecord(layout, 'chain') !== null ? ['chain', ...LOCAL_ROLES] : [...LOCAL_ROLES];
  return Promise.all(parts.map(async (role): Promise<RoleStatus> => {
    const record = await runningRecord(layout, role);
    return { role, record, state: record === null ? 'stopped' : record.state === 'failed' ? 'starting' : record.state };
  }));
}

/** Stops every part, nodes before proxies before the chain; returns how each ended, null where it did not run. */
export async function stopLocalnet(layout: LocalnetLayout): Promise<RoleEnd[]> {
  if (!(await pathExists(layout.root))) return LOCAL_ROLES.map((role) => ({ role, ended: null }));
  return withLock(layout.lock, async () => {
    const roles = await stopAll(layout);
    const chain = await stopDaemon(layout, 'chain');
    return chain === null ? roles : [...roles, { role: 'chain', ended: chain }];
  }, { timeoutMs: READY_MS });
}

async function stopAll(layout: LocalnetLayout): Promise<RoleEnd[]> {
  const ended: RoleEnd[] = [];
  for (const role of [...LOCAL_ROLES].reverse()) ended.push({ role, ended: await stopDaemon(layout, role) });
  return ended;
}
