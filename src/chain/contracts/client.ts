// The client contract: the ledger of one client at one proxy (ONCHAIN.md section 9). Values of at least 0.1 TON, or the
// amount plus 0.1 TON for top-ups, or the contract refuses (1003).
import type { Address, Contract, ContractProvider, Sender } from '@ton/core';
import { clientDeployment } from '../addresses.ts';
import type { ChildIdentity } from '../addresses.ts';
import * as messages from '../cells/client-messages.ts';
import { clientStorage } from '../cells/storage.ts';
import type { ClientStorage } from '../cells/storage.ts';
import { paymentBody } from '../signed-payment.ts';
import type { SignedPayment } from '../signed-payment.ts';
import type { CodeAndData } from '../cells/wallet-messages.ts';
import { accountData, callGet, readBytes32, readUint, readUint32, sendBody, sendDeploy } from './common.ts';
import type { Send } from './common.ts';

export class ClientContract implements Contract {
  readonly address: Address;
  readonly init?: CodeAndData;

  constructor(address: Address, init?: CodeAndData) {
    this.address = address;
    if (init !== undefined) this.init = init;
  }

  static fromIdentity(identity: ChildIdentity): ClientContract {
    const { address, init } = clientDeployment(identity);
    return new ClientContract(address, init);
  }

  /** Everything, from the account's data. */
  async getStorage(provider: ContractProvider): Promise<ClientStorage> {
    return clientStorage.load(await accountData(provider, 'client'));
  }

  /** get_cocoon_client_data */
  getData(provider: ContractProvider) {
    return callGet(provider, 'get_cocoon_client_data', [], (stack) => ({
      owner: stack.readAddress(),
      proxy: stack.readAddress(),
      proxyPublicKey: readBytes32(stack),
      state: readUint32(stack),
      balanceNano: readUint(stack, 64),
      stakeNano: readUint(stack, 64),
      tokensUsed: readUint(stack, 64),
      unlockTime: readUint32(stack),
      secretHash: readBytes32(stack),
    }));
  }

  sendDeploy(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendDeploy(provider, via, valueNano);
  }

  /** Anyone may top up. */
  sendTopUp(provider: ContractProvider, via: Sender, send: Send, amountNano: bigint, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.topUp.store({ queryId: send.queryId, amountNano, sendExcessesTo }));
  }

  /** Owner; `secretHash` is SHA-256 of the secret, 32 bytes. */
  sendChangeSecretHashAndTopUp(
    provider: ContractProvider, via: Sender, send: Send, amountNano: bigint, secretHash: Uint8Array, sendExcessesTo: Address,
  ): Promise<void> {
    const body = messages.changeSecretHashAndTopUp.store({ queryId: send.queryId, amountNano, secretHash, sendExcessesTo });
    return sendBody(provider, via, send.valueNano, body);
  }

  /** Owner; proves to the proxy that the connection with this nonce is the owner's. */
  sendRegister(provider: ContractProvider, via: Sender, send: Send, nonce: bigint, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.registerClient.store({ queryId: send.queryId, nonce, sendExcessesTo }));
  }

  /** Owner. */
  sendChangeSecretHash(provider: ContractProvider, via: Sender, send: Send, secretHash: Uint8Array, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.changeSecretHash.store({ queryId: send.queryId, secretHash, sendExcessesTo }));
  }

  /** Owner; the new stake is absolute and must be higher than the present one. */
  sendIncreaseStake(provider: ContractProvider, via: Sender, send: Send, newStakeNano: bigint, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.increaseClientStake.store({ queryId: send.queryId, newStakeNano, sendExcessesTo }));
  }

  /** Owner; pays out what is above the stake. */
  sendWithdraw(provider: ContractProvider, via: Sender, send: Send, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.withdrawClient.store({ queryId: send.queryId, sendExcessesTo }));
  }

  /** Owner; the first starts the close, the second claims after the delay. */
  sendRequestRefund(provider: ContractProvider, via: Sender, send: Send, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.requestRefund.store({ queryId: send.queryId, sendExcessesTo }));
  }

  /** Delivers a signed charge or refund; anyone may. */
  sendSigned(provider: ContractProvider, via: Sender, valueNano: bigint, payment: SignedPayment): Promise<void> {
    return sendBody(provider, via, valueNano, paymentBody(payment));
  }
}
