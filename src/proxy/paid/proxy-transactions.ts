// What a transaction of the proxy contract means (ONCHAIN.md section 8.6). Anyone can send it anything, and messages of one
// nanoTON never start its code: so the sender is recomputed here from the owner that the body names, and a commitment counts
// only from the proxy's own wallet. Whatever is not exactly one of these is nothing.
import type { Address, Transaction } from '@ton/core';
import { isZero } from '../../core/bytes.ts';
import { NetworkError } from '../../core/errors.ts';
import { clientRequest, saveState, workerRequest } from '../../chain/cells/proxy-messages.ts';
import { leadingOp } from '../../chain/cells/message.ts';
import { OP } from '../../chain/opcodes.ts';
import type { AccountKind, ChildState } from '../ledger/ledger.ts';

export type ProxyEvent =
  | {
    readonly kind: AccountKind;
    readonly owner: Address;
    readonly contract: Address;
    readonly child: ChildState;
    /** Of a registration. */
    readonly nonce: bigint | null;
    /** True: the proxy contract refused the request, so the child takes the change back when it hears of it. */
    readonly refused: boolean;
  }
  | { readonly kind: 'saveState'; readonly seqno: number; readonly session: Uint8Array };

export interface EventReader {
  /** Wallets whose commitments count. */
  isOwnWallet(address: Address): boolean;
  /** Address of the child contract of an owner. */
  childOf(kind: AccountKind, owner: Address): Address;
}

export function eventOf(transaction: Transaction, reader: EventReader): ProxyEvent | null {
  const message = transaction.inMessage;
  if (message?.info.type !== 'internal' || message.info.bounced) return null;
  const { info: { src, createdLt }, body } = message;
  try {
    switch (leadingOp(body)) {
      case OP.clientRequest: {
        const { owner, stateData, payload } = clientRequest.load(body);
        if (!reader.childOf('client', owner).equals(src)) return null;
        const { state, balanceNano, stakeNano, tokensUsed, secretHash } = stateData;
        const isMoney = payload !== null && payload.kind !== 'register';
        return {
          kind: 'client', owner, contract: src, nonce: payload?.kind === 'register' ? payload.nonce : null, refused: isMoney && !succeeded(transaction),
          child: { lt: createdLt, state, tokens: tokensUsed, balanceNano, stakeNano, secretHash: isZero(secretHash) ? null : secretHash },
        };
      }
      case OP.workerRequest: {
        const { owner, state, tokens, payload } = workerRequest.load(body);
        if (!reader.childOf('worker', owner).equals(src)) return null;
        return {
          kind: 'worker', owner, contract: src, nonce: null, refused: payload !== null && !succeeded(transaction),
          child: { lt: createdLt, state, tokens, balanceNano: 0n, stakeNano: 0n, secretHash: null },
        };
      }
      case OP.doNotProcess: {
        if (!reader.isOwnWallet(src)) return null;
        const { save } = saveState.load(body);
        return { kind: 'saveState', seqno: save.seqno, session: save.sessionHash };
      }
      default: return null;
    }
  } catch (error) {
    // Bytes of a stranger that look like a request and are none.
    if (error instanceof NetworkError && error.code === 'E_CHAIN_DATA') return null;
    throw error;
  }
}

function succeeded({ description }: Transaction): boolean {
  if (description.type !== 'generic') return false;
  const { computePhase, actionPhase } = description;
  return computePhase.type === 'vm' && computePhase.success && (actionPhase?.success ?? true);
}
