// Shared by the contract wrappers: sending a body, reading a get method's stack, reading the account's data. What a
// contract answers out of specification becomes E_CHAIN_DATA; errors of the provider that are already typed pass.
import { SendMode } from '@ton/core';
import type { Cell, ContractProvider, Sender, TupleItem, TupleReader } from '@ton/core';
import { CocoonError, NotFoundError } from '../../core/errors.ts';
import { parseBoc, STATE_LIMITS } from '../cells/boc.ts';
import { chainDataError, reading } from '../cells/codec.ts';
import { explainExitCode } from '../opcodes.ts';

/** Of every request. */
export interface Send {
  /** TON attached, in nanoTON: the amount of the request plus what the contract needs; the rest comes back as excess. */
  readonly valueNano: bigint;
  /** Comes back in every message that answers this one. */
  readonly queryId: bigint;
}

/** Sends a bounceable message; the sender pays the fees on top of the value. */
export function sendBody(provider: ContractProvider, via: Sender, valueNano: bigint, body: Cell): Promise<void> {
  return provider.internal(via, { value: valueNano, body, bounce: true, sendMode: SendMode.PAY_GAS_SEPARATELY });
}

/** Sends an empty, not bounceable message with the contract's StateInit where it is not deployed yet. */
export function sendDeploy(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
  return provider.internal(via, { value: valueNano, bounce: false, sendMode: SendMode.PAY_GAS_SEPARATELY });
}

/** Runs a get method and reads its stack to the end. Throws E_CHAIN_DATA where the contract throws or answers otherwise. */
export async function callGet<T>(
  provider: ContractProvider, method: string, args: TupleItem[], read: (stack: TupleReader) => T,
): Promise<T> {
  const { stack } = await provider.get(method, args).catch((thrown: unknown) => {
    const exitCode = exitCodeOf(thrown);
    if (thrown instanceof CocoonError || exitCode === undefined) throw thrown;
    throw chainDataError(`get method ${method} ended with exit code ${exitCode}: ${explainExitCode(exitCode)}`, thrown);
  });
  return reading(`answer of ${method}`, () => {
    const value = read(stack);
    if (stack.remaining !== 0) throw new Error(`${stack.remaining} values too many`);
    return value;
  });
}

/** The data cell of the account. Throws E_NOT_FOUND where no contract is deployed there. */
export async function accountData(provider: ContractProvider, what: string): Promise<Cell> {
  const { state } = await provider.getState();
  if (state.type !== 'active' || !state.data) {
    throw new NotFoundError('E_NOT_FOUND', `${what} contract is not deployed (account is ${state.type})`);
  }
  return parseBoc(state.data, `${what} storage`, STATE_LIMITS);
}

/** An unsigned integer of at most `bits` bits from the stack. */
export function readUint(stack: TupleReader, bits: number): bigint {
  const value = stack.readBigNumber();
  if (value < 0n || value >> BigInt(bits) !== 0n) throw new Error(`number ${value} is outside ${bits} bits`);
  return value;
}

/** An unsigned integer of at most 32 bits from the stack. */
export const readUint32 = (stack: TupleReader): number => Number(readUint(stack, 32));

/** A 256-bit number from the stack as 32 bytes. */
export const readBytes32 = (stack: TupleReader): Uint8Array =>
  new Uint8Array(Buffer.from(readUint(stack, 256).toString(16).padStart(64, '0'), 'hex'));

/** 0 is false, every other number true. */
export const readFlag = (stack: TupleReader): boolean => stack.readBigNumber() !== 0n;

/** A 32-byte hash as a get-method argument. */
export const hashArgument = (hash: Uint8Array): TupleItem => ({ type: 'int', value: BigInt(`0x${Buffer.from(hash).toString('hex')}`) });

// The providers of @ton/ton and @ton/sandbox report a get method's failure as an error with the code in a field or in the text.
function exitCodeOf(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if ('exitCode' in thrown && typeof thrown.exitCode === 'number') return thrown.exitCode;
  const [, digits] = /exit[_ ]code: (-?\d{1,10})/.exec(thrown.message) ?? [];
  return digits === undefined ? undefined : Number(digits);
}
