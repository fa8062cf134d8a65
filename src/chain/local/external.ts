// External messages offered to a local chain: size, form and destination, and the texts with which public gateways refuse.
import { beginCell, external, loadMessage, storeMessage } from '@ton/core';
import type { Address, Cell, StateInit } from '@ton/core';
import { CocoonError, NetworkError } from '../../core/errors.ts';
import { parseBoc } from '../cells/boc.ts';
import type { Executed } from './engine.ts';

/** As the network allows. */
export const EXTERNAL_LIMITS = { maxBytes: 65_535, maxCells: 8192 } as const;

const REFUSED = 'LITE_SERVER_UNKNOWN: cannot apply external message to current state : ';
const VM_LOG_CHARS = 512;

const refusal = (text: string, cause?: unknown): NetworkError => new NetworkError('E_CHAIN_REFUSED', `${REFUSED}${text}`, cause === undefined ? {} : { cause });

/** Throws NetworkError E_CHAIN_REFUSED. */
export function parseExternal(boc: Uint8Array): Cell {
  try {
    return parseBoc(boc, 'the message', EXTERNAL_LIMITS);
  } catch (error) {
    if (!(error instanceof CocoonError)) throw error;
    throw refusal(`failed to parse external message: ${error.message}`, error);
  }
}

/** The raw destination. Throws NetworkError E_CHAIN_REFUSED unless the cell is an external message to workchain 0 or -1, and nothing more. */
export function checkExternal(cell: Cell): { raw: string } {
  let info;
  try {
    const slice = cell.beginParse();
    const message = loadMessage(slice);
    // The reader leaves a body that is stored inline where it is; after one in a cell of its own nothing may follow.
    const isEnd = slice.remainingBits === 0 && slice.remainingRefs === 0;
    if (!isEnd && !slice.asCell().equals(message.body)) throw new Error('something follows the message');
    info = message.info;
  } catch (error) {
    throw refusal('failed to parse external message: it is not a (Message Any)', error);
  }
  if (info.type !== 'external-in') throw refusal('failed to parse external message: it is not an inbound external message');
  if (info.dest.workChain !== 0 && info.dest.workChain !== -1) throw refusal(`there is no workchain ${info.dest.workChain}`);
  return { raw: info.dest.toRawString() };
}

/** The text for a message that the account's contract, or its balance, does not accept. */
export function refusalText(raw: string, { exitCode, vmLog }: Extract<Executed, { ok: false }>): string {
  const account = raw.slice(raw.indexOf(':') + 1).toUpperCase();
  const head = `${REFUSED}External message was not accepted\nCannot run message on account: inbound external message rejected by `;
  if (exitCode === null || vmLog === '') return `${head}account ${account} before smart-contract execution`;
  return `${head}transaction on account ${account}:\nexitcode=${exitCode}\nVM Log (truncated):\n...${vmLog.slice(-VM_LOG_CHARS)}`;
}

/** The message cell of a body for an account, laid out as TonClient does: the import fee depends on it. */
export function buildExternalMessage(to: Address, body: Cell, init?: StateInit): Cell {
  return beginCell().store(storeMessage(external({ to, body, ...(init === undefined ? {} : { init }) }))).endCell();
}
