// Storage of the root contract, struct versions 0 to 5, with both layouts of the version-4 key-manager cell
// (WIRE.md section 14, WIRE-2026-04.md sections 6.1 to 6.3). The struct version of the params decides which cells follow.
import { beginCell } from '@ton/core';
import type { Address, Builder, Cell, Slice } from '@ton/core';
import { address, bits256, cell, cellOf, ref, struct, tagged, uint, writing } from './codec.ts';
import type { CellCodec, Codec } from './codec.ts';
import { hashmap, hashSet, hexToKey, keyToHex } from './dictionary.ts';
import type { HashSet } from './dictionary.ts';
import { paramsCell } from './params.ts';
import type { Params } from './params.ts';
import { parseEndpoint } from './proxy-text.ts';

export interface RootStorage {
  readonly owner: Address;
  /** Counts all changes. */
  readonly version: number;
  readonly sets: RootSets;
  readonly params: Params;
  /** Struct version 4 and 5 only, else null. */
  readonly keyManager: KeyManager | null;
  /** Struct version 5 only, else null. */
  readonly verifiedKeys: VerifiedKeys | null;
}

export interface RootSets {
  readonly proxyHashes: HashSet;
  /** By number; entries that are not text stay as they are. */
  readonly proxies: ReadonlyMap<number, ProxyDescription>;
  readonly lastProxySeqno: number;
  readonly workerHashes: HashSet;
  readonly modelHashes: HashSet;
}

export interface ProxyDescription {
  /** The entry's whole value. */
  readonly raw: Cell;
  /** Printable ASCII of an entry with type bit 0, else null. */
  readonly text: string | null;
}

export interface KeyManager {
  /** Keys to which prompts may be sealed, by their hexadecimal text. */
  readonly publicKeys: ReadonlyMap<string, { readonly keyType: number; readonly expireAt: number }>;
  readonly publicKey: Uint8Array;
  /** Null in the early layout, which has none: such a key manager cannot be verified and must not be trusted. */
  readonly imageHash: Uint8Array | null;
  /** "ip:port", or empty where there is no key manager. */
  readonly addressText: string;
}

export interface VerifiedKeys {
  readonly proxies: HashSet;
  readonly workers: HashSet;
  readonly keyManagers: HashSet;
}

/** A change that our root contract executes later (ONCHAIN.md section 13, H10). */
export interface PendingChange {
  /** Unix seconds. */
  readonly executeAt: number;
  /** `changeDigest` of the message that executes it, 32 bytes. */
  readonly digest: Uint8Array;
}

/** Key of the pending change among the registered proxies; it is no proxy. */
export const PENDING_KEY = 0xffff_ffff;

const MAX_TEXT_BYTES = 127;
const PRINTABLE = /^[\x20-\x7e]*$/;

// net_address$0 len:(## 7) text:(bits (len * 8)) = ProxyDesc;
export const netAddress: Codec<string> = {
  read: (slice) => {
    if (slice.loadBit()) throw new Error('network address has type bit 1, expected 0');
    const text = slice.loadBuffer(slice.loadUint(7)).toString('latin1');
    if (!PRINTABLE.test(text)) throw new Error('network address is not printable ASCII');
    return text;
  },
  write: (builder, text) => {
    if (text.length > MAX_TEXT_BYTES || !PRINTABLE.test(text)) {
      throw new Error(`network address has ${text.length} characters, expected at most ${MAX_TEXT_BYTES} of printable ASCII`);
    }
    builder.storeBit(0).storeUint(text.length, 7).storeBuffer(Buffer.from(text, 'latin1'));
  },
};

const netAddressCell = cellOf('proxy description', netAddress);

/** A dictionary value that keeps its bits whatever they are. */
const proxyDescription: Codec<ProxyDescription> = {
  read: (slice) => {
    const raw = slice.asCell();
    return { raw, text: textOf(raw) };
  },
  write: (builder, { raw }) => void builder.storeSlice(raw.beginParse()),
};

function textOf(raw: Cell): string | null {
  const slice = raw.beginParse();
  if (slice.remainingBits < 8 || slice.preloadBit() || slice.remainingRefs > 0) return null;
  if (slice.remainingBits !== 8 + 8 * slice.preloadUint(8)) return null;
  const text = raw.beginParse().skip(8).loadBuffer((slice.remainingBits - 8) / 8).toString('latin1');
  return PRINTABLE.test(text) ? text : null;
}

// pending_change$1 execute_at:uint32 digest:bits256 = ProxyDesc;
const pendingChangeCell = cellOf('pending change', tagged(1, 1, struct({ executeAt: uint(32), digest: bits256 })));

/** The announced change, or null. Throws E_CHAIN_DATA where its entry has another layout. */
export function pendingChange({ proxies }: RootSets): PendingChange | null {
  const entry = proxies.get(PENDING_KEY);
  return entry === undefined ? null : pendingChangeCell.load(entry.raw);
}

/** An entry that announces a change, as the contract stores it. */
export const describePending = (change: PendingChange): ProxyDescription => ({ raw: pendingChangeCell.store(change), text: null });

/** Digest that announces a message body: hash of a cell with its operation and all that follows the query id. */
export function changeDigest(body: Cell): Uint8Array {
  return writing('digest of a change', () => {
    const slice = body.beginParse();
    const digested = beginCell().storeUint(slice.loadUint(32), 32).storeSlice(slice.skip(64)).endCell();
    return new Uint8Array(digested.hash());
  });
}

/** An entry with this text, as `register proxy` stores it. */
export const describeProxy = (text: string): ProxyDescription => ({ raw: netAddressCell.store(text), text });

