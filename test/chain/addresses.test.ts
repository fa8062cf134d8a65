// Addresses: vectors/onchain/addresses.json, vectors/wire/onchain/addresses.json and root.json.
import { describe, expect, it } from '@jest/globals';
import type { Cell } from '@ton/core';
import {
  addressOfHashes, clientDeployment, deploymentOf, isStateInitOf, networkUniqueId, proxyDeployment, walletDeployment, walletSubwallet, workerDeployment,
} from '../../src/chain/addresses.ts';
import { paramsCell } from '../../src/chain/cells/params.ts';
import type { Params } from '../../src/chain/cells/params.ts';
import { rootStorage } from '../../src/chain/cells/root-storage.ts';
import { clientStorage, proxyStorage, STATE, walletStorage, workerStorage } from '../../src/chain/cells/storage.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { addr, boc, expectCell, hashOf, hex, vector } from './vectors.ts';

interface AddressVector {
  readonly contract: string; readonly code: string; readonly code_hash: string; readonly code_depth: number; readonly data_hash: string;
  readonly data_depth: number; readonly data_boc?: string; readonly data_boc_pruned?: string; readonly address: string;
}
const { vectors } = vector<{ vectors: AddressVector[] }>('onchain/addresses.json');
const env = vector<{ placeholder_codes: Record<string, { boc: string }> }>('onchain/env.json');
const placeholder = (name: string): Cell => boc(env.placeholder_codes[name]!.boc);
const withCodes = (params: Params): Params => ({ ...params, proxyCode: placeholder('proxy'), workerCode: placeholder('worker'), clientCode: placeholder('client') });

describe('onchain/addresses.json', () => {
  it.each(vectors.map((v) => [v.contract, v.code, v] as const))('addressOfHashes: %s, %s', (_, __, v) => {
    const address = addressOfHashes({ hash: hex(v.code_hash), depth: v.code_depth }, { hash: hex(v.data_hash), depth: v.data_depth });
    expect(address.toRawString()).toBe(v.address);
  });

  it.each(vectors.map((v) => [v.contract, v.code, v] as const))('%s, %s: initial data decodes and encodes to the same cell', (contract, _, v) => {
    const codec = { root: rootStorage, proxy: proxyStorage, client: clientStorage, worker: workerStorage, wallet: walletStorage }[contract]!;
    const data = boc(v.data_boc ?? v.data_boc_pruned!);
    const again = codec.store(codec.load(data) as never);
    expect(again.hash(0).toString('hex')).toBe(v.data_hash);
    expect(again.depth(0)).toBe(v.data_depth);
  });

  it.each(vectors.filter((v) => v.code === 'placeholder').map((v) => [v.contract, v] as const))('%s: derived from the network\'s params', (contract, v) => {
    const data = boc(v.data_boc!);
    const derived = contract === 'proxy'
      ? proxyDeployment((({ owner, publicKey, root, params }) => ({ owner, publicKey, root, params: withCodes(params) }))(proxyStorage.load(data)))
      : contract === 'client'
        ? clientDeployment((({ fixed, params }) => ({ ...fixed, params: withCodes(params) }))(clientStorage.load(data)))
        : workerDeployment((({ owner, proxy, proxyPublicKey, params }) => ({ owner, proxy, proxyPublicKey, params: withCodes(params) }))(workerStorage.load(data)));
    expect(derived.address.toRawString()).toBe(v.address);
    expectCell(derived.init.data, { boc: v.data_boc!, hash: v.data_hash });
  });

  it('child_addresses_with_placeholder_code: unit vectors\' client and worker', () => {
    const book = vector<{ address_book: Record<string, string>; key_seeds: Record<string, { public_key: string }>; child_addresses_with_placeholder_code: Record<string, string> }>('onchain/env.json');
    const params = withCodes(paramsCell.load(boc(vector<{ cells: { boc: string }[] }>('onchain/params.json').cells[11]!.boc)));
    const shared = { proxy: addr(book.address_book['proxy']!), proxyPublicKey: hex(book.key_seeds['proxy']!.public_key), params };
    expect(clientDeployment({ ...shared, owner: addr(book.address_book['client-owner']!) }).address.toRawString()).toBe(book.child_addresses_with_placeholder_code['unit_client']);
    expect(workerDeployment({ ...shared, owner: addr(book.address_book['worker-owner']!) }).address.toRawString()).toBe(book.child_addresses_with_placeholder_code['unit_worker']);
  });
});

