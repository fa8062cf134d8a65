// Wallet contracts: V5R1 (default) and V4R2 for owners, the Cocoon wallet (ONCHAIN.md section 11) for nodes, proxies and
// clients. A kind knows its address, reads its sequence number and signs external messages; it never sends.
import { loadMessageRelaxed, SendMode } from '@ton/core';
import type { Address, Cell } from '@ton/core';
import { WalletContractV4, WalletContractV5R1 } from '@ton/ton';
import { UsageError } from '../../core/errors.ts';
import { walletDeployment } from '../addresses.ts';
import { chainDataError, reading } from '../cells/codec.ts';
import { walletStorage } from '../cells/storage.ts';
import { MAX_WALLET_MESSAGES } from '../cells/wallet-messages.ts';
import type { CodeAndData, ModedMessage } from '../cells/wallet-messages.ts';
import { signWalletRequest } from '../contracts/wallet.ts';
import type { Signer } from '../ed25519.ts';
import type { WalletNetwork } from './network.ts';

export type WalletKindName = 'v5r1' | 'v4r2' | 'cocoon';

export interface WalletKind {
  readonly name: WalletKindName;
  readonly address: Address;
  /** Deploys the wallet; goes with its first external message. */
  readonly init: CodeAndData;
  /** Messages in one external message, at most. */
  readonly maxMessages: number;
  /** The contract sends nothing unless it holds more than this. */
  readonly minBalanceNano: bigint;
  /** Sequence number in the storage of an active wallet. Throws `E_CHAIN_DATA` when the cell is no storage of this kind. */
  readSeqno(data: Cell): number;
  /**
   * Body of a signed external message. `validUntil`: unix seconds of the chain. Throws UsageError when there are no or too many
   * messages, or modes that this kind cannot mix.
   */
  buildExternal(seqno: number, validUntil: number, messages: readonly ModedMessage[], signer: Signer): Promise<Cell>;
}

const V5R1_MAX_MESSAGES = 255;
const V4R2_MAX_MESSAGES = 4;
const COCOON_MIN_BALANCE_NANO = 2_000_000_000n;

function checkCount(messages: readonly ModedMessage[], most: number): void {
  if (messages.length === 0 || messages.length > most) {
    throw new UsageError('E_USAGE', `a wallet message carries ${messages.length} transfers, expected 1 to ${most}`);
  }
}

const signCell = (signer: Signer) => async (cell: Cell): Promise<Buffer> => Buffer.from(signer.sign(cell.hash()));

// wallet_v5r1_data$_ is_signature_allowed:Bool seqno:uint32 wallet_id:int32 public_key:uint256 extensions:(HashmapE 256 int1)
const V5R1_SEQNO_BIT = 1;
// wallet_v4r2_data$_ seqno:uint32 wallet_id:uint32 public_key:uint256 plugins:(HashmapE 264 Unit)
const V4R2_SEQNO_BIT = 0;

function seqnoAt(bit: number, kind: string) {
  return (data: Cell): number => reading(`storage of the ${kind} wallet`, () => data.beginParse().skip(bit).loadUint(32));
}

/** V5R1 in workchain 0, subwallet 0. The wallet id, and so the address, depends on the network's global id. */
export function walletV5R1(publicKey: Uint8Array, network: WalletNetwork): WalletKind {
  const contract = WalletContractV5R1.create({ publicKey: Buffer.from(publicKey), walletId: { networkGlobalId: network.globalId } });
  return {
    name: 'v5r1',
    address: contract.address,
    init: contract.init,
    maxMessages: V5R1_MAX_MESSAGES,
    minBalanceNano: 0n,
    readSeqno: seqnoAt(V5R1_SEQNO_BIT, 'V5R1'),
    buildExternal: async (seqno, validUntil, messages, signer) => {
      checkCount(messages, V5R1_MAX_MESSAGES);
      return contract.createRequest({
        seqno, timeout: validUntil, authType: 'external', signer: signCell(signer),
        actions: messages.map(({ mode, message }) => ({
          // The contract demands that errors of actions are ignored; the sender counts what left instead.
          type: 'sendMsg', mode: mode | SendMode.IGNORE_ERRORS, outMsg: loadMessageRelaxed(message.beginParse()),
        })),
      });
    },
  };
}

/** V4R2 in workchain 0 with the customary wallet id: the same address on every network. */
export function walletV4R2(publicKey: Uint8Array): WalletKind {
  const contract = WalletContractV4.create({ workchain: 0, publicKey: Buffer.from(publicKey) });
  return {
    name: 'v4r2',
    address: contract.address,
    init: contract.init,
    maxMessages: V4R2_MAX_MESSAGES,
    minBalanceNano: 0n,
    readSeqno: seqnoAt(V4R2_SEQNO_BIT, 'V4R2'),
    buildExternal: async (seqno, validUntil, messages, signer) => {
      checkCount(messages, V4R2_MAX_MESSAGES);
      const modes = new Set(messages.map(({ mode }) => mode));
      const [mode = 0] = modes;
      if (modes.size > 1) throw new UsageError('E_USAGE', 'a V4R2 wallet sends all transfers of one message with the same mode');
      return contract.createTransfer({
        // Without IGNORE_ERRORS a failing transfer would leave the sequence number as it was, and could be replayed.
        seqno, timeout: validUntil, sendMode: mode | SendMode.IGNORE_ERRORS, signer: signCell(signer),
        messages: messages.map(({ message }) => loadMessageRelaxed(message.beginParse())),
      });
    },
  };
}

export interface CocoonWalletOptions {
  /** Code of the wallet contract. */
  readonly code: Cell;
  /** Cold owner: may withdraw everything and block the wallet. */
  readonly owner: Address;
  readonly publicKey: Uint8Array;
  /** `walletSubwallet(globalId, owner)` for ours, 0 for wallets of the reference programs. */
  readonly subwallet: number;
}

export function cocoonWallet({ code, owner, publicKey, subwallet }: CocoonWalletOptions): WalletKind {
  const { address, init } = walletDeployment(code, { owner, publicKey, subwallet });
  return {
    name: 'cocoon',
    address,
    init,
    maxMessages: MAX_WALLET_MESSAGES,
    minBalanceNano: COCOON_MIN_BALANCE_NANO,
    readSeqno: (data) => {
      const storage = walletStorage.load(data);
      if (storage.subwallet !== subwallet) throw chainDataError(`wallet ${address} has subwallet ${storage.subwallet}, expected ${subwallet}`);
      return storage.seqno;
    },
    buildExternal: async (seqno, validUntil, messages, signer) => {
      checkCount(messages, MAX_WALLET_MESSAGES);
      return signWalletRequest({ subwallet, validUntil, seqno, messages }, signer);
    },
  };
}