const proxyMap = hashmap(32, 'registered proxies', proxyDescription);
const proxiesByNumber: Codec<ReadonlyMap<number, ProxyDescription>> = {
  read: (slice) => new Map([...proxyMap.read(slice)].map(([key, value]) => [Number(key), value])),
  write: (builder, map) => proxyMap.write(builder, new Map([...map].map(([key, value]) => [BigInt(key), value]))),
};

// root_sets$_ proxy_hashes:(HashmapE 256 True) proxies:(HashmapE 32 ProxyDesc) last_proxy_seqno:uint32
//   worker_hashes:(HashmapE 256 True) model_hashes:(HashmapE 256 True) = RootSets;
const rootSetsCell: CellCodec<RootSets> = cellOf('root sets', struct({
  proxyHashes: hashSet('proxy hashes'),
  proxies: proxiesByNumber,
  lastProxySeqno: uint(32),
  workerHashes: hashSet('worker hashes'),
  modelHashes: hashSet('model hashes'),
}));

// key_info$_ key_type:uint8 expire_at:uint32 = KeyInfo;
const keyInfo = cellLeaf(struct({ keyType: uint(8), expireAt: uint(32) }));
const keyMap = hashmap(256, 'registered public keys', keyInfo);

// key_manager$_ public_keys:(HashmapE 256 KeyInfo) public_key:bits256 image_hash:bits256 address:ProxyDesc = KeyManager;
// key_manager_early$_ public_keys:(HashmapE 256 KeyInfo) public_key:bits256 address:ProxyDesc = KeyManager;
export const keyManagerCell: CellCodec<KeyManager> = cellOf('key-manager cell', {
  read: (slice) => {
    const keys = keyMap.read(slice);
    const publicKey = bits256.read(slice);
    const imageHash = hasImageHash(slice) ? bits256.read(slice) : null;
    const addressText = netAddress.read(slice);
    if (addressText !== '') {
      const endpoint = parseEndpoint(addressText);
      if (typeof endpoint === 'string') throw new Error(`key manager address ${endpoint}`);
    }
    return { publicKeys: new Map([...keys].map(([key, info]) => [keyToHex(key), info])), publicKey, imageHash, addressText };
  },
  write: (builder, value) => {
    keyMap.write(builder, new Map([...value.publicKeys].map(([hex, info]) => [hexToKey(hex), info])));
    bits256.write(builder, value.publicKey);
    if (value.imageHash !== null) bits256.write(builder, value.imageHash);
    netAddress.write(builder, value.addressText);
  },
});

/**
 * Tells the two layouts apart by the bits left after the public key: with a hash, bit 256 is 0 and the next seven bits
 * are the length of exactly the rest; without, the same holds at bit 0. Throws where neither fits.
 */
export function hasImageHash(slice: Slice): boolean {
  const fits = (offset: number): boolean => {
    const rest = slice.remainingBits - offset - 8;
    if (rest < 0) return false;
    const head = slice.clone().skip(offset).loadUint(8);
    return head < 128 && rest === 8 * head;
  };
  if (fits(256)) return true;
  if (fits(0)) return false;
  throw new Error('key manager has neither of the two known layouts');
}

// verified_keys$_ proxies:(HashmapE 256 True) workers:(HashmapE 256 True) key_managers:(HashmapE 256 True) = VerifiedKeys;
export const verifiedKeysCell: CellCodec<VerifiedKeys> = cellOf('verified-keys cell', struct({
  proxies: hashSet('verified proxy keys'),
  workers: hashSet('verified worker keys'),
  keyManagers: hashSet('verified key-manager keys'),
}));

// root_data$_ owner:MsgAddress version:uint32 sets:^RootSets params:^Params
//   key_manager:(struct_version >= 4)?^KeyManager verified_keys:(struct_version >= 5)?^VerifiedKeys = RootStorage;
const head = struct({ owner: address, version: uint(32), sets: ref(rootSetsCell), params: ref(paramsCell) });
export const rootStorage: CellCodec<RootStorage> = cellOf('root storage', {
  read: (slice) => {
    const first = head.read(slice);
    const { structVersion } = first.params;
    return {
      ...first,
      keyManager: structVersion >= 4 ? keyManagerCell.load(cell.read(slice)) : null,
      verifiedKeys: structVersion >= 5 ? verifiedKeysCell.load(cell.read(slice)) : null,
    };
  },
  write: (builder, value) => {
    const { structVersion } = value.params;
    if ((value.keyManager !== null) !== (structVersion >= 4) || (value.verifiedKeys !== null) !== (structVersion >= 5)) {
      throw new Error(`key manager or verified keys do not belong to struct version ${structVersion}`);
    }
    head.write(builder, value);
    if (value.keyManager !== null) builder.storeRef(keyManagerCell.store(value.keyManager));
    if (value.verifiedKeys !== null) builder.storeRef(verifiedKeysCell.store(value.verifiedKeys));
  },
});

/** A dictionary leaf with nothing after the value. */
function cellLeaf<T>(codec: Codec<T>): Codec<T> {
  const whole = cellOf('dictionary value', codec);
  return {
    read: (slice) => whole.load(slice.asCell()),
    write: (builder: Builder, value) => void builder.storeSlice(whole.store(value).beginParse()),
  };
}

/** Empty sets, as the reference deployment starts with. */
export const EMPTY_SETS: RootSets = {
  proxyHashes: new Set(), proxies: new Map(), lastProxySeqno: 0, workerHashes: new Set(), modelHashes: new Set(),
};
