// The wallet, its key and the messages of the hot wallet's tests; also used by the child process that is killed.
import { Address, beginCell } from '@ton/core';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import type { HotMessage, HotWalletOptions } from '../../../src/chain/hot-wallet.ts';
import { walletV4R2 } from '../../../src/chain/wallets/kinds.ts';

export const TON = 10n ** 9n;
export const signer = signerOfSeed(new Uint8Array(32).fill(21));
/** Carries four messages, as the Cocoon wallet does. */
export const wallet = walletV4R2(signer.publicKey);
export const WAITS = { pollMs: 15, resendMs: 40, validForS: 60, expiryMarginS: 10, lockTimeoutMs: 10_000 } satisfies Partial<HotWalletOptions>;

export const target = (byte: number): Address => new Address(0, Buffer.alloc(32, byte));
export const pay = (byte: number, valueNano = TON / 10n): HotMessage => ({ to: target(byte), valueNano, bounce: false, body: beginCell().storeUint(byte, 32).endCell() });
