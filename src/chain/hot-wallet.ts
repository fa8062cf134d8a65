// A daemon's wallet over the durable sender: intents with keys wait in one queue, as many as the wallet kind can carry
// leave in one external message, and what an earlier process began is finished first. The same key never pays twice.
import type { Address, Cell } from '@ton/core';
import type { CodeAndData } from './cells/wallet-messages.ts';
import type { SendRecord } from './sending/record.ts';

export interface HotMessage {
  readonly to: Address;
  readonly valueNano: bigint;
  readonly body: Cell;
  readonly init?: CodeAndData;
  /** Default: true without `init`, false with it. */
  readonly bounce?: boolean;
}

export interface HotSendOptions {
  /** True: resolve only when all that the messages caused was seen; a refusal on the way is then `E_TX_FAILED`. Default false. */
  readonly follow?: boolean;
  /** How long to wait for the result. Default 180 s. What was sent goes on without the waiter, under the same key. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface HotWallet {
  readonly address: Address;
  /** Agreed balance. Throws NetworkError. */
  balanceNano(): Promise<bigint>;
  /**
   * Carries out an intent exactly once. `key` (1 to 120 characters) names it for ever: asked again, also by another process on the
   * same folder, it joins or gives the earlier result. At most `WalletKind.maxMessages` messages, which leave together, in order,
   * possibly beside those of other intents. Resolves when confirmed, with a record of its own messages only. Throws `E_FUNDS`
   * (nothing was sent; the key may be used again), `E_TX_FAILED`, `E_TX_EXPIRED` (nothing was sent; the key may be used again),
   * `E_UNCONFIRMED` when the time ends first, UsageError when the key was used for other messages, NetworkError.
   */
  send(key: string, messages: readonly HotMessage[], options?: HotSendOptions): Promise<SendRecord>;
  /** Waits for the message under way, at most its validity; what waits in the queue is refused. Idempotent. */
  close(): Promise<void>;
}
