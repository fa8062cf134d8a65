// Ends a proxy contract (ONCHAIN.md sections 8 and 12.13): what ran is booked and committed, every client gets its refund with the
// last charge in it, every worker its last payout, then the close is requested and, after the delay, completed. Each step reads
// first what the chain has already, so it can be interrupted anywhere and called again.
import { REQUEST_NANO } from '../../chain/plans/client.ts';
import { STATE } from '../../chain/cells/storage.ts';
import type { CloseKind } from '../../chain/cells/signed.ts';
import { paymentBody } from '../../chain/signed-payment.ts';
import { abortError } from '../../core/deadline.ts';
import { asCocoonError, UnconfirmedError } from '../../core/errors.ts';
import type { LedgerAccount } from '../ledger/ledger.ts';
import { childOf } from './context.ts';
import type { PaidContext } from './context.ts';
import type { Committer } from './commitments.ts';
import type { ContractBook } from './contract-book.ts';
import { deliver, lastTotal } from './delivery.ts';
import { closePayment, finalKind, tokensPayment } from './payments.ts';

/** In this order. */
export type WindDownStep = 'drain' | 'commit' | 'refund' | 'payout' | 'request' | 'delay' | 'complete' | 'closed';

export interface WindDownProgress {
  /** Address of the proxy contract. */
  readonly contract: string;
  readonly step: WindDownStep;
  /** Of `refund` and `payout`: contracts that are done, and all. */
  readonly done: number;
  readonly total: number;
  /** Of `delay`: chain time, unix seconds, from which the close can be completed. */
  readonly until: number | null;
  /** What did not work and is left to its owner, or tried again. */
  readonly problem: string | null;
}

const AT_ONCE = 16;
/** A payout that is refused this often is left to the worker: the closed contract goes on paying its children. */
const ATTEMPTS = 3;

export interface WindDownOptions {
  readonly context: PaidContext;
  readonly book: ContractBook;
  readonly committer: Committer;
  readonly progress: (progress: WindDownProgress) => void;
  readonly signal: AbortSignal;
}

/** Resolves when the contract is closed on chain and in the ledger. Throws NetworkError, the wallet's errors, the signal's reason. */
export async function windDownContract(options: WindDownOptions): Promise<void> {
  const { context, book, signal } = options;
  const { ledger } = context;
  await ledger.setPhase(book.instance, 'winding');
  if (book.instance.phase === 'closed') return;
  await drain(options);
  const proxy = await book.refreshProxy(signal);
  if (proxy !== null && proxy.state !== STATE.closed) {
    await commitAll(options);
    await payAll(options, 'client');
    await payAll(options, 'worker');
    await close(options);
  }
  await ledger.setPhase(book.instance, 'closed');
  report(options, 'closed');
}

function report({ progress, book, context }: WindDownOptions, step: WindDownStep, more: Partial<WindDownProgress> = {}): void {
  const full: WindDownProgress = { contract: book.instance.contract.toString(), step, done: 0, total: 0, until: null, problem: null, ...more };
  context.log.info('proxy contract is wound down', { ...full });
  progress(full);
}

async function drain(options: WindDownOptions): Promise<void> {
  const { book, context, signal } = options;
  report(options, 'drain');
  while (book.isBusy) await pause(context, signal);
}

/** Until every total is committed: only then may the last ones be signed. */
async function commitAll(options: WindDownOptions): Promise<void> {
  const { book, committer, context, signal } = options;
  report(options, 'commit');
  await book.catchUp(signal);
  while (book.accounts.some(({ maxTokens, chainTokens }) => maxTokens > chainTokens)) {
    await committer.commit(signal).catch(async (error: unknown) => {
      if (signal.aborted || context.ledger.failure !== null) throw error;
      report(options, 'commit', { problem: asCocoonError(error).message });
      await pause(context, signal);
    });
  }
}

