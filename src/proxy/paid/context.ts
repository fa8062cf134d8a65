// What every part of the paid accounts works with, and the addresses and messages that follow from it.
import type { Address } from '@ton/core';
import type { TonAccess } from '../../chain/access/types.ts';
import { clientDeployment, workerDeployment } from '../../chain/addresses.ts';
import type { Deployment } from '../../chain/addresses.ts';
import type { Signer } from '../../chain/ed25519.ts';
import type { RootFollower } from '../../chain/follow/root-follower.ts';
import type { HotWallet } from '../../chain/hot-wallet.ts';
import type { Clock } from '../../core/clock.ts';
import type { CocoonError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Sleep } from '../../core/retry.ts';
import { NANO_PER_TON } from '../../core/units.ts';
import type { AccountKind, Ledger, LedgerInstance } from '../ledger/ledger.ts';
import type { SignedNews } from './signed-news.ts';

/** When the proxy does what by itself. */
export interface PaidRules {
  /** Between two commitments while there is something to commit. */
  readonly commitIntervalMs: number;
  /** How soon after a booking the first commitment of a busy time is made. */
  readonly commitSoonMs: number;
  /** A client's used and not charged tokens are worth this much: its charge is delivered. */
  readonly chargeFromNano: bigint;
  /** A worker's earned and not paid tokens are worth this much: its payout is delivered. */
  readonly payoutFromNano: bigint;
  /** The proxy contract's earnings are this much: they are withdrawn to its owner. */
  readonly withdrawFromNano: bigint;
  /** Between two looks at the proxy contract, and between two rounds of these rules. */
  readonly pollMs: number;
  /** Age at which a bond is read again. */
  readonly bondRefreshMs: number;
  /** A delivery whose effect was not seen for this long is made again, each time after twice as long. */
  readonly redeliverMs: number;
  /** How long `close` waits for a last commitment. */
  readonly lastCommitMs: number;
}

/** As the network's programs do it where they do (WIRE.md section 15). */
export const DEFAULT_RULES: PaidRules = {
  commitIntervalMs: 60_000,
  commitSoonMs: 2_000,
  chargeFromNano: NANO_PER_TON,
  payoutFromNano: 10n * NANO_PER_TON,
  withdrawFromNano: 10n * NANO_PER_TON,
  pollMs: 5_000,
  bondRefreshMs: 600_000,
  redeliverMs: 300_000,
  lastCommitMs: 30_000,
};

export interface PaidContext {
  readonly access: TonAccess;
  readonly root: RootFollower;
  /** Address of the root contract. */
  readonly rootAddress: Address;
  readonly owner: Address;
  readonly signer: Signer;
  readonly wallet: HotWallet;
  readonly ledger: Ledger;
  readonly rules: PaidRules;
  readonly clock: Clock;
  readonly log: Log;
  readonly sleep: Sleep;
  readonly signed: SignedNews;
  /** Fires when everything ends. */
  readonly ending: AbortSignal;
  /** Nothing may be served or signed any more. */
  fail(error: CocoonError): void;
}

/** Where the child contract of an owner is, and what deploys it. */
export function childOf(instance: LedgerInstance, publicKey: Uint8Array, kind: AccountKind, owner: Address): Deployment {
  const identity = { owner, proxy: instance.contract, proxyPublicKey: publicKey, params: instance.params };
  return kind === 'client' ? clientDeployment(identity) : workerDeployment(identity);
}

/** nanoTON that a number of tokens is worth to the account's side. */
export const valueOf = (instance: LedgerInstance, kind: AccountKind, tokens: bigint): bigint =>
  tokens * (kind === 'client' ? instance.params.pricePerTokenNano : instance.params.workerFeePerTokenNano);
