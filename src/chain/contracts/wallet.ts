// The Cocoon wallet: a hot key sends, a cold owner controls (ONCHAIN.md section 11). External messages are signed here;
// keeping their bytes until they are seen or expired is the sender's duty.
import type { Address, Cell, Contract, ContractProvider, Sender } from '@ton/core';
import { CocoonError } from '../../core/errors.ts';
import { walletDeployment } from '../addresses.ts';
import type { Deployment, WalletIdentity } from '../addresses.ts';
import {
  externalMessage, transferMessage, transferMode, walletExternalBody, walletRequest, walletSendMessage, walletText,
} from '../cells/wallet-messages.ts';
import type { CodeAndData, WalletRequest, WalletTransfer } from '../cells/wallet-messages.ts';
import { walletStorage } from '../cells/storage.ts';
import type { WalletStorage } from '../cells/storage.ts';
import type { Signer } from '../ed25519.ts';
import { accountData, callGet, readBytes32, readUint32, sendBody, sendDeploy } from './common.ts';
import type { Send } from './common.ts';

/** Seconds for which the reference programs sign. */
export const WALLET_VALIDITY_SECONDS = 3600;

/** Body of an external message: the request, signed by the wallet's key. */
export function signWalletRequest(request: WalletRequest, signer: Signer): Cell {
  const cell = walletRequest.store(request);
  return walletExternalBody.store({ signature: signer.sign(cell.hash()), request: cell });
}

/** One to four transfers with the reference programs' send modes. Throws E_INTERNAL on none; signing refuses more. */
export function transfersRequest(head: Omit<WalletRequest, 'messages'>, transfers: readonly WalletTransfer[]): WalletRequest {
  if (transfers.length === 0) throw new CocoonError('E_INTERNAL', 'wallet request has no transfers, expected one to four');
  const messages = transfers.map((transfer) => ({ mode: transferMode(transfer.valueNano), message: transferMessage.store(transfer) }));
  return { ...head, messages };
}

/** The whole external message; it deploys the wallet while its seqno is 0. */
export const walletExternal = ({ address, init }: Deployment, body: Cell, seqno: number): Cell =>
  externalMessage.store({ to: address, body, init: seqno === 0 ? init : null });

export class WalletContract implements Contract {
  readonly address: Address;
  readonly init?: CodeAndData;

  constructor(address: Address, init?: CodeAndData) {
    this.address = address;
    if (init !== undefined) this.init = init;
  }

  static fromIdentity(code: Cell, identity: WalletIdentity): WalletContract {
    const { address, init } = walletDeployment(code, identity);
    return new WalletContract(address, init);
  }

  /** Everything, from the account's data. */
  async getStorage(provider: ContractProvider): Promise<WalletStorage> {
    return walletStorage.load(await accountData(provider, 'wallet'));
  }

  getSeqno(provider: ContractProvider): Promise<number> {
    return callGet(provider, 'seqno', [], readUint32);
  }

  getPublicKey(provider: ContractProvider): Promise<Uint8Array> {
    return callGet(provider, 'get_public_key', [], readBytes32);
  }

  getOwnerAddress(provider: ContractProvider): Promise<Address> {
    return callGet(provider, 'get_owner_address', [], (stack) => stack.readAddress());
  }

  sendDeploy(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendDeploy(provider, via, valueNano);
  }

  /** Broadcasts a signed body; the provider adds the StateInit where the wallet is not deployed. */
  sendExternal(provider: ContractProvider, body: Cell): Promise<void> {
    return provider.external(body);
  }

  /** Owner; the wallet sends `message` as it is. */
  sendMessage(provider: ContractProvider, via: Sender, send: Send, mode: number, message: Cell): Promise<void> {
    return sendBody(provider, via, send.valueNano, walletSendMessage.store({ queryId: send.queryId, mode, message }));
  }

  /** Owner: text "w" withdraws all but 0.01 TON to the owner. */
  sendWithdraw(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendBody(provider, via, valueNano, walletText.store({ letter: 'w' }));
  }

  /** Owner: text "b"; the key can send nothing until unblocked. */
  sendBlock(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendBody(provider, via, valueNano, walletText.store({ letter: 'b' }));
  }

  /** Owner: text "u". */
  sendUnblock(provider: ContractProvider, via: Sender, valueNano: bigint): Promise<void> {
    return sendBody(provider, via, valueNano, walletText.store({ letter: 'u' }));
  }
}
