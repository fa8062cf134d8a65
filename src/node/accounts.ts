// What the node knows about money, as a port: what it has earned at a proxy and what the proxy owes. unpaid-accounts.ts
// answers it on networks without contracts.
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { PaymentStatus, WorkerRequestPayment } from '../wire/peer-info.ts';
import type { WorkerBalance, WorkerOffer } from '../wire/worker-session.ts';

export interface NodeAccounts {
  /** The owner's address, text. */
  readonly ownerAddress: string;
  /** Prices of the kinds of tokens. */
  multipliers(): TokenMultipliers;
  /** Checks what the proxy says about itself and our contract; throws to refuse it. */
  checkProxy(offer: WorkerOffer, signal: AbortSignal): Promise<WorkerBalance>;
  /** The proxy's side of the comparison; throws to refuse. */
  compared(offer: WorkerOffer, status: PaymentStatus, agreed: boolean): void;
  /** A new total; throws to close the connection. */
  paymentStatus(offer: WorkerOffer, status: PaymentStatus): void;
  requestPayment(offer: WorkerOffer, payment: WorkerRequestPayment): void;
}
