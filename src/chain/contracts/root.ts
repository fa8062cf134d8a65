// The root contract: the network's registry (ONCHAIN.md section 7). Every message is its owner's.
import type { Address, Cell, Contract, ContractProvider, Sender } from '@ton/core';
import { rootDeployment } from '../addresses.ts';
import * as messages from '../cells/root-messages.ts';
import { rootStorage } from '../cells/root-storage.ts';
import type { RootStorage } from '../cells/root-storage.ts';
import type { Value } from '../cells/codec.ts';
import type { CodeAndData } from '../cells/wallet-messages.ts';
import { configOfStorage } from '../root-config.ts';
import type { RootConfig } from '../root-config.ts';
import { accountData, callGet, hashArgument, readBytes32, readFlag, readUint, readUint32, sendBody, sendDeploy } from './common.ts';
import type { Send } from './common.ts';

/** A message's fields without the query id. */
type Body<M> = Omit<Value<M>, 'queryId'>;

export class RootContract implements Contract {
  readonly address: Address;
  readonly init?: CodeAndData;

  constructor(address: Address, init?: CodeAndData) {
    this.address = address;
    if (init !== undefined) this.init = init;
  }

  static fromStorage(code: Cell, storage: RootStorage): RootContract {
    const { address, init } = rootDeployment(code, storage);
    return new RootContract(address, init);
  }

  /** Everything, from the account's data. */
  async getStorage(provider: ContractProvider): Promise<RootStorage> {
    return rootStorage.load(await accountData(provider, 'root'));
  }

  /** Everything, with proxy entries parsed. */
  async getConfig(provider: ContractProvider): Promise<RootConfig> {
    return configOfStorage(await this.getStorage(provider));
  }

  /** get_cocoon_data; struct version 3 only. */
  getData(provider: ContractProvider) {
    return callGet(provider, 'get_cocoon_data', [], (stack) => ({
      version: readUint32(stack),
      lastProxySeqno: readUint32(stack),
      paramsVersion: readUint32(stack),
      uniqueId: readUint32(stack),
      isTest: readFlag(stack),
      pricePerTokenNano: readUint(stack, 64),
      workerFeePerTokenNano: readUint(stack, 64),
      minProxyStakeNano: readUint(stack, 64),
      minClientStakeNano: readUint(stack, 64),
      owner: stack.readAddress(),
    }));
  }

  /** get_cur_params; struct version 3 only. It has no prompt and completion multipliers. Code hashes are 32 bytes, zero where absent. */
  getCurrentParams(provider: ContractProvider) {
    return callGet(provider, 'get_cur_params', [], (stack) => ({
      paramsVersion: readUint32(stack),
      uniqueId: readUint32(stack),
      isTest: readFlag(stack),
      pricePerTokenNano: readUint(stack, 64),
      workerFeePerTokenNano: readUint(stack, 64),
      cachedMultiplier: readUint32(stack),
      reasoningMultiplier: readUint32(stack),
      proxyDelaySeconds: readUint32(stack),
      clientDelaySeconds: readUint32(stack),
      minProxyStakeNano: readUint(stack, 64),
      minClientStakeNano: readUint(stack, 64),
      proxyCodeHash: readBytes32(stack),
      workerCodeHash: readBytes32(stack),
      clientCodeHash: readBytes32(stack),
    }));
  }

  getLastProxySeqno(provider: ContractProvider): Promise<number> {
    return callGet(provider, 'last_proxy_seqno', [], readUint32);
  }

  getProxyHashIsValid(provider: ContractProvider, hash: Uint8Array): Promise<boolean> {
    return callGet(provider, 'proxy_hash_is_valid', [hashArgument(hash)], readFlag);
  }

  getWorkerHashIsValid(provider: ContractProvider, hash: Uint8Array): Promise<boolean> {
    return callGet(provider, 'worker_hash_is_valid', [hashArgument(hash)], readFlag);
  }

  getModelHashIsValid(provider: ContractProvider, hash: Uint8Array): Promise<boolean> {
    return callGet(provider, 'model_hash_is_valid', [hashArgument(hash)], readFlag);
  }

  sendDeploy(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendDeploy(provider, via, valueNano);
  }

  sendAddWorkerHash(provider: ContractProvider, via: Sender, send: Send, hash: Uint8Array): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.addWorkerHash.store({ queryId: send.queryId, hash }));
  }

  sendDeleteWorkerHash(provider: ContractProvider, via: Sender, send: Send, hash: Uint8Array): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.deleteWorkerHash.store({ queryId: send.queryId, hash }));
  }

  sendAddModelHash(provider: ContractProvider, via: Sender, send: Send, hash: Uint8Array): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.addModelHash.store({ queryId: send.queryId, hash }));
  }

  sendDeleteModelHash(provider: ContractProvider, via: Sender, send: Send, hash: Uint8Array): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.deleteModelHash.store({ queryId: send.queryId, hash }));
  }

  sendAddProxyHash(provider: ContractProvider, via: Sender, send: Send, hash: Uint8Array): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.addProxyHash.store({ queryId: send.queryId, hash }));
  }

  sendDeleteProxyHash(provider: ContractProvider, via: Sender, send: Send, hash: Uint8Array): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.deleteProxyHash.store({ queryId: send.queryId, hash }));
  }

  /** `text` as `formatProxyText` makes it, at most 114 characters. */
  sendRegisterProxy(provider: ContractProvider, via: Sender, send: Send, text: string): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.registerProxy.store({ queryId: send.queryId, text }));
  }

  sendUnregisterProxy(provider: ContractProvider, via: Sender, send: Send, seqno: number): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.unregisterProxy.store({ queryId: send.queryId, seqno }));
  }

  /** `text` of at most 110 characters. */
  sendUpdateProxy(provider: ContractProvider, via: Sender, send: Send, seqno: number, text: string): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.updateProxy.store({ queryId: send.queryId, seqno, text }));
  }

  sendChangePrice(provider: ContractProvider, via: Sender, send: Send, prices: Body<typeof messages.changePrice>): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.changePrice.store({ queryId: send.queryId, ...prices }));
  }

  sendChangeParams(provider: ContractProvider, via: Sender, send: Send, params: Body<typeof messages.changeParams>): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.changeParams.store({ queryId: send.queryId, ...params }));
  }

  sendReplaceChildCodes(provider: ContractProvider, via: Sender, send: Send, codes: Body<typeof messages.replaceChildCodes>): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.replaceChildCodes.store({ queryId: send.queryId, ...codes }));
  }

  sendReplaceCode(provider: ContractProvider, via: Sender, send: Send, code: Cell): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.replaceCode.store({ queryId: send.queryId, code }));
  }

  sendReplaceDataAndCode(provider: ContractProvider, via: Sender, send: Send, data: Cell, code: Cell): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.replaceDataAndCode.store({ queryId: send.queryId, data, code }));
  }

  sendReset(provider: ContractProvider, via: Sender, send: Send): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.reset.store({ queryId: send.queryId }));
  }

  /** The owner names the new one; the new one confirms by sending the same. */
  sendChangeOwner(provider: ContractProvider, via: Sender, send: Send, newOwner: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, messages.changeOwner.store({ queryId: send.queryId, newOwner }));
  }
}
