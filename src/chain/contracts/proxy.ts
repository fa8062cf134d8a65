// The proxy contract: pool of all deposits, its stake and its earnings (ONCHAIN.md section 8). Requests of its children
// are sent by their contracts, never from here.
import type { Address, Contract, ContractProvider, Sender } from '@ton/core';
import { proxyDeployment } from '../addresses.ts';
import type { ProxyIdentity } from '../addresses.ts';
import { closeProxy, increaseProxyStake, proxyPayoutRequest, proxyText, saveState } from '../cells/proxy-messages.ts';
import { proxyStorage } from '../cells/storage.ts';
import type { ProxyStorage } from '../cells/storage.ts';
import { paymentBody } from '../signed-payment.ts';
import type { SignedPayment } from '../signed-payment.ts';
import type { CodeAndData } from '../cells/wallet-messages.ts';
import { accountData, callGet, readBytes32, readUint, readUint32, sendBody, sendDeploy } from './common.ts';
import type { Send } from './common.ts';

export class ProxyContract implements Contract {
  readonly address: Address;
  readonly init?: CodeAndData;

  constructor(address: Address, init?: CodeAndData) {
    this.address = address;
    if (init !== undefined) this.init = init;
  }

  static fromIdentity(identity: ProxyIdentity): ProxyContract {
    const { address, init } = proxyDeployment(identity);
    return new ProxyContract(address, init);
  }

  /** Everything, from the account's data. */
  async getStorage(provider: ContractProvider): Promise<ProxyStorage> {
    return proxyStorage.load(await accountData(provider, 'proxy'));
  }

  /** get_cocoon_proxy_data; struct version 3 only. */
  getData(provider: ContractProvider) {
    return callGet(provider, 'get_cocoon_proxy_data', [], (stack) => ({
      owner: stack.readAddress(),
      publicKey: readBytes32(stack),
      root: stack.readAddress(),
      state: readUint32(stack),
      balanceNano: readUint(stack, 64),
      stakeNano: readUint(stack, 64),
      unlockTime: readUint32(stack),
      pricePerTokenNano: readUint(stack, 64),
      workerFeePerTokenNano: readUint(stack, 64),
      minProxyStakeNano: readUint(stack, 64),
      minClientStakeNano: readUint(stack, 64),
      paramsVersion: readUint32(stack),
    }));
  }

  sendDeploy(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendDeploy(provider, via, valueNano);
  }

  /** Anyone; the value must be at least the amount plus 0.1 TON. */
  sendIncreaseStake(provider: ContractProvider, via: Sender, send: Send, amountNano: bigint, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, increaseProxyStake.store({ queryId: send.queryId, amountNano, sendExcessesTo }));
  }

  /** Anyone; pays the earnings to the owner. At least 0.1 TON. */
  sendPayoutRequest(provider: ContractProvider, via: Sender, send: Send, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, proxyPayoutRequest.store({ queryId: send.queryId, sendExcessesTo }));
  }

  /** The owner starts the close; only the proxy key can complete it after the delay. At least 0.1 TON. */
  sendClose(provider: ContractProvider, via: Sender, send: Send, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, closeProxy.store({ queryId: send.queryId, sendExcessesTo }));
  }

  /** Text "c" from the owner: as close, without query id. */
  sendTextClose(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendBody(provider, via, valueNano, proxyText.store({ letter: 'c' }));
  }

  /** Text "w" from the owner: pays the earnings and what is left of the value. */
  sendTextWithdraw(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendBody(provider, via, valueNano, proxyText.store({ letter: 'w' }));
  }

  /** Delivers a signed close or complete close; anyone may. */
  sendSigned(provider: ContractProvider, via: Sender, valueNano: bigint, payment: SignedPayment): Promise<void> {
    return sendBody(provider, via, valueNano, paymentBody(payment));
  }

  /** Commits to the state of the proxy's ledger; the contract ignores it. `sessionHash` is 32 bytes. */
  sendSaveState(provider: ContractProvider, via: Sender, send: Send, save: { readonly seqno: number; readonly sessionHash: Uint8Array }): Promise<void> {
    return sendBody(provider, via, send.valueNano, saveState.store({ queryId: send.queryId, save }));
  }
}
