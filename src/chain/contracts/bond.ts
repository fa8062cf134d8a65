// The bond contract: an operator's stake for one root (contracts/bond.tolk). Values of at least 0.1 TON, deposits the amount on top.
import type { Address, Cell, Contract, ContractProvider, Sender } from '@ton/core';
import { bondDeployment } from '../addresses.ts';
import { bondAddKey, bondDeposit, bondRemoveKey, bondSlash, bondStorage, bondUnbond, bondWithdraw } from '../cells/bond.ts';
import type { BondStorage } from '../cells/bond.ts';
import type { SignedReceipt } from '../cells/receipt.ts';
import type { CodeAndData } from '../cells/wallet-messages.ts';
import { accountData, callGet, hashArgument, readUint, readUint32, sendBody, sendDeploy } from './common.ts';
import type { Send } from './common.ts';

/** Of a receipt key: in use, not listed, or the unix time from which it no longer counts. */
export type KeyStatus = 'in use' | 'not listed' | { readonly endsAt: number };

export class BondContract implements Contract {
  readonly address: Address;
  readonly init?: CodeAndData;

  constructor(address: Address, init?: CodeAndData) {
    this.address = address;
    if (init !== undefined) this.init = init;
  }

  /** The one bond of an operator at a root. */
  static fromOwner(code: Cell, root: Address, owner: Address): BondContract {
    const { address, init } = bondDeployment(code, root, owner);
    return new BondContract(address, init);
  }

  /** Everything, from the account's data. */
  async getStorage(provider: ContractProvider): Promise<BondStorage> {
    return bondStorage.load(await accountData(provider, 'bond'));
  }

  /** get_bond_data */
  getData(provider: ContractProvider) {
    return callGet(provider, 'get_bond_data', [], (stack) => ({
      owner: stack.readAddress(),
      root: stack.readAddress(),
      state: readUint32(stack),
      stakeNano: readUint(stack, 64),
      unlockTime: readUint32(stack),
      unbondDelaySeconds: readUint32(stack),
    }));
  }

  /** get_bond_key; `key` is 32 bytes. */
  getKey(provider: ContractProvider, key: Uint8Array): Promise<KeyStatus> {
    return callGet(provider, 'get_bond_key', [hashArgument(key)], (stack): KeyStatus => {
      const answer = stack.readBigNumber();
      if (answer === -1n) return 'in use';
      if (answer === 0n) return 'not listed';
      if (answer < 0n || answer >> 32n !== 0n) throw new Error(`number ${answer} is outside 32 bits`);
      return { endsAt: Number(answer) };
    });
  }

  sendDeploy(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendDeploy(provider, via, valueNano);
  }

  /** Anyone; while bonded. */
  sendDeposit(provider: ContractProvider, via: Sender, send: Send, amountNano: bigint, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, bondDeposit.store({ queryId: send.queryId, amountNano, sendExcessesTo }));
  }

  /** Owner; starts the delay. */
  sendUnbond(provider: ContractProvider, via: Sender, send: Send, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, bondUnbond.store({ queryId: send.queryId, sendExcessesTo }));
  }

  /** Owner; after the delay. Pays the stake and drops all keys. */
  sendWithdraw(provider: ContractProvider, via: Sender, send: Send, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, bondWithdraw.store({ queryId: send.queryId, sendExcessesTo }));
  }

  /** Owner; lists a receipt key of 32 bytes. */
  sendAddKey(provider: ContractProvider, via: Sender, send: Send, key: Uint8Array, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, bondAddKey.store({ queryId: send.queryId, key, sendExcessesTo }));
  }

  /** Owner; the key counts for the delay of unbonding. */
  sendRemoveKey(provider: ContractProvider, via: Sender, send: Send, key: Uint8Array, sendExcessesTo: Address): Promise<void> {
    return sendBody(provider, via, send.valueNano, bondRemoveKey.store({ queryId: send.queryId, key, sendExcessesTo }));
  }

  /** Anyone; two contradicting receipts signed by `key`. The reporter's part and spare TON go to `sendExcessesTo`. */
  sendSlash(
    provider: ContractProvider, via: Sender, send: Send, key: Uint8Array, proof: readonly [SignedReceipt, SignedReceipt], sendExcessesTo: Address,
  ): Promise<void> {
    const [first, second] = proof;
    return sendBody(provider, via, send.valueNano, bondSlash.store({ queryId: send.queryId, key, sendExcessesTo, first, second }));
  }
}
