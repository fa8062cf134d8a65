// The network configuration of a local chain: the public network's parameters, without those that no contract reads here
// (validators, bridges), with the chain's own global id and the fee parameters of the chosen era (ONCHAIN.md section 13, H9).
import { beginCell, Cell, Dictionary } from '@ton/core';
import type { Slice } from '@ton/core';
import { CocoonError } from '../../core/errors.ts';

/**
 * `gas400`: 400 nanoTON per gas in the base workchain. `gas66`: gas and forwarding at a sixth of those prices, 66.67 per gas.
 * Storage prices are the same in both.
 */
export type FeeEra = 'gas400' | 'gas66';
export const FEE_ERAS = ['gas400', 'gas66'] as const satisfies readonly FeeEra[];

export interface ChainConfig {
  /** The dictionary's root cell, base64 BoC. */
  readonly boc: string;
  /** One parameter, or undefined. */
  param(index: number): Cell | undefined;
}

const GLOBAL_ID = 19;
const GAS_PRICES = [20, 21] as const;
const FORWARD_PRICES = [24, 25] as const;
/** Validator sets, suspended accounts, bridges, and what the emulator's authors added. */
const UNREAD = [32, 34, 36, 44, 71, 72, 79, -999, -90, -71] as const;
const ERA_DIVISOR = 6n;

type Parameters = Dictionary<number, Cell>;

let base: { readonly source: string; readonly parameters: readonly (readonly [number, Cell])[] } | undefined;

/** Reading the public network's whole configuration takes most of a second; done once. */
function baseParameters(source: string): Parameters {
  if (base?.source !== source) {
    const all = Dictionary.loadDirect(Dictionary.Keys.Int(32), Dictionary.Values.Cell(), Cell.fromBase64(source));
    for (const index of UNREAD) all.delete(index);
    base = { source, parameters: [...all] };
  }
  const copy = Dictionary.empty(Dictionary.Keys.Int(32), Dictionary.Values.Cell());
  for (const [index, cell] of base.parameters) copy.set(index, cell);
  return copy;
}

const cheaper = (price: bigint): bigint => (price + ERA_DIVISOR / 2n) / ERA_DIVISOR;

function tag(slice: Slice, expected: number, what: string): void {
  const found = slice.loadUint(8);
  if (found !== expected) throw new CocoonError('E_INTERNAL', `${what} start with 0x${found.toString(16)}, expected 0x${expected.toString(16)}`);
}

// gas_flat_pfx#d1 flat_gas_limit:uint64 flat_gas_price:uint64 other:GasLimitsPrices = GasLimitsPrices;
// gas_prices_ext#de gas_price:uint64 gas_limit:uint64 special_gas_limit:uint64 gas_credit:uint64 block_gas_limit:uint64
//   freeze_due_limit:uint64 delete_due_limit:uint64 = GasLimitsPrices;
function cheaperGas(cell: Cell): Cell {
  const slice = cell.beginParse();
  tag(slice, 0xd1, 'gas prices');
  const out = beginCell().storeUint(0xd1, 8).storeUint(slice.loadUintBig(64), 64).storeUint(cheaper(slice.loadUintBig(64)), 64);
  tag(slice, 0xde, 'extended gas prices');
  return out.storeUint(0xde, 8).storeUint(cheaper(slice.loadUintBig(64)), 64).storeSlice(slice).endCell();
}

// msg_forward_prices#ea lump_price:uint64 bit_price:uint64 cell_price:uint64 ihr_price_factor:uint32 first_frac:uint16
//   next_frac:uint16 = MsgForwardPrices;
function cheaperForwarding(cell: Cell): Cell {
  const slice = cell.beginParse();
  tag(slice, 0xea, 'forwarding prices');
  const out = beginCell().storeUint(0xea, 8);
  for (let i = 0; i < 3; i += 1) out.storeUint(cheaper(slice.loadUintBig(64)), 64);
  return out.storeSlice(slice).endCell();
}

function change(parameters: Parameters, indexes: readonly number[], edit: (cell: Cell) => Cell): void {
  for (const index of indexes) {
    const cell = parameters.get(index);
    if (cell === undefined) throw new CocoonError('E_INTERNAL', `configuration parameter ${index} is missing`);
    parameters.set(index, edit(cell));
  }
}

/** `source`: base64 BoC of the public network's configuration. */
export function chainConfig(source: string, era: FeeEra, globalId: number): ChainConfig {
  const parameters = baseParameters(source);
  parameters.set(GLOBAL_ID, beginCell().storeInt(globalId, 32).endCell());
  if (era === 'gas66') {
    change(parameters, GAS_PRICES, cheaperGas);
    change(parameters, FORWARD_PRICES, cheaperForwarding);
  }
  const root = beginCell().storeDictDirect(parameters, Dictionary.Keys.Int(32), Dictionary.Values.Cell()).endCell();
  return { boc: root.toBoc().toString('base64'), param: (index) => parameters.get(index) };
}
