// The worker contract: the ledger of one worker at one proxy (ONCHAIN.md section 10). Values above 0.1 TON, or it refuses (1003).
import type { Address, Contract, ContractProvider, Sender } from '@ton/core';
import { workerDeployment } from '../addresses.ts';
import type { ChildIdentity } from '../addresses.ts';
import { workerStorage } from '../cells/storage.ts';
import type { WorkerStorage } from '../cells/storage.ts';
import { registerWorker } from '../cells/worker-messages.ts';
import { paymentBody } from '../signed-payment.ts';
import type { SignedPayment } from '../signed-payment.ts';
import type { CodeAndData } from '../cells/wallet-messages.ts';
import { accountData, callGet, readBytes32, readUint, readUint32, sendBody, sendDeploy } from './common.ts';
import type { Send } from './common.ts';

export class WorkerContract implements Contract {
  readonly address: Address;
  readonly init?: CodeAndData;

  constructor(address: Address, init?: CodeAndData) {
    this.address = address;
    if (init !== undefined) this.init = init;
  }

  static fromIdentity(identity: ChildIdentity): WorkerContract {
    const { address, init } = workerDeployment(identity);
    return new WorkerContract(address, init);
  }

  /** Everything, from the account's data. */
  async getStorage(provider: ContractProvider): Promise<WorkerStorage> {
    return workerStorage.load(await accountData(provider, 'worker'));
  }

  /** get_cocoon_worker_data */
  getData(provider: ContractProvider) {
    return callGet(provider, 'get_cocoon_worker_data', [], (stack) => ({
      owner: stack.readAddress(),
      proxy: stack.readAddress(),
      proxyPublicKey: readBytes32(stack),
      state: readUint32(stack),
      tokens: readUint(stack, 64),
    }));
  }

  sendDeploy(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendDeploy(provider, via, valueNano);
  }

  /** Owner; tells the proxy of the worker's contract. */
  sendRegister(provider: ContractProvider, via: Sender, send: Send, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, registerWorker.store({ queryId: send.queryId, sendExcessesTo }));
  }

  /** Delivers a signed payout or last payout; anyone may. */
  sendSigned(provider: ContractProvider, via: Sender, valueNano: bigint, payment: SignedPayment): Promise<void> {
    return sendBody(provider, via, valueNano, paymentBody(payment));
  }
}