async function payAll(options: WindDownOptions, kind: 'client' | 'worker'): Promise<void> {
  const { book, signal } = options;
  const step = kind === 'client' ? 'refund' : 'payout';
  const accounts = book.accounts.filter((account) => account.kind === kind);
  let done = 0;
  report(options, step, { total: accounts.length });
  for (let at = 0; at < accounts.length; at += AT_ONCE) {
    const problems = await Promise.all(accounts.slice(at, at + AT_ONCE).map((account) => payLast(options, account)));
    if (signal.aborted) throw abortError(signal);
    const left = problems.filter((problem) => problem !== null);
    done += problems.length - left.length;
    report(options, step, { done, total: accounts.length, problem: left[0] ?? null });
  }
}

/** Null when the account's contract is closed, or has nothing to close; else why not. Signed before it is sent; the same total always. */
async function payLast(options: WindDownOptions, account: LedgerAccount): Promise<string | null> {
  const { context, book, signal } = options;
  const { ledger, signer } = context;
  let problem = 'its effect was not seen';
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    try {
      const child = await book.refreshChild(account, signal);
      if (child?.state === STATE.closed) return null;
      // A client without a contract has no deposit; a worker without one gets it together with its payout.
      if (child === null && (account.kind === 'client' || account.maxTokens === 0n)) return null;
      const payment = account.finalPayment ?? tokensPayment(context, finalKind(account), account.contract, lastTotal(account));
      await ledger.sign([{ account, payment }]);
      const { init } = childOf(book.instance, signer.publicKey, account.kind, account.owner);
      await deliver(context, payment, account.contract, { attempt, follow: true, ...(child === null && { init }) });
      if ((await book.refreshChild(account, signal))?.state === STATE.closed) return null;
    } catch (error) {
      if (signal.aborted || ledger.failure !== null) throw error;
      problem = asCocoonError(error).message;
      await pause(context, signal);
    }
  }
  return `${account.kind} contract ${account.contract.toString()}: ${problem}`;
}

async function close(options: WindDownOptions): Promise<void> {
  const { context, book, signal } = options;
  for (let attempt = 0; ; attempt += 1) {
    const proxy = await book.refreshProxy(signal);
    if (proxy === null || proxy.state === STATE.closed) return;
    const isClosing = proxy.state === STATE.closing;
    if (isClosing) await waitForUnlock(options);
    report(options, isClosing ? 'complete' : 'request');
    try {
      await sendClose(options, isClosing ? 'proxyCompleteClose' : 'proxyClose', attempt);
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      report(options, isClosing ? 'complete' : 'request', { problem: asCocoonError(error).message });
      await pause(context, signal);
    }
  }
}

async function waitForUnlock(options: WindDownOptions): Promise<void> {
  const { context, book, signal } = options;
  for (let told = false; ; told = true) {
    const proxy = await book.refreshProxy(signal);
    if (proxy === null || proxy.state !== STATE.closing || proxy.time >= proxy.unlockTime) return;
    if (!told) report(options, 'delay', { until: proxy.unlockTime });
    await pause(context, signal);
  }
}

async function sendClose({ context, book, signal }: WindDownOptions, kind: CloseKind, attempt: number): Promise<void> {
  const { contract } = book.instance;
  const key = `${kind}:${contract.toRawString()}:${attempt}`;
  await context.wallet.send(key, [{ to: contract, valueNano: REQUEST_NANO, body: paymentBody(closePayment(context, kind, contract)) }], { follow: true, signal });
}

/** Errors after which the chain is looked at again: a message that came too early, late, or not at all. */
const isPassing = (error: unknown): boolean => error instanceof UnconfirmedError || asCocoonError(error).retryable;

async function pause({ rules, sleep }: PaidContext, signal: AbortSignal): Promise<void> {
  await sleep(rules.pollMs, signal).catch(() => undefined);
  if (signal.aborted) throw abortError(signal);
}