interface WireAddresses {
  readonly inputs: Record<string, string> & { readonly params: Record<string, number>; readonly code_hashes: Record<string, string> };
  readonly computed: Record<string, string>; readonly observed_from_upstream: Record<string, string>;
}
interface WireCell { readonly boc: string; readonly hash: string }
interface WireRoot {
  readonly struct_version: number; readonly root_state: WireCell; readonly params_proxy_mask6: WireCell; readonly params_root_mask7: WireCell;
  readonly params_worker_client_mask0: WireCell; readonly proxy_init_data: WireCell; readonly client_init_data: WireCell; readonly worker_init_data: WireCell;
  readonly proxy_state_init: WireCell; readonly proxy_address: string; readonly client_address: string; readonly worker_address: string;
}
const wireRoots = vector<{ root: WireRoot[] }>('wire/onchain/root.json').root;
const wire = vector<WireAddresses>('wire/onchain/addresses.json');
const codes = paramsCell.load(boc(wireRoots[0]!.params_root_mask7.boc));

describe('wire/onchain/addresses.json', () => {
  const { inputs, observed_from_upstream: observed } = wire;
  const p = inputs.params;
  const params: Params = {
    structVersion: p['struct_version']!, paramsVersion: p['params_version']!, uniqueId: p['unique_id']!, isTest: true,
    pricePerTokenNano: BigInt(p['price_per_token']!), workerFeePerTokenNano: BigInt(p['worker_fee_per_token']!),
    promptMultiplier: 10_000, cachedMultiplier: 10_000, completionMultiplier: 10_000, reasoningMultiplier: 10_000,
    proxyDelaySeconds: p['proxy_delay_before_close']!, clientDelaySeconds: p['client_delay_before_close']!,
    minProxyStakeNano: BigInt(p['min_proxy_stake']!), minClientStakeNano: BigInt(p['min_client_stake']!),
    proxyCode: codes.proxyCode, workerCode: codes.workerCode, clientCode: codes.clientCode,
  };
  const key = (name: string): Uint8Array => signerOfSeed(new Uint8Array(Buffer.from(inputs[name]!, 'base64'))).publicKey;
  const owner = addr(inputs['owner']!);
  const root = addr(inputs['root']!);
  const walletCode = boc(vector<{ state_init: WireCell }>('wire/onchain/wallet.json').state_init.boc).refs[0]!;
  const wallet = (publicKey: Uint8Array) => walletDeployment(walletCode, { owner, publicKey, subwallet: 0 }).address;

  it('codes: have the hashes that the addresses were computed with', () => {
    expect([hashOf(codes.proxyCode!), hashOf(codes.workerCode!), hashOf(codes.clientCode!), hashOf(walletCode)])
      .toEqual(['proxy', 'worker', 'client', 'wallet'].map((name) => inputs.code_hashes[name]));
  });

  it('every address equals the one that the C++ programs use', () => {
    const publicKey = key('proxy_private_key_b64');
    expect(Buffer.from(publicKey).toString('hex')).toBe(observed['proxy_public_key']);
    const wallets = { proxy: wallet(publicKey), client: wallet(key('client_wallet_private_key_b64')), worker: wallet(key('worker_wallet_private_key_b64')) };
    const proxy = proxyDeployment({ owner, publicKey, root, params });
    const child = { proxy: proxy.address, proxyPublicKey: publicKey, params };
    const actual = {
      proxy_wallet: wallets.proxy, client_wallet: wallets.client, worker_wallet: wallets.worker, proxy_sc: proxy.address,
      client_sc: clientDeployment({ ...child, owner: wallets.client }).address,
      client_sc_for_plain_owner: clientDeployment({ ...child, owner }).address,
      worker_sc: workerDeployment({ ...child, owner }).address,
    };
    for (const [name, address] of Object.entries(actual)) expect([name, address.toRawString()]).toEqual([name, addr(observed[name]!).toRawString()]);
    const initData = proxyStorage.load(proxy.init.data);
    expect(hashOf(paramsCell.store(initData.params))).toBe(wire.computed['params_cell_hash_mask6']);
    expect(hashOf(clientDeployment({ ...child, owner }).init.data.refs[1]!)).toBe(wire.computed['params_cell_hash_mask0']);
  });

  it('every code slot that is needed must be there', () => {
    const child = { owner, proxy: root, proxyPublicKey: new Uint8Array(32), params: { ...params, workerCode: null, clientCode: null } };
    for (const derive of [() => clientDeployment(child), () => workerDeployment(child), () => proxyDeployment({ owner, publicKey: new Uint8Array(32), root, params: { ...params, proxyCode: null } })]) {
      expect(derive).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    }
  });
});

