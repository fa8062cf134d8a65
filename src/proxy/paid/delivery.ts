// Delivers what is signed to the contracts it is for: once for each total, again only when its effect was not seen for long.
// The names of the wallet's intents follow from the total, so a restart or a second process never pays twice.
import type { Address, Cell } from '@ton/core';
import { proxyPayoutRequest } from '../../chain/cells/proxy-messages.ts';
import { STATE } from '../../chain/cells/storage.ts';
import type { CodeAndData } from '../../chain/cells/wallet-messages.ts';
import { REQUEST_NANO } from '../../chain/plans/client.ts';
import { queryIdOf } from '../../chain/plans/plan.ts';
import { parsePayment, paymentBody, repack } from '../../chain/signed-payment.ts';
import { asCocoonError } from '../../core/errors.ts';
import type { LedgerAccount, StoredPayment } from '../ledger/ledger.ts';
import { valueOf } from './context.ts';
import type { PaidContext } from './context.ts';
import type { ContractBook } from './contract-book.ts';
import { finalKind, tokensPayment } from './payments.ts';

/** Deliveries under way at the same time; the wallet carries a few in each message. */
const AT_ONCE = 16;
/** Each attempt waits twice as long as the one before, up to this many times: then one in 64 times the first wait, for as long as it is due. */
const MAX_DOUBLINGS = 6;

interface Attempt {
  readonly what: string;
  /** Total of a delivered payment; 0n for what is none. */
  readonly tokens: bigint;
  readonly number: number;
  readonly notBeforeMs: number;
}

/** Body of the message that delivers a stored payment, spare TON back to the proxy's wallet. */
const deliveryBody = ({ wallet }: Pick<PaidContext, 'wallet'>, { boc }: StoredPayment): Cell => paymentBody(repack(parsePayment(boc), wallet.address));

const deliveryKey = ({ kind, tokens }: StoredPayment, contract: Address, attempt: string): string => `${kind}:${contract.toRawString()}:${tokens}:${attempt}`;

/** Sends one delivery and waits for the wallet. Throws the wallet's errors. */
export async function deliver(context: PaidContext, payment: StoredPayment, to: Address, options: { readonly attempt: number; readonly follow: boolean; readonly init?: CodeAndData }): Promise<void> {
  const { attempt, follow, init } = options;
  await context.wallet.send(deliveryKey(payment, to, init === undefined ? `${attempt}` : `${attempt}-deploy`), [{ to, valueNano: REQUEST_NANO, body: deliveryBody(context, payment), ...(init !== undefined && { init }) }], { follow, signal: context.ending });
}

export class Deliveries {
  readonly #context: PaidContext;
  readonly #attempts = new Map<Address | LedgerAccount, Attempt>();

  constructor(context: PaidContext) {
    this.#context = context;
  }

