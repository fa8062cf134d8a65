// What the proxy knows about money, as a port: who may ask how much, what each side has used and earned, and what is
// signed for it. unpaid-accounts.ts answers it on networks without contracts.
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { PaymentStatus, ProxyIdentity } from '../wire/peer-info.ts';
import type { AuthMethod } from '../wire/client-acceptor.ts';
import type { WorkerBalance } from '../wire/worker-session.ts';

export interface ClientAccount {
  readonly ownerAddress: string;
  readonly contractAddress: string;
  /** SHA-256 of the client's secret, 32 bytes; null demands authentication on chain. */
  readonly secretHash: Uint8Array | null;
  /** Throws RemoteError to refuse. */
  authorize(method: AuthMethod, signal: AbortSignal): Promise<void>;
  status(): PaymentStatus;
  /** False once the contract or the proxy contract that it belongs to takes no new work: close the connection when it is idle. */
  isActive(): boolean;
}

export interface WorkerAccount {
  readonly ownerAddress: string;
  readonly contractAddress: string;
  /** Compares what the worker believes with what is known; `agreed` false asks for the extended comparison. */
  compare(claim: WorkerBalance): { readonly status: PaymentStatus; readonly agreed: boolean };
  /** Throws RemoteError to refuse. */
  extendedCompare(dbTokens: bigint, other: Uint8Array): Promise<void>;
  status(): PaymentStatus;
  /** Stake in the bond contract of the worker's owner at this network's root, nanoTON; 0n without one. As last read; never waits. */
  bondNano(): bigint;
  /** As ClientAccount.isActive. */
  isActive(): boolean;
  /** Called when more has been signed for it than `status` said before. Returns how to stop listening. */
  onSigned(listener: () => void): () => void;
}

/** Tokens put aside for one running request. Exactly one of its methods is called, once. */
export interface Reservation {
  /**
   * Books what the request used (`tokens.total`, at most what was put aside) for both sides in one step and frees the rest.
   * Resolves with both sides' new totals when the booking is durable; rejects when it is not known to be, and then nothing
   * is served any more.
   */
  settle(worker: WorkerAccount, tokens: TokensUsed): Promise<{ readonly client: PaymentStatus; readonly worker: PaymentStatus }>;
  release(): void;
}

export interface Accounts {
  /** Of the proxy contract that serves now; another one after the network's params changed. */
  readonly proxy: ProxyIdentity;
  /** Version of the root configuration that prices and lists come from. */
  configVersion(): number;
  /** Of the root configuration: what prompt, cached, completion and reasoning tokens weigh. */
  multipliers(): TokenMultipliers;
  /** Account from which canary questions are paid; null while canaries are off. */
  canary(): ClientAccount | null;
  /** Called when `isActive` of some account has become false. Returns how to stop listening. */
  onInactive(listener: () => void): () => void;
  /** Throws RemoteError 0 when the text is not an address. */
  checkAddress(address: string): void;
  /** Throws RemoteError: 602 "client is closing", 651 "proxy is not participating in this iteration". */
  client(ownerAddress: string): Promise<ClientAccount>;
  worker(ownerAddress: string): Promise<WorkerAccount>;
  /** Tokens that a new request of the client may still reserve (WIRE.md section 12, `tokens_available`). */
  available(client: ClientAccount): bigint;
  /** Throws RemoteError: 602 or 651 when the client's balance does not cover `tokens`, 651 when one side takes no new work. */
  reserve(client: ClientAccount, tokens: bigint): Reservation;
}
