// One contract and its payments, for the payment book's tests and the child process that is killed.
import { Address } from '@ton/core';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import type { Signer } from '../../../src/chain/ed25519.ts';
import type { NewBookEntry } from '../../../src/chain/payment-book.ts';
import { signPayment } from '../../../src/chain/signed-payment.ts';
import type { SignedPayment } from '../../../src/chain/signed-payment.ts';
import type { TokensKind } from '../../../src/chain/cells/signed.ts';

export const address = (byte: number): Address => new Address(0, Buffer.alloc(32, byte));
export const proxyKey = signerOfSeed(new Uint8Array(32).fill(11));
export const ENTRY: NewBookEntry = { proxy: address(1), contract: address(2), kind: 'worker', publicKey: proxyKey.publicKey };

export const pay = (tokens: bigint, kind: TokensKind = 'workerPayout', contract = ENTRY.contract, key: Signer = proxyKey): SignedPayment =>
  signPayment({ kind, queryId: tokens + 1n, tokens, contract }, address(3), key);
