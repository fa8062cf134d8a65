// What the tests of the ledger share: a folder, an identity, addresses by number, and a proxy contract with two accounts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address } from '@ton/core';
import type { Params } from '../../../src/chain/cells/params.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import { encodePayment, signPayment } from '../../../src/chain/signed-payment.ts';
import type { TokensKind } from '../../../src/chain/cells/signed.ts';
import type { Ledger, LedgerAccount, LedgerIdentity, LedgerInstance, StoredPayment } from '../../../src/proxy/ledger/ledger.ts';
import { openLedger } from '../../../src/proxy/ledger/open-ledger.ts';
import type { OpenLedgerOptions } from '../../../src/proxy/ledger/open-ledger.ts';

export const address = (n: number): Address => {
  const hash = Buffer.alloc(32, 7);
  hash.writeUInt32BE(n);
  return new Address(0, hash);
};

export const SIGNER = signerOfSeed(Buffer.alloc(32, 3));
export const IDENTITY: LedgerIdentity = { globalId: -239, root: address(1), owner: address(2), publicKey: SIGNER.publicKey };
export const PARAMS: Params = {
  structVersion: 3, paramsVersion: 1, uniqueId: 9, isTest: true, pricePerTokenNano: 20n, workerFeePerTokenNano: 15n,
  promptMultiplier: 10_000, cachedMultiplier: 10_000, completionMultiplier: 10_000, reasoningMultiplier: 10_000,
  proxyDelaySeconds: 172_800, clientDelaySeconds: 86_400, minProxyStakeNano: 10n ** 9n, minClientStakeNano: 10n ** 9n,
  proxyCode: null, workerCode: null, clientCode: null,
};
export const PROXY = address(3);

const folders: string[] = [];
export function newPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  folders.push(folder);
  return join(folder, 'ledger.db');
}

const opened = new Set<Ledger>();
export async function open(path: string, options: OpenLedgerOptions = {}): Promise<Ledger> {
  const ledger = await openLedger(path, IDENTITY, options);
  opened.add(ledger);
  return ledger;
}

export async function cleanUp(): Promise<void> {
  for (const ledger of opened) await ledger.close();
  opened.clear();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export interface Pair {
  readonly instance: LedgerInstance;
  readonly client: LedgerAccount;
  readonly worker: LedgerAccount;
}

export async function pairOf(ledger: Ledger, n = 0): Promise<Pair> {
  const instance = await ledger.addInstance(PROXY, PARAMS);
  return {
    instance,
    client: ledger.account(instance, 'client', address(1000 + n), address(2000 + n)),
    worker: ledger.account(instance, 'worker', address(3000 + n), address(4000 + n)),
  };
}

export function payment(account: LedgerAccount, tokens: bigint, kind: TokensKind = account.kind === 'client' ? 'clientCharge' : 'workerPayout', queryId = 5n): StoredPayment {
  return { kind, tokens, boc: encodePayment(signPayment({ kind, queryId, tokens, contract: account.contract }, address(9), SIGNER)) };
}

export async function commit(ledger: Ledger): Promise<void> {
  await ledger.endCommitment(await ledger.beginCommitment(), 'confirmed');
}
