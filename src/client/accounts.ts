// What the client knows about money, as a port: who pays, and whether a proxy's view of it may be believed. paid-accounts.ts
// answers it on networks with contracts.
import { PolicyError } from '../core/errors.ts';
import { unpaidAddress } from '../chain/unpaid-address.ts';
import type { CocoonError } from '../core/errors.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { ClientSessionPort } from '../wire/client-session.ts';

/** What one request may cost. */
export interface RequestBounds {
  /** Bytes of the boxed `http.request`. */
  readonly queryBytes: number;
  /** Of all answers together: the limit of one, times their number. */
  readonly maxTokens: number;
  /** Highest price accepted, in thousandths. */
  readonly maxCoefficient: number;
}

/** One request that is being paid for. */
export interface RequestMeter {
  /** More of the answer's body has come. */
  delivered(bytes: number): void;
  /**
   * The answer is complete and was billed so; `counted` is what the node itself says, where that is known. Throws PolicyError `E_OVERBILLED`
   * when the bill is above it, or cannot be true.
   */
  ended(tokens: TokensUsed, counted?: TokensUsed | null): void;
  /**
   * The answer ended otherwise, or nobody reads it any more. `told`: what the proxy billed with the failure, where it said so.
   * Idempotent; does nothing after `ended`.
   */
  lost(told?: TokensUsed): void;
}

/** One connection's account. */
export interface ConnectionAccount extends ClientSessionPort {
  /** Puts the request's highest price aside, durably, and resolves when it may be sent. Throws to refuse. */
  begin(bounds: RequestBounds): Promise<RequestMeter>;
  /** Resolves when the connection must not be used any more, with the reason; never on unpaid networks. */
  readonly failed: Promise<CocoonError>;
  /** The connection is gone. Resolves when everything is on disk. Idempotent. */
  close(): Promise<void>;
}

export interface ClientAccounts {
  /** The client's wallet contract, text. */
  readonly ownerAddress: string;
  /** Version of the root configuration that proxies must know at least. */
  minConfigVersion(): number;
  /** A fresh account for one connection. */
  open(): ConnectionAccount;
}

const FREE: RequestMeter = {
  delivered: () => {},
  ended(tokens, counted = null) {
    const why = aboveCount(tokens, counted);
    if (why !== null) throw new PolicyError('E_OVERBILLED', `the proxy billed ${why}`, { hint: 'use another proxy' });
  },
  lost: () => {},
};

/** Why a bill is above what the node itself counted; null when it is not. */
export const aboveCount = (tokens: TokensUsed, counted: TokensUsed | null): string | null =>
  (counted !== null && tokens.total > counted.total ? `${tokens.total} tokens, the node itself counted ${counted.total}` : null);

/** For networks without contracts: nobody pays, and the secret is empty because there is nothing it could protect. */
export function unpaidAccounts(publicKey: Uint8Array): ClientAccounts {
  return {
    ownerAddress: unpaidAddress('client-owner', publicKey),
    minConfigVersion: () => 0,
    open: () => ({
      checkProxy: async () => ({ kind: 'short', secret: new Uint8Array(0) }),
      paymentStatus: () => {},
      requestPayment: () => {},
      begin: async () => FREE,
      failed: new Promise<CocoonError>(() => {}),
      close: async () => {},
    }),
  };
}