  /** One round of the rules over a contract that serves: charges, payouts, refunds of clients that close, the owner's earnings. */
  async round(book: ContractBook, commit: () => Promise<void>): Promise<void> {
    await this.#refundClosing(book, commit);
    const due = book.accounts.flatMap((account) => {
      const payment = this.#due(book, account);
      return payment === null ? [] : [{ account, payment }];
    });
    for (let at = 0; at < due.length; at += AT_ONCE) {
      await Promise.all(due.slice(at, at + AT_ONCE).map(({ account, payment }) =>
        this.#attempt(account, { what: `${payment.kind} ${payment.tokens}`, tokens: payment.tokens }, (attempt) => deliver(this.#context, payment, account.contract, { attempt, follow: false }))));
    }
    await this.#withdraw(book);
  }

  /** What rule and chain ask to deliver of an account now. */
  #due(book: ContractBook, account: LedgerAccount): StoredPayment | null {
    const { rules: { chargeFromNano, payoutFromNano }, clock } = this.#context;
    const { instance, kind, payment, finalPayment, child } = account;
    if (child === null || child.state === STATE.closed) return null;
    if (finalPayment !== null) return finalPayment;
    if (payment === null || payment.tokens <= child.tokens) return null;
    // What was delivered a moment ago is on its way: only what is beyond it counts.
    const before = this.#attempts.get(account);
    const underWay = before !== undefined && before.tokens < payment.tokens && clock.now() < before.notBeforeMs ? before.tokens : 0n;
    const tokens = payment.tokens - (underWay > child.tokens ? underWay : child.tokens);
    const worthNano = valueOf(instance, kind, tokens);
    if (worthNano === 0n) return null;
    if (kind === 'worker') return worthNano >= payoutFromNano ? payment : null;
    return worthNano >= chargeFromNano || (book.isPressed(account) && book.isWorthwhile(account, tokens)) ? payment : null;
  }

  /** A client that closes gets its refund, with the last charge in it, as soon as nothing of it runs and all of it is committed. */
  async #refundClosing(book: ContractBook, commit: () => Promise<void>): Promise<void> {
    const closing = book.accounts.filter((account) => account.kind === 'client' && account.child?.state === STATE.closing && account.finalPayment === null && book.reserved(account) === 0n);
    if (closing.length === 0) return;
    if (closing.some(({ maxTokens, chainTokens }) => maxTokens > chainTokens)) await commit();
    const ready = closing.filter((account) => account.maxTokens === account.chainTokens && book.reserved(account) === 0n);
    await this.#context.ledger.sign(ready.map((account) => ({ account, payment: tokensPayment(this.#context, finalKind(account), account.contract, lastTotal(account)) })));
  }

  async #withdraw(book: ContractBook): Promise<void> {
    const { rules, ledger, wallet, ending } = this.#context;
    const { proxy, instance: { contract } } = book;
    if (proxy === null || proxy.state === STATE.closed || proxy.balanceNano < rules.withdrawFromNano || proxy.balanceNano === 0n) return;
    const name = `withdraw ${contract.toRawString()}`;
    const count = ledger.counter(name);
    await this.#attempt(contract, { what: `${name} ${count}`, tokens: 0n }, async (attempt) => {
      const key = `withdraw:${contract.toRawString()}:${count}:${attempt}`;
      const body = proxyPayoutRequest.store({ queryId: queryIdOf(key), sendExcessesTo: wallet.address });
      await wallet.send(key, [{ to: contract, valueNano: REQUEST_NANO, body }], { follow: true, signal: ending });
      await ledger.setCounter(name, count + 1);
    });
  }

  /** Tries what is due, unless it was tried lately. */
  async #attempt(subject: Address | LedgerAccount, { what, tokens }: Pick<Attempt, 'what' | 'tokens'>, send: (attempt: number) => Promise<void>): Promise<void> {
    const { clock, rules, log, ending } = this.#context;
    const known = this.#attempts.get(subject);
    const before = known?.what === what ? known : null;
    if (before !== null && clock.now() < before.notBeforeMs) return;
    const number = before?.number ?? 0;
    const again = (next: number): void => void this.#attempts.set(subject, { what, tokens, number: next, notBeforeMs: clock.now() + waitMs(rules.redeliverMs, number) });
    try {
      await send(number);
      again(number + 1);
    } catch (error) {
      const { code, message } = asCocoonError(error);
      if (ending.aborted) return;
      // Only what was executed and came to nothing needs a new name; everything else goes on under this one.
      again(code === 'E_TX_FAILED' ? number + 1 : number);
      log.warn('not delivered', { what, code, reason: message });
    }
  }
}

/** Between attempt `number`, from 0, and the next. */
export const waitMs = (firstMs: number, number: number): number => firstMs * 2 ** Math.min(number, MAX_DOUBLINGS);

/** The total of a last payment: never below what the contract has counted already. */
export const lastTotal = ({ maxTokens, child }: LedgerAccount): bigint => child !== null && child.tokens > maxTokens ? child.tokens : maxTokens;
