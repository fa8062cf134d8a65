// The first record of a new local chain and the secrets that belong to it: a global id of its own, and a faucet, which is an
// ordinary V5R1 wallet that holds all TON there is.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { beginCell, storeShardAccount } from '@ton/core';
import { fromHex, toHex } from '../../core/bytes.ts';
import { ConfigError } from '../../core/errors.ts';
import { pathExists, readBounded, writeFileAtomic } from '../../core/files.ts';
import { signerOfSeed } from '../ed25519.ts';
import type { Signer } from '../ed25519.ts';
import { walletV5R1 } from '../wallets/kinds.ts';
import type { WalletKind } from '../wallets/kinds.ts';
import type { FeeEra } from './config.ts';
import type { GenesisRecord } from './records.ts';

/** All TON of a local chain: 10^9 TON, in nanoTON. */
export const FAUCET_SUPPLY_NANO = 10n ** 18n;
const SECRET_BYTES = 32;
const FILE_BYTES = 256;
/** Global ids drawn at random lie below, clear of -239 (mainnet), -3 (testnet) and other small numbers in public use. */
const LARGEST_RANDOM_GLOBAL_ID = -65_537;
const SMALLEST_GLOBAL_ID = -(2 ** 31);
const PUBLIC_GLOBAL_IDS = new Set([-239, -3]);

/** A global id for a new chain, so that what is signed for one local chain means nothing on another. */
export function randomGlobalId(): number {
  // 2^31 - 2^16 ids; the remainder's bias of one in 2^17 does not matter for an id that is not a secret.
  return SMALLEST_GLOBAL_ID + randomBytes(6).readUIntBE(0, 6) % (LARGEST_RANDOM_GLOBAL_ID - SMALLEST_GLOBAL_ID + 1);
}

/** Throws `E_CONFIG` unless `globalId` is a negative int32 of no public network. */
export function checkGlobalId(globalId: number): void {
  if (!Number.isInteger(globalId) || globalId >= 0 || globalId < SMALLEST_GLOBAL_ID || PUBLIC_GLOBAL_IDS.has(globalId)) {
    throw new ConfigError('E_CONFIG', `global id ${globalId} cannot be a local chain's, expected a negative 32-bit number other than -239 and -3`);
  }
}

/** Makes a secret of 32 bytes where there is none, and reads it. */
export async function makeSecret(folder: string, name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  if (!(await pathExists(path))) await writeFileAtomic(path, `${randomBytes(SECRET_BYTES).toString('hex')}\n`, { exclusive: true });
  return loadSecret(folder, name);
}

/** Reads a secret of 32 bytes, in hexadecimal and mode 0600. Throws `E_NOT_FOUND` or `E_STATE`. */
export async function loadSecret(folder: string, name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  const text = Buffer.from(await readBounded(path, FILE_BYTES, { private: true })).toString('latin1').trim();
  if (!/^[0-9a-f]{64}$/.test(text)) throw new ConfigError('E_STATE', `${path} is not a secret of ${SECRET_BYTES} bytes in hexadecimal`);
  return fromHex(text);
}

export interface Faucet {
  readonly wallet: WalletKind;
  readonly signer: Signer;
}

export function faucetOf(seed: Uint8Array, globalId: number): Faucet {
  const signer = signerOfSeed(seed);
  return { signer, wallet: walletV5R1(signer.publicKey, { name: 'local', globalId, testOnly: false }) };
}

/** The record of a new chain that starts at `time` (unix seconds). */
export function makeGenesis(options: { era: FeeEra; globalId: number; time: number; faucet: Faucet }): GenesisRecord {
  const { era, globalId, time, faucet: { wallet } } = options;
  const account = beginCell().store(storeShardAccount({
    account: {
      addr: wallet.address,
      storage: { lastTransLt: 0n, balance: { coins: FAUCET_SUPPLY_NANO }, state: { type: 'active', state: wallet.init } },
      storageStats: { used: { cells: 0n, bits: 0n }, lastPaid: time, duePayment: null, storageExtra: null },
    },
    lastTransactionLt: 0n,
    lastTransactionHash: 0n,
  })).endCell();
  const faucet = wallet.address.toRawString();
  return {
    type: 'genesis', version: 1, chainId: toHex(randomBytes(32)), globalId, era, time, faucet,
    accounts: { [faucet]: account.toBoc().toString('base64') },
  };
}
