import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import type { TonAccess } from '../../../src/chain/access/types.ts';
import { localChainAdmin } from '../../../src/chain/local/admin-client.ts';
import { startLocalChain } from '../../../src/chain/local/start.ts';
import type { RunningLocalChain } from '../../../src/chain/local/start.ts';
import { lastAttempt, statusOf } from '../../../src/chain/sending/record.ts';
import { createSender, requireConfirmed } from '../../../src/chain/sending/sender.ts';
import { walletV5R1 } from '../../../src/chain/wallets/kinds.ts';
import { intent, signer, target, TON, VALUE, WAITS } from './fixture.ts';

const GLOBAL_ID = -4711;
const wallet = walletV5R1(signer.publicKey, { name: 'local', globalId: GLOBAL_ID, testOnly: false });

let home: string;
let local: RunningLocalChain;
let access: TonAccess;
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'sender-local-'));
  local = await startLocalChain({ dir: join(home, 'chain'), globalId: GLOBAL_ID, tickMs: 40 });
  // Two names of one machine stand for two endpoints, so that reads are agreed.
  const url = new URL(local.endpoint);
  access = createTonAccess({ endpoints: [{ url: url.href }, { url: Object.assign(new URL(url), { hostname: 'localhost' }).href }], timeoutMs: 5000 });
  await local.chain.faucet({ to: wallet.address, amountNano: 5n * TON, key: 'fund' });
  for (let i = 0; i < 100 && (await access.account(wallet.address)).balanceNano === 0n; i += 1) await new Promise((resolve) => { setTimeout(resolve, 20); });
});
afterEach(async () => {
  await access.close();
  await local.close();
  rmSync(home, { recursive: true, force: true });
});

describe('createSender on the local chain', () => {
  it('confirms a transfer, follows it to its destination, and pays what the account lost', async () => {
    const sender = createSender({ access, wallet, signer, folder: join(home, 'outbox'), ...WAITS });
    const record = requireConfirmed(await sender.send(intent('a'), { awaitDelivery: true, timeoutMs: 20_000 }));
    expect(lastAttempt(record).deliveries).toMatchObject([{ status: 'delivered', valueNano: VALUE.toString() }]);
    expect((await access.account(target)).balanceNano).toBe(VALUE);
    const left = (await access.account(wallet.address, { agreed: true })).balanceNano;
    const fees = 5n * TON - VALUE - left;
    expect(fees).toBeGreaterThanOrEqual(BigInt(lastAttempt(record).transaction?.feesNano ?? 0));
    expect(fees).toBeLessThan(TON / 100n);
    expect((await sender.send(intent('a'))).attempts).toEqual(record.attempts);
  });

  it('names the missing amount from the chain\'s own estimate of fees', async () => {
    const sender = createSender({ access, wallet, signer, folder: join(home, 'outbox'), ...WAITS });
    await expect(sender.send(intent('a', 5n * TON))).rejects.toMatchObject({ code: 'E_FUNDS', message: expect.stringMatching(/0\.00\d+ TON are missing/) });
    expect(await sender.records()).toEqual([]);
  });

  it('keeps nothing of a message that the chain would refuse: it shows when fees are estimated', async () => {
    // Signed for another network: the same contract code, another wallet id.
    const foreign = walletV5R1(signer.publicKey, { name: 'other', globalId: GLOBAL_ID - 1, testOnly: false });
    const wrong = { ...wallet, buildExternal: foreign.buildExternal };
    const sender = createSender({ access, wallet: wrong, signer, folder: join(home, 'outbox'), ...WAITS });
    await expect(sender.send(intent('a'))).rejects.toMatchObject({ code: 'E_CHAIN_REFUSED', message: expect.stringContaining('cannot apply external message') });
    expect(await sender.records()).toEqual([]);
  });

  it('expires by the chain\'s own time when the gateways drop the message', async () => {
    const admin = localChainAdmin({ endpoint: local.endpoint, token: local.adminToken });
    await admin.addFault({ kind: 'drop' });
    const sender = createSender({ access, wallet, signer, folder: join(home, 'outbox'), ...WAITS });
    const sending = sender.send(intent('a'), { timeoutMs: 20_000 });
    for (let i = 0; i < 200 && (await sender.records()).length === 0; i += 1) await new Promise((resolve) => { setTimeout(resolve, 20); });
    await admin.advance(WAITS.validForS + WAITS.expiryMarginS + 5);
    expect(statusOf(await sending)).toBe('expired');
    expect((await access.account(target)).balanceNano).toBe(0n);
  });
});
