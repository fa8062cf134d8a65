// The wallet, the target and the payment of the sender tests; also used by the child process that is killed.
import { Address } from '@ton/core';
import type { ModedMessage } from '../../../src/chain/cells/wallet-messages.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import type { SendIntent } from '../../../src/chain/sending/sender.ts';
import { walletV5R1 } from '../../../src/chain/wallets/kinds.ts';
import { transferOf } from '../../../src/chain/wallets/transfer.ts';

export const TON = 10n ** 9n;
export const signer = signerOfSeed(new Uint8Array(32).fill(7));
export const wallet = walletV5R1(signer.publicKey, { name: 'local', globalId: 4711, testOnly: false });
export const target = new Address(0, Buffer.alloc(32, 0xaa));
export const VALUE = TON / 4n;
export const WAITS = { pollMs: 15, resendMs: 40, validForS: 60, expiryMarginS: 10, lockTimeoutMs: 10_000 };

export const payment = (valueNano = VALUE): ModedMessage => transferOf({ to: target, valueNano, bounce: false, body: 'test' });
export const intent = (key: string, valueNano = VALUE): SendIntent => ({ key, messages: [payment(valueNano)] });
