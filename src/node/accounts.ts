// What the node knows about money, as a port: what it has earned at a proxy and what the proxy owes. unpaid-accounts.ts
// answers it on networks without contracts, paid-accounts.ts on all others.
import type { CocoonError } from '../core/errors.ts';
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { WorkerSessionPort } from '../wire/worker-session.ts';

/** One connection's account: the session's decisions about money, and the work that is done for it. */
export interface NodeConnection extends Omit<WorkerSessionPort, 'run'> {
  /** Asked before each request. Throws RemoteError to refuse: the proxy owes too much. */
  begin(): void;
  /** What an answer was counted at, complete or cut short; called once for each that has a count. */
  delivered(tokens: TokensUsed): void;
  /** True while `begin` refuses. */
  readonly blocked: boolean;
  /** Called with each change of `blocked`. Returns how to stop listening. */
  onBlocked(listener: (blocked: boolean) => void): () => void;
  /** Resolves when the connection must not be used any more, with the reason; never on unpaid networks. */
  readonly failed: Promise<CocoonError>;
  /** The connection is gone. Resolves when everything is on disk. Idempotent. */
  close(): Promise<void>;
}

/** One proxy's totals since its contract exists, in adjusted tokens. */
export interface ProxyMoney {
  /** Proxy contract and worker contract, text. */
  readonly proxy: string;
  readonly contract: string;
  /** Counted by the node itself. */
  readonly accruedTokens: bigint;
  /** Signed by the proxy. */
  readonly signedTokens: bigint;
  /** Paid out on chain, as last seen. */
  readonly claimedTokens: bigint;
  /** Accrued and not signed, nanoTON by the contract's fee; null where its fee is not known in this process. */
  readonly owedNano: bigint | null;
  readonly blocked: boolean;
}

export interface NodeAccounts {
  /** The owner's address, text. */
  readonly ownerAddress: string;
  /** Prices of the kinds of tokens. */
  multipliers(): TokenMultipliers;
  /** A fresh account for one connection. */
  open(): NodeConnection;
  /** Every proxy that ever gave work; empty on unpaid networks. */
  money(): readonly ProxyMoney[];
}
