// Which TON network a wallet is for: enters the wallet id of V5R1, and decides which address texts are accepted.

export interface WalletNetwork {
  /** Name as configured, for messages. */
  readonly name: string;
  /** -239 mainnet, -3 testnet, another number for a network of one's own. Signed 32 bits. */
  readonly globalId: number;
  /** Addresses are written with the testnet-only flag. */
  readonly testOnly: boolean;
}

export const MAINNET: WalletNetwork = { name: 'mainnet', globalId: -239, testOnly: false };
export const TESTNET: WalletNetwork = { name: 'testnet', globalId: -3, testOnly: true };
/** A network of one's own: neither flag of an address says anything about it, so both are accepted there. */
export const isPublicNetwork = ({ globalId }: WalletNetwork): boolean => globalId === MAINNET.globalId || globalId === TESTNET.globalId;
