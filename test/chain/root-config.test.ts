// Root configuration: vectors/wire/onchain/root.json (versions 0 to 3), vectors/wire-2026-04/root-contract.json (1 to 6).
import { describe, expect, it } from '@jest/globals';
import { beginCell } from '@ton/core';
import { parseEndpoint, parseProxyText, formatProxyText } from '../../src/chain/cells/proxy-text.ts';
import { childParams, paramsCell, proxyParams } from '../../src/chain/cells/params.ts';
import type { Params } from '../../src/chain/cells/params.ts';
import {
  changeDigest, describePending, describeProxy, EMPTY_SETS, PENDING_KEY, rootStorage,
} from '../../src/chain/cells/root-storage.ts';
import type { RootStorage } from '../../src/chain/cells/root-storage.ts';
import { changePrice } from '../../src/chain/cells/root-messages.ts';
import {
  configOfStorage, paramsProblems, priceOf, proxyShareOf, quote, rootConfigOf, tokensFor, workerFeeOf,
} from '../../src/chain/root-config.ts';
import { addr, boc, expectCell, hashOf, vector } from './vectors.ts';

const dataError = expect.objectContaining({ code: 'E_CHAIN_DATA', exitCode: 6 });
const text = (endpoint: { host: string; port: number }): string => `[${endpoint.host}:${endpoint.port}]`;

interface WireCell { readonly boc: string; readonly hash: string }
type Parsed = Readonly<Record<string, string & number & boolean>> & { readonly proxies: { seqno: number; workers: string; clients: string }[] };
const wire = vector<{ root: { struct_version: number; root_state: WireCell; parsed: Parsed }[]; root_empty: { state: WireCell } }>('wire/onchain/root.json');

const paramsFields = (p: Params) => ({
  params_version: p.paramsVersion, unique_id: p.uniqueId, is_test: p.isTest, price_per_token: Number(p.pricePerTokenNano),
  worker_fee_per_token: Number(p.workerFeePerTokenNano), prompt_mult: p.promptMultiplier, cached_mult: p.cachedMultiplier,
  completion_mult: p.completionMultiplier, reasoning_mult: p.reasoningMultiplier, proxy_delay: p.proxyDelaySeconds, client_delay: p.clientDelaySeconds,
  min_proxy_stake: Number(p.minProxyStakeNano), min_client_stake: Number(p.minClientStakeNano),
});

describe('wire/onchain/root.json', () => {
  it.each(wire.root.map((r) => [r.struct_version, r] as const))('rootConfigOf: struct version %i', (version, { root_state: state, parsed }) => {
    const config = rootConfigOf(boc(state.boc));
    const { owner, proxies, version: changes, last_proxy_seqno: last, ...fields } = parsed;
    expect(config.params.structVersion).toBe(version);
    expect(paramsFields(config.params)).toEqual(fields);
    expect(config.owner.equals(addr(owner!))).toBe(true);
    expect([config.version, config.lastProxySeqno]).toEqual([changes, last]);
    expect(config.proxies.map((p) => ({ seqno: p.seqno, workers: text(p.workers), clients: text(p.clients) }))).toEqual(proxies);
    // Number 5 is both addresses in one pair of brackets: skipped, and said so.
    expect(config.skippedProxies).toEqual([{ seqno: 5, reason: expect.stringContaining('not an IPv4 address and port') }]);
    expect([config.keyManager, config.verifiedKeys, config.pendingChange]).toEqual([null, null, null]);
    expectCell(rootStorage.store(rootStorage.load(boc(state.boc))), state);
  });

  it('rootConfigOf: a root with empty dictionaries', () => {
    const config = rootConfigOf(boc(wire.root_empty.state.boc));
    expect([config.proxies, config.proxyHashes.size, config.workerHashes.size, config.modelHashes.size]).toEqual([[], 0, 0, 0]);
    expectCell(rootStorage.store(rootStorage.load(boc(wire.root_empty.state.boc))), wire.root_empty.state);
  });
});

