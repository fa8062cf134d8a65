// The Cocoon wallet's external messages: vectors/wire/onchain/wallet.json and the externals of unit_wallet.json.
import { describe, expect, it } from '@jest/globals';
import { beginCell } from '@ton/core';
import { walletDeployment } from '../../../src/chain/addresses.ts';
import { registerClient, withdrawClient } from '../../../src/chain/cells/client-messages.ts';
import { walletStorage } from '../../../src/chain/cells/storage.ts';
import {
  externalMessage, stateInitCell, transferMessage, walletExternalBody, walletRequest,
} from '../../../src/chain/cells/wallet-messages.ts';
import { signWalletRequest, transfersRequest, walletExternal } from '../../../src/chain/contracts/wallet.ts';
import { signerOfSeed, verifySignature } from '../../../src/chain/ed25519.ts';
import { addr, boc, expectCell, hashOf, plain, vector } from '../vectors.ts';

interface WireCell { readonly boc: string; readonly hash: string; readonly bits: number; readonly refs: number }
const cells = vector<Readonly<Record<string, WireCell>>>('wire/onchain/wallet.json');
const words = vector<Readonly<Record<string, string>>>('wire/onchain/wallet.json');
const signer = signerOfSeed(new Uint8Array(Buffer.from(words['private_key_b64']!, 'base64')));
const storage = walletStorage.load(boc(cells['init_data']!.boc));
const code = boc(cells['state_init']!.boc).refs[0]!;
const deployment = walletDeployment(code, { owner: storage.owner, publicKey: signer.publicKey, subwallet: 0 });
const bodies = [
  ['external_body_seqno0_two_msgs_deploy_and_register', 0], ['external_body_seqno7_one_msg_0.7TON_withdraw', 7], ['external_body_seqno7_value_1nano_mode1', 7],
] as const;
const dataError = expect.objectContaining({ code: 'E_CHAIN_DATA' });

describe('wire/onchain/wallet.json', () => {
  it('walletDeployment: initial data, StateInit and address', () => {
    expect(hashOf(code)).toBe(words['code_hash']!.toLowerCase());
    expect(Buffer.from(signer.publicKey).toString('hex')).toBe(words['public_key']!.toLowerCase());
    expectCell(deployment.init.data, cells['init_data']!);
    expectCell(stateInitCell.store(deployment.init), cells['state_init']!);
    expect(deployment.address.equals(addr(words['address']!))).toBe(true);
  });

  it.each(bodies)('signWalletRequest: %s', (name, seqno) => {
    const { signature, request } = walletExternalBody.load(boc(cells[name]!.boc));
    expect(verifySignature(signer.publicKey, request.hash(), signature)).toBe(true);
    const { messages, ...head } = walletRequest.load(request);
    expect(head).toMatchObject({ subwallet: 0, seqno });
    const transfers = messages.map(({ message }) => transferMessage.load(message));
    const rebuilt = transfersRequest(head, transfers);
    expect(rebuilt.messages.map((m) => m.mode)).toEqual(messages.map((m) => m.mode));
    expectCell(signWalletRequest(rebuilt, signer), cells[name]!);
  });

  it('transferMessage: what the three bodies send', () => {
    const sent = bodies.map(([name]) => walletRequest.load(walletExternalBody.load(boc(cells[name]!.boc)).request).messages.map((m) => ({ mode: m.mode, ...transferMessage.load(m.message) })));
    const [[deploy, register], [withdraw], [tiny]] = sent as [[typeof sent[0][0], typeof sent[0][0]], [typeof sent[0][0]], [typeof sent[0][0]]];
    expect([deploy.mode, deploy.init !== null, deploy.body, deploy.valueNano]).toEqual([0, true, null, 800_000_000n]);
    expect([register.mode, register.init, registerClient.load(register.body!).sendExcessesTo.equals(deployment.address)]).toEqual([0, null, true]);
    expect([withdraw.valueNano, withdrawClient.load(withdraw.body!).sendExcessesTo.equals(deployment.address)]).toEqual([700_000_000n, true]);
    expect([tiny.mode, tiny.valueNano]).toEqual([1, 1n]);
  });

  it('walletExternal: deploys the wallet while its seqno is 0, and not after', () => {
    const body = boc(cells['external_body_seqno0_two_msgs_deploy_and_register']!.boc);
    expectCell(walletExternal(deployment, body, 0), cells['external_message_seqno0']!);
    expect(plain(externalMessage.load(walletExternal(deployment, body, 1)))).toEqual(plain({ to: deployment.address, body, init: null }));
    expect(plain(externalMessage.load(boc(cells['external_message_seqno0']!.boc)))).toEqual(plain({ to: deployment.address, body, init: deployment.init }));
  });
});

interface UnitCase { readonly id: string; readonly message: { readonly external?: boolean; readonly body_boc: string } }
const units = vector<UnitCase[] | { cases: UnitCase[] }>('onchain/unit_wallet.json');
const externals = (Array.isArray(units) ? units : units.cases).filter((c) => c.message.external === true);
// These two are made to be refused: a mode byte is missing, or bits follow the last one.
const malformed = (bits: number, refs: number): boolean => bits !== 512 + 96 + 8 * refs;

describe('onchain/unit_wallet.json', () => {
  it('unit_wallet.json: has externals of zero to four messages', () => {
    const counts = new Set(externals.map((c) => boc(c.message.body_boc).refs.length));
    expect([...counts].sort()).toEqual(expect.arrayContaining([0, 1, 4]));
  });

  it.each(externals.map((c) => [c.id, c] as const))('walletRequest: %s', (_, c) => {
    const body = boc(c.message.body_boc);
    if (body.bits.length < 512) {
      expect(() => walletExternalBody.load(body)).toThrow(dataError);
      return;
    }
    const { signature, request } = walletExternalBody.load(body);
    expectCell(walletExternalBody.store({ signature, request }), { boc: c.message.body_boc });
    if (malformed(body.bits.length, body.refs.length)) expect(() => walletRequest.load(request)).toThrow(dataError);
    else expectCell(walletRequest.store(walletRequest.load(request)), { boc: request.toBoc().toString('hex') });
  });
});

describe('limits', () => {
  const transfer = { to: deployment.address, valueNano: 5n, body: null, init: null };
  const head = { subwallet: 7, validUntil: 1_800_000_000, seqno: 3 };
  it('transfersRequest: one to four transfers, none and five are a bug', () => {
    for (const count of [1, 2, 3, 4]) {
      const body = signWalletRequest(transfersRequest(head, Array.from({ length: count }, () => transfer)), signer);
      expect([body.bits.length, body.refs.length]).toEqual([512 + 96 + 8 * count, count]);
    }
    expect(() => transfersRequest(head, [])).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    expect(() => signWalletRequest(transfersRequest(head, Array.from({ length: 5 }, () => transfer)), signer)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });

  it('transferMessage: refuses a bounce flag that does not fit, fees that are set and an inline state init', () => {
    const bits = transferMessage.store(transfer).bits;
    const flipped = (at: number) => {
      const b = beginCell();
      for (let n = 0; n < bits.length; n++) b.storeBit(bits.at(n) !== (n === at));
      return b.endCell();
    };
    for (const at of [0, 1, 2, 3, 4, 5, bits.length - 3, bits.length - 2, bits.length - 1]) expect(() => transferMessage.load(flipped(at))).toThrow(dataError);
  });
});
