// When two endpoints say the same: fingerprints of answers, and the choice among those that two of them share.
import { createHash } from 'node:crypto';
import { serializeTuple } from '@ton/core';
import type { AccountState, GetMethodResult } from './types.ts';

export interface Answer<T> {
  readonly name: string;
  readonly index: number;
  readonly value: T;
  readonly fingerprint: string;
}

/** Order of two states of one account by their newest transaction; positive when `a` is newer. */
export function compareLt(a: AccountState, b: AccountState): number {
  const [x, y] = [a.last?.lt ?? 0n, b.last?.lt ?? 0n];
  return x === y ? 0 : x > y ? 1 : -1;
}

const short = (hex: string): string => hex.slice(0, 16);

/** Newest transaction, balance, status and hashes of code and data: short enough to show in an error. */
export function accountFingerprint(state: AccountState): string {
  const last = state.last === null ? 'no transaction' : `lt ${state.last.lt} hash ${short(Buffer.from(state.last.hash).toString('hex'))}`;
  const digest = createHash('sha256');
  digest.update(state.last?.hash ?? 'none');
  digest.update(state.code?.hash() ?? 'none');
  digest.update(state.data?.hash() ?? 'none');
  return `${state.status}, ${state.balanceNano} nanoTON, ${last}, state ${short(digest.digest('hex'))}`;
}

/** Exit code and the stack's content. Gas is left out: it does not depend on the state alone. */
export function getMethodFingerprint(result: GetMethodResult): string {
  return `exit ${result.exitCode}, stack ${short(serializeTuple([...result.stack]).hash().toString('hex'))}`;
}

/** The preferred one of the answers that at least two endpoints gave; undefined when no two are equal. */
export function findAgreement<T>(answers: readonly Answer<T>[], prefer: (a: T, b: T) => number): T | undefined {
  const shared = answers.filter((a) => answers.some((b) => a.index !== b.index && a.fingerprint === b.fingerprint));
  return shared.sort((a, b) => prefer(b.value, a.value))[0]?.value;
}
