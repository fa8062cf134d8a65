// What the proxy knows about money, as a port: who may ask how much, what each side has used and earned, and what is
// signed for it. unpaid-accounts.ts answers it on networks without contracts.
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
}

export interface WorkerAccount {
  readonly ownerAddress: string;
  readonly contractAddress: string;
  /** Compares what the worker believes with what is known; `agreed` false asks for the extended comparison. */
  compare(claim: WorkerBalance): { readonly status: PaymentStatus; readonly agreed: boolean };
  /** Throws RemoteError to refuse. */
  extendedCompare(dbTokens: bigint, other: Uint8Array): Promise<void>;
  status(): PaymentStatus;
}

/** Tokens put aside for one running request. Exactly one of its methods is called, once. */
export interface Reservation {
  /** Books what the request used and frees the rest; both sides' new totals come back. */
  settle(worker: WorkerAccount, tokens: TokensUsed): Promise<{ readonly client: PaymentStatus; readonly worker: PaymentStatus }>;
  release(): void;
}

export interface Accounts {
  readonly proxy: ProxyIdentity;
  /** Version of the root configuration that prices and lists come from. */
  configVersion(): number;
  /** Throws RemoteError 0 when the text is not an address. */
  checkAddress(address: string): void;
  /** Throws RemoteError: 602 "client is closing", 651 "proxy is not participating in this iteration". */
  client(ownerAddress: string): Promise<ClientAccount>;
  worker(ownerAddress: string): Promise<WorkerAccount>;
  /** Throws RemoteError: 602 or 651 when the client's balance does not cover `tokens`. */
  reserve(client: ClientAccount, tokens: bigint): Reservation;
}
