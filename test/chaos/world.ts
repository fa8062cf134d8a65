// One world of the chaos test: who takes part, where, and with which keys. Every key follows from the seed; what follows from
// the chain is written into world.json, which every process of the world reads when it starts.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Address } from '@ton/core';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { outboxName } from '../../src/chain/plans/carry-out.ts';
import { walletV5R1 } from '../../src/chain/wallets/kinds.ts';
import type { Signer } from '../../src/chain/ed25519.ts';
import type { WalletKind } from '../../src/chain/wallets/kinds.ts';
import type { WalletNetwork } from '../../src/chain/wallets/network.ts';

export interface Size {
  readonly proxies: number;
  readonly nodes: number;
  readonly clients: number;
  /** Processes that the clients are spread over. */
  readonly clientProcesses: number;
}

/** Ports of this machine. */
export interface Ports {
  readonly clients: number;
  readonly workers: number;
}

export interface WorldProxy {
  /** Where it listens. */
  readonly inner: Ports;
  /** What the root contract lists: ways to it that can be cut. */
  readonly outer: Ports;
  /** Its contract, raw. */
  readonly contract: string;
}

export interface World {
  readonly seed: string;
  readonly home: string;
  readonly globalId: number;
  readonly chainPort: number;
  readonly size: Size;
  /** Root contract, raw. */
  readonly root: string;
  readonly proxies: readonly WorldProxy[];
  /** True: proxies deliver every payment, however small. */
  readonly settling: boolean;
}

/** Of the simulated images. */
export const VERSION = '0.0.0-chaos';
export const MODEL = 'instant';
export const TICK_MS = 200;
/** What a node lends a proxy. */
export const MAX_OWED_NANO = 1_000_000_000n;

export const endpointOf = ({ chainPort }: Pick<World, 'chainPort'>): string => `http://127.0.0.1:${chainPort}/api/v2/jsonRPC`;
export const chainFolder = ({ home }: Pick<World, 'home'>): string => join(home, 'chain');
export const ledgerFile = ({ home }: Pick<World, 'home'>, proxy: number): string => join(home, `ledger-${proxy}.db`);
export const clientBook = ({ home }: Pick<World, 'home'>, client: number): string => join(home, `client-book-${client}`);
export const nodeBook = ({ home }: Pick<World, 'home'>, node: number): string => join(home, `node-book-${node}`);
/** What a client or node saw, one JSON document a line, written before it is acted on. */
export const truthFile = ({ home }: Pick<World, 'home'>, who: 'client' | 'node', index: number): string => join(home, `truth-${who}-${index}.jsonl`);
export const logFile = ({ home }: Pick<World, 'home'>, name: string): string => join(home, `${name}.log`);

export type KeyName = 'owner' | `payment-${number}` | `proxy-wallet-${number}` | `node-wallet-${number}` | `node-owner-${number}` | `client-wallet-${number}` | `client-secret-${number}`;

/** 32 bytes. */
export const secretOf = ({ seed }: Pick<World, 'seed'>, name: KeyName): Uint8Array => new Uint8Array(createHash('sha256').update(`chaos ${seed} ${name}`).digest());

export const networkOf = ({ globalId }: Pick<World, 'globalId'>): WalletNetwork => ({ name: 'local', globalId, testOnly: false });

export interface WorldWallet {
  readonly kind: WalletKind;
  readonly signer: Signer;
  /** Its outbox. */
  readonly folder: string;
}

export function walletOf(world: Pick<World, 'seed' | 'home' | 'globalId'>, name: KeyName): WorldWallet {
  const signer = signerOfSeed(secretOf(world, name));
  const kind = walletV5R1(signer.publicKey, networkOf(world));
  return { kind, signer, folder: join(world.home, 'outbox', outboxName(world.globalId, kind.address)) };
}

export const rootOf = ({ root }: Pick<World, 'root'>): Address => Address.parseRaw(root);

const worldFile = (home: string): string => join(home, 'world.json');
export const writeWorld = (world: World): void => writeFileSync(worldFile(world.home), JSON.stringify(world));
export const readWorld = (home: string): World => JSON.parse(readFileSync(worldFile(home), 'utf8')) as World;

/** Clients of one process. */
export const clientsOf = ({ size: { clients, clientProcesses } }: Pick<World, 'size'>, process: number): number[] =>
  Array.from({ length: clients }, (_, client) => client).filter((client) => client % clientProcesses === process);

/** Ports that are free now; they are all held until the last is known. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  })));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => { server.close(resolve); })));
  return ports;
}
