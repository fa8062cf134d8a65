// The parameters cell of struct versions 0 to 5 (ONCHAIN.md section 4, WIRE-2026-04.md section 6.1). Refuses versions above 5.
import type { Builder, Cell, Slice } from '@ton/core';
import { NANO_PER_TON } from '../../core/units.ts';
import { bool, cellOf, coins, maybeCell, struct, uint } from './codec.ts';
import type { CellCodec, Codec } from './codec.ts';

/** Multiplier that means ×1. */
export const MULTIPLIER_ONE = 10_000;
/** Minimum stakes of a layout that does not carry them. */
export const DEFAULT_MIN_STAKE_NANO = NANO_PER_TON;
/** Newest layout that is understood. */
export const MAX_STRUCT_VERSION = 5;
/** The layout that our contracts use, and the only one they unpack. */
export const CONTRACT_STRUCT_VERSION = 3;

export interface Params {
  readonly structVersion: number;
  /** Counts economic changes; a change leads to new contract addresses. */
  readonly paramsVersion: number;
  readonly uniqueId: number;
  readonly isTest: boolean;
  readonly pricePerTokenNano: bigint;
  readonly workerFeePerTokenNano: bigint;
  /** Multipliers are in ten-thousandths: 10000 is ×1. */
  readonly promptMultiplier: number;
  readonly cachedMultiplier: number;
  readonly completionMultiplier: number;
  readonly reasoningMultiplier: number;
  /** Seconds between a proxy's close request and its completion. */
  readonly proxyDelaySeconds: number;
  /** Seconds between a client's refund request and its forced claim. */
  readonly clientDelaySeconds: number;
  readonly minProxyStakeNano: bigint;
  readonly minClientStakeNano: bigint;
  readonly proxyCode: Cell | null;
  readonly workerCode: Cell | null;
  readonly clientCode: Cell | null;
}

// params$_ struct_version:uint8 { struct_version <= 5 } params_version:uint32 unique_id:uint32 is_test:Bool
//   price_per_token:Coins worker_fee_per_token:Coins
//   prompt_multiplier:(struct_version >= 3)?uint32 cached_multiplier:(struct_version >= 2)?uint32
//   completion_multiplier:(struct_version >= 3)?uint32 reasoning_multiplier:(struct_version >= 2)?uint32
//   proxy_delay_before_close:uint32 client_delay_before_close:uint32
//   min_proxy_stake:(struct_version >= 1)?Coins min_client_stake:(struct_version >= 1)?Coins
//   proxy_code:(Maybe ^Cell) worker_code:(Maybe ^Cell) client_code:(Maybe ^Cell) = Params;
const paramsFields: Codec<Params> = {
  read: (slice) => {
    const structVersion = slice.loadUint(8);
    return { structVersion, ...layout(structVersion).read(slice) };
  },
  write: (builder, params) => layout(params.structVersion).write(builder.storeUint(params.structVersion, 8), params),
};

/** Parameters cell; a field that the layout lacks reads as its default, and writing another value than that is refused. */
export const paramsCell: CellCodec<Params> = cellOf('parameters cell', paramsFields);

const uint32 = uint(32);

const layout = (version: number): Codec<Omit<Params, 'structVersion'>> => {
  if (!Number.isInteger(version) || version < 0 || version > MAX_STRUCT_VERSION) {
    throw new Error(`struct version is ${version}, expected 0 to ${MAX_STRUCT_VERSION}`);
  }
  return struct({
    paramsVersion: uint32,
    uniqueId: uint32,
    isTest: bool,
    pricePerTokenNano: coins,
    workerFeePerTokenNano: coins,
    promptMultiplier: since(3, version, uint32, MULTIPLIER_ONE),
    cachedMultiplier: since(2, version, uint32, MULTIPLIER_ONE),
    completionMultiplier: since(3, version, uint32, MULTIPLIER_ONE),
    reasoningMultiplier: since(2, version, uint32, MULTIPLIER_ONE),
    proxyDelaySeconds: uint32,
    clientDelaySeconds: uint32,
    minProxyStakeNano: since(1, version, coins, DEFAULT_MIN_STAKE_NANO),
    minClientStakeNano: since(1, version, coins, DEFAULT_MIN_STAKE_NANO),
    proxyCode: maybeCell,
    workerCode: maybeCell,
    clientCode: maybeCell,
  });
};

/** A field that exists from struct version `first` on. */
const since = <T>(first: number, version: number, codec: Codec<T>, missing: T): Codec<T> => version >= first ? codec : {
  read: (_slice: Slice) => missing,
  write: (_builder: Builder, value: T) => {
    if (value !== missing) throw new Error(`struct version ${version} has no such field, expected its default ${missing}, got ${value}`);
  },
};

/** The params that a proxy contract is created with: no proxy code (ONCHAIN.md section 5). */
export const proxyParams = (params: Params): Params => ({ ...params, proxyCode: null });

/** The params that a client or worker contract is created with: no code at all. */
export const childParams = (params: Params): Params => ({ ...params, proxyCode: null, workerCode: null, clientCode: null });