describe('wire/onchain/root.json', () => {
  it.each(wireRoots.map((r) => [r.struct_version, r] as const))('struct version %i: params, initial data, StateInit and addresses of the children', (_, r) => {
    const { params } = rootStorage.load(boc(r.root_state.boc));
    expectCell(paramsCell.store(params), r.params_root_mask7);
    const proxyData = proxyStorage.load(boc(r.proxy_init_data.boc));
    const proxy = proxyDeployment({ owner: proxyData.owner, publicKey: proxyData.publicKey, root: proxyData.root, params });
    expectCell(proxy.init.data, r.proxy_init_data);
    expect(proxy.address.toRawString()).toBe(addr(r.proxy_address).toRawString());
    expect(isStateInitOf(proxy.init, proxy.address)).toBe(true);
    expectCell(paramsCell.store(proxyStorage.load(proxy.init.data).params), r.params_proxy_mask6);
    const { fixed } = clientStorage.load(boc(r.client_init_data.boc));
    const client = clientDeployment({ ...fixed, params });
    expectCell(client.init.data, r.client_init_data);
    expect(client.address.toRawString()).toBe(addr(r.client_address).toRawString());
    const { owner, proxy: at, proxyPublicKey, params: childOf } = workerStorage.load(boc(r.worker_init_data.boc));
    const worker = workerDeployment({ owner, proxy: at, proxyPublicKey, params });
    expectCell(worker.init.data, r.worker_init_data);
    expect(worker.address.toRawString()).toBe(addr(r.worker_address).toRawString());
    expectCell(paramsCell.store(childOf), r.params_worker_client_mask0);
  });
});

describe('isStateInitOf', () => {
  it('isStateInitOf: refuses another address and another workchain', () => {
    const code = placeholder('proxy');
    const { address, init } = deploymentOf(code, code);
    expect(isStateInitOf(init, address)).toBe(true);
    expect(isStateInitOf({ code, data: placeholder('client') }, address)).toBe(false);
    expect(isStateInitOf(init, addr(address.toRawString().replace('0:', '-1:')))).toBe(false);
  });
});

describe('walletSubwallet, networkUniqueId', () => {
  it('walletSubwallet, networkUniqueId: differ by network, owner and purpose, never 0 (H8)', () => {
    const owners = [addr(`0:${'01'.repeat(32)}`), addr(`0:${'02'.repeat(32)}`), addr(`-1:${'01'.repeat(32)}`)];
    const values = [-239, -3, 0, 31337].flatMap((globalId) => owners.flatMap((owner) => [walletSubwallet(globalId, owner), networkUniqueId(globalId, owner)]));
    expect(new Set(values).size).toBe(values.length);
    expect(values.every((value) => value > 0 && value < 2 ** 32)).toBe(true);
    expect(STATE).toEqual({ normal: 0, closing: 1, closed: 2 });
  });
});
