// Starts, describes and stops a whole local network: its signing key, a proxy and a node as processes of their own.
// Everything is real but the TEE: evidence is signed by the network's own key and accepted on this network only.
import { createServer } from 'node:net';
import { toHex } from '../core/bytes.ts';
import { DaemonError } from '../core/errors.ts';
import { ensureFolder, pathExists } from '../core/files.ts';
import { withLock } from '../core/lock.ts';
import { simulatedImageHash } from '../tee/image-hash.ts';
import { createLocalAuthority, loadLocalAuthority } from '../tee/local-authority.ts';
import { simulatedMeasurement } from '../tee/simulated.ts';
import { LOCAL_ROLES, readDescription, writeDescription } from './layout.ts';
import { runningRecord, startDaemon, stopDaemon } from './process.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { LocalRole, LocalnetDescription, LocalnetLayout } from './layout.ts';
import type { Program } from './process.ts';

/** Limit for a daemon to become ready; loading a large model takes the most of it. */
const READY_MS = 60_000;

export interface StartOptions {
  /** Version of this package; part of the simulated measurements. */
  readonly version: string;
  /** The command that runs a role: `cocoon proxy start …`, `cocoon node start …`. */
  program(role: LocalRole): Program;
  readonly signal: AbortSignal;
  /** Called before each part is started. */
  onProgress?(what: string): void | Promise<void>;
}

export interface RoleStatus {
  readonly role: LocalRole;
  /** `stopped`: no process. `starting`: a process that has not said it is ready. */
  readonly state: 'ready' | 'starting' | 'stopped';
  readonly record: DaemonRecord | null;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new DaemonError('E_NOT_RUNNING', 'cannot find a free port on 127.0.0.1');
  return address.port;
}

/** The description of this network, made on first use: key, image hashes of this version, addresses that stay the same. */
export async function describeLocalnet(layout: LocalnetLayout, version: string): Promise<LocalnetDescription> {
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
    proxy: known?.proxy ?? { clients: `127.0.0.1:${await freePort()}`, workers: `127.0.0.1:${await freePort()}` },
  };
  await writeDescription(layout, description);
  return description;
}

/**
 * Starts what does not run yet, in order, and waits until each part is ready. Idempotent. When a part fails, the parts
 * that this call started are stopped again. Throws DaemonError E_NOT_RUNNING.
 */
export async function startLocalnet(layout: LocalnetLayout, options: StartOptions): Promise<RoleStatus[]> {
  await ensureFolder(layout.root);
  return withLock(layout.lock, async () => {
    await describeLocalnet(layout, options.version);
    const started: LocalRole[] = [];
    try {
      for (const role of LOCAL_ROLES) {
        if ((await runningRecord(layout, role))?.state === 'ready') continue;
        await stopDaemon(layout, role);
        await options.onProgress?.(`starting the ${role}`);
        started.push(role);
        await startDaemon(layout, role, options.program(role), { timeoutMs: READY_MS, signal: options.signal });
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
  return Promise.all(LOCAL_ROLES.map(async (role): Promise<RoleStatus> => {
    const record = await runningRecord(layout, role);
    return { role, record, state: record === null ? 'stopped' : record.state === 'ready' ? 'ready' : 'starting' };
  }));
}

/** Stops every part, nodes before proxies; returns how each ended, null where it did not run. */
export async function stopLocalnet(layout: LocalnetLayout): Promise<{ role: LocalRole; ended: 'stopped' | 'killed' | null }[]> {
  if (!(await pathExists(layout.root))) return LOCAL_ROLES.map((role) => ({ role, ended: null }));
  return withLock(layout.lock, async () => {
    const ended: { role: LocalRole; ended: 'stopped' | 'killed' | null }[] = [];
    for (const role of [...LOCAL_ROLES].reverse()) ended.push({ role, ended: await stopDaemon(layout, role) });
    return ended;
  }, { timeoutMs: READY_MS });
}
