// TVM stacks as toncenter v2 writes them in JSON: what get methods are given and what they return.
// Given: numbers, cells, slices and builders. Returned: also tuples and null; NaN and continuations have no form and are refused.
import { Cell, parseTuple } from '@ton/core';
import type { TupleItem } from '@ton/core';
import { z } from 'zod';
import { parseBoc } from '../cells/boc.ts';
import { invalid, RpcError } from './rpc-error.ts';

const MAX_ITEMS = 128;
const MAX_NUMBER_CHARS = 80;
const MAX_DEPTH = 64;
const INT257_BITS = 256n;

/** `[["num", "0x2a"], ["tvm.Cell", "<base64>"]]` */
export const StackParam = z.array(z.tuple([z.string().max(32), z.union([z.string(), z.int()])])).max(MAX_ITEMS);

function parseInt257(value: string | number): bigint {
  const match = /^(-?)(0x[0-9a-f]+|\d+)$/i.exec(String(value).slice(0, MAX_NUMBER_CHARS + 1));
  const [, sign, digits] = match ?? [];
  if (digits === undefined || String(value).length > MAX_NUMBER_CHARS) throw invalid('a number on the stack is not decimal or 0x-hexadecimal');
  const number = sign === '-' ? -BigInt(digits) : BigInt(digits);
  if (number >= 1n << INT257_BITS || number < -(1n << INT257_BITS)) throw invalid('a number on the stack has more than 257 bits');
  return number;
}

function parseCell(value: string | number): Cell {
  if (typeof value !== 'string') throw invalid('a cell on the stack is not base64');
  return parseBoc(Buffer.from(value, 'base64'), 'a cell on the stack');
}

/** Throws RpcError 422. */
export function parseStack(items: z.infer<typeof StackParam>): TupleItem[] {
  return items.map(([kind, value]): TupleItem => {
    switch (kind) {
      case 'num': case 'int': case 'number': return { type: 'int', value: parseInt257(value) };
      case 'tvm.Cell': case 'cell': return { type: 'cell', cell: parseCell(value) };
      case 'tvm.Slice': case 'slice': return { type: 'slice', cell: parseCell(value) };
      case 'tvm.Builder': case 'builder': return { type: 'builder', cell: parseCell(value) };
      default: throw invalid(`stack items of type ${JSON.stringify(kind)} are not supported`);
    }
  });
}

const bocOf = (cell: Cell): string => cell.toBoc().toString('base64');

function nested(item: TupleItem, depth: number): object {
  if (depth > MAX_DEPTH) throw new RpcError(500, 'the method returned tuples that are nested too deep');
  switch (item.type) {
    case 'int': return { '@type': 'tvm.stackEntryNumber', number: { '@type': 'tvm.numberDecimal', number: item.value.toString() } };
    case 'cell': return { '@type': 'tvm.stackEntryCell', cell: { '@type': 'tvm.cell', bytes: bocOf(item.cell) } };
    case 'slice': case 'builder': return { '@type': 'tvm.stackEntrySlice', slice: { '@type': 'tvm.slice', bytes: bocOf(item.cell) } };
    case 'null': return { '@type': 'tvm.stackEntryList', list: { '@type': 'tvm.list', elements: [] } };
    case 'tuple': return { '@type': 'tvm.stackEntryTuple', tuple: { '@type': 'tvm.tuple', elements: item.items.map((inner) => nested(inner, depth + 1)) } };
    default: throw new RpcError(500, `the method returned a value of type ${item.type}, which has no form here`);
  }
}

function hexadecimal(value: bigint): string {
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

function top(item: TupleItem): [string, unknown] {
  switch (item.type) {
    case 'int': return ['num', hexadecimal(item.value)];
    case 'cell': return ['cell', { bytes: bocOf(item.cell) }];
    case 'slice': return ['slice', { bytes: bocOf(item.cell) }];
    case 'builder': return ['builder', { bytes: bocOf(item.cell) }];
    case 'null': return ['list', { '@type': 'tvm.list', elements: [] }];
    case 'tuple': return ['tuple', { '@type': 'tvm.tuple', elements: item.items.map((inner) => nested(inner, 0)) }];
    default: throw new RpcError(500, `the method returned a value of type ${item.type}, which has no form here`);
  }
}

/** `boc`: a serialised stack, base64. Throws RpcError 500 where it holds what JSON cannot. */
export function stackJson(boc: string): [string, unknown][] {
  let items: TupleItem[];
  try {
    items = parseTuple(Cell.fromBase64(boc));
  } catch (error) {
    throw new RpcError(500, `the method returned a stack that has no form here: ${error instanceof Error ? error.message : String(error)}`);
  }
  return items.map(top);
}
