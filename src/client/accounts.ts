// What the client knows about money, as a port: who pays, and whether a proxy's view of it may be believed.
import { unpaidAddress } from '../chain/unpaid-address.ts';
import type { PaymentStatus, RequestPayment } from '../wire/peer-info.ts';
import type { AuthAnswer, ProxyOffer } from '../wire/client-session.ts';

export interface ClientAccounts {
  /** The client's wallet contract, text. */
  readonly ownerAddress: string;
  /** Checks what the proxy says about itself and our contract, throws to refuse it, and says how to authenticate. */
  checkProxy(offer: ProxyOffer, signal: AbortSignal): Promise<AuthAnswer>;
  paymentStatus(status: PaymentStatus): void;
  requestPayment(payment: RequestPayment): void;
}

/** For networks without contracts: nobody pays, and the secret is empty because there is nothing it could protect. */
export function unpaidAccounts(publicKey: Uint8Array): ClientAccounts {
  return {
    ownerAddress: unpaidAddress('client-owner', publicKey),
    checkProxy: async () => ({ kind: 'short', secret: new Uint8Array(0) }),
    paymentStatus: () => {},
    requestPayment: () => {},
  };
}