interface Root2026 {
  readonly name: string; readonly boc_hex: string; readonly root_hash: string;
  readonly expected: Readonly<Record<string, unknown>> & { readonly proxies?: Record<string, string>; readonly public_keys?: Record<string, { type: number; expire: number }> };
  readonly cpp_9060ce5: Readonly<Record<string, unknown>> & { readonly proxies: [number, string][]; readonly public_keys: [string, number, number][] };
}
const { roots, params_cells: paramsHashes } = vector<{ roots: Root2026[]; params_cells: Record<string, string> }>('wire-2026-04/root-contract.json');
const readable = roots.filter((r) => r.expected['error'] === undefined);
/** Amounts are decimal strings in this file, all far below 2^53. */
const decimal = (value: unknown): unknown => typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
const sorted = (set: ReadonlySet<string>): string[] => [...set].sort();

describe('wire-2026-04/root-contract.json', () => {
  it('wire-2026-04/root-contract.json: seven roots can be read and one cannot', () => expect([readable.length, roots.length]).toEqual([7, 8]));

  it.each(readable.map((r) => [r.name, r] as const))('rootConfigOf: %s', (_, { boc_hex: bytes, root_hash: hash, expected: e, cpp_9060ce5: cpp }) => {
    const config = rootConfigOf(boc(bytes));
    const { params } = config;
    expect({ ...paramsFields(params), struct_version: params.structVersion, version: config.version, last_proxy_seqno: config.lastProxySeqno, owner: config.owner.toRawString() })
      .toEqual(Object.fromEntries(['params_version', 'unique_id', 'is_test', 'price_per_token', 'worker_fee_per_token', 'prompt_mult', 'cached_mult', 'completion_mult',
        'reasoning_mult', 'proxy_delay', 'client_delay', 'min_proxy_stake', 'min_client_stake', 'struct_version', 'version', 'last_proxy_seqno', 'owner'].map((key) => [key, decimal(e[key])])));
    expect([params.proxyCode, params.workerCode, params.clientCode].map((code) => code === null ? null : hashOf(code))).toEqual(e['code_hashes']);
    expect([sorted(config.proxyHashes), sorted(config.workerHashes), sorted(config.modelHashes)]).toEqual([e['proxy_hashes'], e['worker_hashes'], e['model_hashes']]);
    expect(config.skippedProxies).toEqual([]);
    expect(Object.fromEntries(config.proxies.map((p) => [p.seqno, formatProxyText(p)]))).toEqual(e.proxies);
    if (cpp['error'] === undefined) {
      expect(config.proxies.map((p) => [p.seqno, `${text(p.workers)} ${text(p.clients)}`])).toEqual(cpp.proxies);
      expect([params, proxyParams(params), childParams(params)].map((p) => hashOf(paramsCell.store(p))))
        .toEqual([7, 6, 0].map((mask) => String(cpp[`params_hash_${mask}`]).toLowerCase()));
    }
    expect(hashOf(rootStorage.store(rootStorage.load(boc(bytes))))).toBe(hash);
  });

  it.each(readable.filter((r) => Number(r.expected['struct_version']) >= 4).map((r) => [r.name, r] as const))('rootConfigOf: key manager of %s', (_, { boc_hex: bytes, expected: e }) => {
    const { keyManager, verifiedKeys } = rootConfigOf(boc(bytes));
    const withHash = e['key_manager_layout'] === 'with_image_hash';
    expect(Object.fromEntries([...keyManager!.publicKeys].map(([key, { keyType, expireAt }]) => [key, { type: keyType, expire: expireAt }]))).toEqual(e.public_keys);
    expect(Buffer.from(keyManager!.publicKey).toString('hex')).toBe(e['key_manager_public_key']);
    expect(keyManager!.verifiable).toBe(withHash);
    expect(keyManager!.imageHash === null ? null : Buffer.from(keyManager!.imageHash).toString('hex')).toBe(withHash ? e['key_manager_image_hash'] : null);
    expect(keyManager!.addressText).toBe(e['key_manager_address']);
    expect(keyManager!.endpoint === null).toBe(e['key_manager_address'] === '');
    if (e['struct_version'] !== 5) expect(verifiedKeys).toBeNull();
    else {
      expect([verifiedKeys!.proxies, verifiedKeys!.workers, verifiedKeys!.keyManagers].map(sorted))
        .toEqual([e['verified_proxy_keys'], e['verified_worker_keys'], e['verified_key_manager_keys']]);
    }
  });

  it('rootConfigOf: refuses struct version 6', () => {
    const unknown = roots.find((r) => r.expected['error'] !== undefined)!;
    expect(() => rootConfigOf(boc(unknown.boc_hex))).toThrow(expect.objectContaining({ code: 'E_CHAIN_DATA', message: expect.stringContaining('struct version is 6') }));
  });

  it('childParams: the struct version alone changes the children\'s params', () => {
    const hash = (version: number, mask: 'client_mask0' | 'proxy_mask6'): string => {
      const { params } = rootConfigOf(boc(readable.find((r) => r.expected['struct_version'] === version)!.boc_hex));
      return hashOf(paramsCell.store(mask === 'client_mask0' ? childParams(params) : proxyParams(params)));
    };
    expect([hash(4, 'client_mask0'), hash(4, 'proxy_mask6'), hash(3, 'client_mask0'), hash(5, 'client_mask0')]).toEqual(
      ['v4_client_mask0_hash', 'v4_proxy_mask6_hash', 'v3_client_mask0_hash', 'v5_client_mask0_hash'].map((key) => paramsHashes[key]));
  });
});

