// What the tests of the local chain share: a chain in a temporary folder with a clock and blocks under control, TonClient on
// it, and wallets of @ton/ton for the chain's global id.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyPairFromSeed } from '@ton/crypto';
import { TonClient, WalletContractV4, WalletContractV5R1 } from '@ton/ton';
import type { OpenedContract } from '@ton/ton';
import { localChainAdmin } from '../../../src/chain/local/admin-client.ts';
import type { LocalChainAdmin } from '../../../src/chain/local/admin-client.ts';
import { startLocalChain } from '../../../src/chain/local/start.ts';
import type { LocalChainServerOptions, RunningLocalChain } from '../../../src/chain/local/start.ts';

export const TON = 10n ** 9n;
/** Unix seconds at which test chains begin. */
export const START = 1_800_000_000;

export interface TestClock {
  ms: number;
  now(): number;
}

export interface Started extends RunningLocalChain {
  readonly dir: string;
  readonly client: TonClient;
  readonly admin: LocalChainAdmin;
  readonly clock: TestClock;
}

const folders: string[] = [];
const running = new Set<RunningLocalChain>();

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'local-chain-'));
  folders.push(folder);
  return join(folder, 'chain');
}

/** A chain whose clock stands still and whose blocks are made when asked. */
export async function start(options: Partial<LocalChainServerOptions> = {}): Promise<Started> {
  const clock: TestClock = { ms: START * 1000, now() { return this.ms; } };
  const dir = options.dir ?? newFolder();
  const chain = await startLocalChain({ dir, tickMs: null, clock, ...options });
  running.add(chain);
  return {
    ...chain, dir, clock,
    client: new TonClient({ endpoint: chain.endpoint }),
    admin: localChainAdmin({ endpoint: chain.endpoint, token: chain.adminToken }),
    close: async () => {
      running.delete(chain);
      await chain.close();
    },
  };
}

/** Ends everything that `start` made. */
export async function cleanUp(): Promise<void> {
  for (const chain of running) await chain.close();
  running.clear();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export interface TestWallet<W> {
  readonly contract: W;
  readonly opened: OpenedContract<W>;
  readonly secretKey: Buffer;
}

const keys = (fill: number) => keyPairFromSeed(Buffer.alloc(32, fill));

export function walletV5(chain: Pick<Started, 'client' | 'globalId'>, fill: number): TestWallet<WalletContractV5R1> {
  const { publicKey, secretKey } = keys(fill);
  const contract = WalletContractV5R1.create({ publicKey, walletId: { networkGlobalId: chain.globalId } });
  return { contract, opened: chain.client.open(contract), secretKey };
}

export function walletV4(chain: Pick<Started, 'client'>, fill: number): TestWallet<WalletContractV4> {
  const { publicKey, secretKey } = keys(fill);
  const contract = WalletContractV4.create({ workchain: 0, publicKey });
  return { contract, opened: chain.client.open(contract), secretKey };
}

/** Raw JSON-RPC: status and parsed body. */
export async function rpc(endpoint: string, body: unknown, headers: Record<string, string> = {}): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(endpoint, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
  return { status: response.status, json: await response.json() as Record<string, unknown> };
}

/** The result of one method, or its error text. */
export async function ask(endpoint: string, method: string, params: object = {}): Promise<unknown> {
  const { json } = await rpc(endpoint, { jsonrpc: '2.0', id: '1', method, params });
  if (json['ok'] !== true) throw new Error(`${String(json['code'])} ${String(json['error'])}`);
  return json['result'];
}