const base = rootStorage.load(boc(wire.root[3]!.root_state.boc));
const four = rootStorage.load(boc(readable.find((r) => r.name.startsWith('v4 upstream (edafcb2'))!.boc_hex));
const withProxies = (...texts: string[]): RootStorage =>
  ({ ...base, sets: { ...EMPTY_SETS, proxies: new Map(texts.map((each, n) => [n + 1, describeProxy(each)])) } });

describe('configOfStorage', () => {
  it('configOfStorage: reads and writes a root with proxies, hashes and a pending change', () => {
    const change = { executeAt: 1_800_086_400, digest: changeDigest(changePrice.store({ queryId: 1n, pricePerTokenNano: 30n, workerFeePerTokenNano: 20n })) };
    const storage = withProxies('10.0.0.1:1 10.0.0.2:2');
    const stored = rootStorage.store({
      ...storage,
      sets: { ...storage.sets, proxies: new Map([...storage.sets.proxies, [PENDING_KEY, describePending(change)]]), workerHashes: new Set(['ab'.repeat(32)]) },
    });
    const config = rootConfigOf(stored);
    expect(config.proxies).toEqual([{ seqno: 1, workers: { host: '10.0.0.1', port: 1 }, clients: { host: '10.0.0.2', port: 2 } }]);
    expect([config.skippedProxies, config.pendingChange, sorted(config.workerHashes)]).toEqual([[], change, ['ab'.repeat(32)]]);
  });

  it('changeDigest: depends on all of the body but the query id', () => {
    const digest = (queryId: bigint, price: bigint): string =>
      Buffer.from(changeDigest(changePrice.store({ queryId, pricePerTokenNano: price, workerFeePerTokenNano: 1n }))).toString('hex');
    expect(digest(1n, 5n)).toBe(digest(2n, 5n));
    expect(digest(1n, 5n)).not.toBe(digest(1n, 6n));
    expect(() => changeDigest(beginCell().endCell())).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });

  it('configOfStorage: an entry of type bit 1, one with bits left over and one that is not ASCII are skipped and reported', () => {
    const raw = [
      beginCell().storeUint(0b1, 1).storeUint(7, 31).endCell(),
      beginCell().storeSlice(describeProxy('10.0.0.1:1').raw.beginParse()).storeBit(0).endCell(),
      beginCell().storeUint(1, 8).storeUint(0xff, 8).endCell(),
      beginCell().endCell(),
    ];
    const proxies = new Map(raw.map((cell, n) => [n + 1, { raw: cell, text: null }]));
    const config = rootConfigOf(rootStorage.store({ ...base, sets: { ...EMPTY_SETS, proxies } }));
    expect(config.proxies).toEqual([]);
    expect(config.skippedProxies.map((p) => p.seqno)).toEqual([1, 2, 3, 4]);
  });

  it('configOfStorage: a key manager with a bad address refuses the whole configuration', () => {
    for (const addressText of ['example.org:1', '1.2.3.4', '1.2.3.4:1 1.2.3.4:2', '[1.2.3.4:0]']) {
      const stored = rootStorage.store({ ...four, keyManager: { ...four.keyManager!, addressText } });
      expect(() => rootConfigOf(stored)).toThrow(dataError);
    }
    const bracketed = rootStorage.store({ ...four, keyManager: { ...four.keyManager!, addressText: '[1.2.3.4:5]' } });
    expect(rootConfigOf(bracketed).keyManager?.endpoint).toEqual({ host: '1.2.3.4', port: 5 });
  });

  it('rootStorage: refuses to write a key manager into a version that has none, and the reverse', () => {
    expect(() => rootStorage.store({ ...base, keyManager: four.keyManager })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    expect(() => rootStorage.store({ ...four, keyManager: null })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });

  it('configOfStorage: keeps what it is given', () => expect(configOfStorage(base).owner.equals(base.owner)).toBe(true));
});

describe('parseProxyText', () => {
  const one = { host: '1.2.3.4', port: 80 };
  const two = { host: '5.6.7.8', port: 65535 };
  it.each([
    ['1.2.3.4:80', one, one],
    ['[1.2.3.4:80]', one, one],
    ['1.2.3.4:80 5.6.7.8:65535', one, two],
    ['[1.2.3.4:80] [5.6.7.8:65535]', one, two],
    ['[1.2.3.4:80] 5.6.7.8:65535', one, two],
  ])('parseProxyText: %j', (given, workers, clients) => {
    expect(parseProxyText(given)).toEqual({ workers, clients });
    expect(parseProxyText(formatProxyText({ workers, clients }))).toEqual({ workers, clients });
  });

  it.each(['', ' ', '1.2.3.4', '1.2.3.4:', ':80', '1.2.3.4:0', '1.2.3.4:65536', '1.2.3.4:+80', '1.2.3.256:80', '1.2.3.04:80', '1.2.3:80', 'localhost:80', '[::1]:80',
    '[1.2.3.4:80 5.6.7.8:1]', '1.2.3.4:80  5.6.7.8:1', '1.2.3.4:80 5.6.7.8:1 ', ' 1.2.3.4:80', '1.2.3.4:80 5.6.7.8:1 9.9.9.9:1', '[[1.2.3.4:80]]', '[1.2.3.4:80', '1.2.3.4:80]', '1.2.3.4:80\n',
  ])('parseProxyText: %j is none, with a reason', (bad) => expect(parseProxyText(bad)).toEqual(expect.any(String)));

  it('parseEndpoint: is one address only', () => expect(parseEndpoint('1.2.3.4:80 5.6.7.8:1')).toEqual(expect.any(String)));
});

describe('prices', () => {
  const { params } = base;
  it('priceOf, workerFeeOf, proxyShareOf: exact at any size', () => {
    const tokens = (1n << 64n) - 1n;
    expect(priceOf(params, tokens)).toBe(tokens * 20n);
    expect(workerFeeOf(params, tokens)).toBe(tokens * 15n);
    expect(proxyShareOf(params, tokens)).toBe(tokens * 5n);
  });

  it('tokensFor: rounds down, null where tokens are free', () => {
    expect([tokensFor(params, 19n), tokensFor(params, 20n), tokensFor(params, 59n)]).toEqual([0n, 1n, 2n]);
    expect(tokensFor({ ...params, pricePerTokenNano: 0n }, 5n)).toBeNull();
  });

  it('quote: applies the multipliers and rounds up', () => {
    // prompt ×1, cached ×0.25, completion ×4, reasoning ×3.5 at 20 nanoTON
    expect(quote(params, { promptTokens: 10n, cachedTokens: 4n, completionTokens: 5n, reasoningTokens: 2n })).toBe(20n * (6n + 1n + 12n + 7n));
    expect(quote({ ...params, pricePerTokenNano: 1n }, { promptTokens: 1n, cachedTokens: 1n, completionTokens: 0n, reasoningTokens: 0n })).toBe(1n);
  });

  it('paramsProblems: names a fee above the price, delays too close or too long, and no stake', () => {
    expect(paramsProblems(params)).toEqual([]);
    const problems = paramsProblems({ ...params, workerFeePerTokenNano: 21n, proxyDelaySeconds: 86_400, clientDelaySeconds: 86_400, minProxyStakeNano: 0n });
    expect(problems).toEqual([expect.stringContaining('worker fee 21'), expect.stringContaining('by 0 s'), expect.stringContaining('stake is 0')]);
    expect(paramsProblems({ ...params, proxyDelaySeconds: 2_000_000, clientDelaySeconds: 1_209_601 })).toEqual([expect.stringContaining('1209601')]);
    expect(paramsProblems({ ...params, proxyDelaySeconds: 600, clientDelaySeconds: 300 })).toEqual([]);
  });
});
