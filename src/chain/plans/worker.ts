// Delivers a signed payout to its worker contract (ONCHAIN.md section 10), deploying the contract where that is still to be done.
// Refuses a payment that is not signed by the proxy's key, is for another contract, or pays nothing more.
import type { Address } from '@ton/core';
import { ConfigError, NetworkError, NotFoundError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import { proxyStorage, STATE, workerStorage } from '../cells/storage.ts';
import { openAt } from '../contracts/provider.ts';
import { WorkerContract } from '../contracts/worker.ts';
import { workerFeeOf } from '../root-config.ts';
import { checkPayment, parsePayment, repack } from '../signed-payment.ts';
import type { SignedPayment } from '../signed-payment.ts';
import { CHILD_FLOOR_NANO, REQUEST_NANO } from './client.ts';
import type { ProxyChoice } from './client.ts';
import { readsOf } from './plan.ts';
import type { Plan, PlanStep } from './plan.ts';
import { listedCode, poolOf, readDeployed, readProxy, readState, stateName } from './reading.ts';
import type { PlanContext } from './reading.ts';
import { roundUp, tenYearsRent } from './rent.ts';

/** A signed payment is two cells; more text than this is no payment file. */
export const MAX_PAYMENT_FILE_BYTES = 4096;

/** A payment from a file: its bytes, or their base64. Throws NetworkError `E_SIGNED_PAYMENT`. */
export function paymentOfFile(bytes: Uint8Array): SignedPayment {
  const text = Buffer.from(bytes).toString('latin1').trim();
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text);
  return parsePayment(isBase64 ? new Uint8Array(Buffer.from(text, 'base64')) : bytes);
}

/** What a signed payout gives, checked against the chain. */
export interface Payout {
  readonly contract: Address;
  readonly proxy: Address;
  /** Who is paid. */
  readonly owner: Address;
  /** Adjusted tokens that this payment pays, beyond what the contract has paid. */
  readonly tokens: bigint;
  /** Tokens that the contract has paid already. */
  readonly paidTokens: bigint;
  readonly payoutNano: bigint;
  /** Sent to a contract that is still to be deployed: its floor and its rent; 0n where it is deployed. */
  readonly deployNano: bigint;
  /** What the pool lacks to pay it now; 0n when it can. */
  readonly missingNano: bigint;
  readonly last: boolean;
  readonly steps: readonly PlanStep[];
}

export interface PayoutOptions {
  /** Needed where the worker contract is not deployed yet. */
  readonly choice: ProxyChoice | null;
  /** Owner of a worker contract that is still to be deployed. */
  readonly owner: Address;
}

/**
 * Judges one signed payout. Throws NetworkError `E_SIGNED_PAYMENT`, ConfigError `E_CONTRACT_STATE` when it pays nothing (more),
 * NotFoundError when its contract is not deployed and `choice` is null.
 */
export async function readPayout(context: PlanContext, payment: SignedPayment, { choice, owner: newOwner }: PayoutOptions): Promise<Payout> {
  const { claim } = payment;
  const kinds = ['workerPayout', 'workerLastPayout'] as const;
  if (claim.kind !== 'workerPayout' && claim.kind !== 'workerLastPayout') throw new NetworkError('E_SIGNED_PAYMENT', `signed payment is a ${claim.kind}, expected a payout of a worker`);
  const { storage } = await readState(context, claim.contract, (data) => workerStorage.load(data));
  const worker = storage === null ? await newWorker(context, claim.contract, choice, newOwner) : { contract: new WorkerContract(claim.contract), storage };
  const { owner, proxy, proxyPublicKey, params, tokens: paidTokens, state } = worker.storage;
  checkPayment(payment, { kinds, contract: claim.contract, publicKey: proxyPublicKey });
  if (state === STATE.closed) throw new ConfigError('E_CONTRACT_STATE', `worker contract ${claim.contract.toString()} is ${stateName(state)}`);
  const last = claim.kind === 'workerLastPayout';
  if (last ? claim.tokens < paidTokens : claim.tokens <= paidTokens) {
    throw new ConfigError('E_CONTRACT_STATE', `the payment is for ${claim.tokens} tokens, and ${paidTokens} are paid already`, { hint: 'a payment carries the total since the contract exists; only a higher one pays' });
  }
  const tokens = claim.tokens - paidTokens;
  const payoutNano = workerFeeOf(params, tokens);
  const poolNano = poolOf(await readDeployed(context, proxy, 'proxy contract', (data) => proxyStorage.load(data)));
  const neededNano = tokens * params.pricePerTokenNano;
  const reads = readsOf(context.access);
  const { contract } = worker;
  const deployNano = workerRent(contract);
  return {
    contract: claim.contract, proxy, owner, tokens, paidTokens, payoutNano, last, deployNano, missingNano: poolNano >= neededNano ? 0n : neededNano - poolNano,
    steps: [
      ...(contract.init === undefined ? [] : [{
        purpose: 'new worker contract, with its rent for ten years',
        send: (via: Parameters<PlanStep['send']>[0]) => openAt(reads, contract).sendDeploy(via, deployNano),
      }]),
      {
        // The query id is signed: the payment's own.
        purpose: `payout of ${formatTon(payoutNano)} TON for ${tokens} tokens${last ? ', and the contract closes' : ''}; spare TON comes back`,
        send: (via) => openAt(reads, new WorkerContract(claim.contract)).sendSigned(via, REQUEST_NANO, repack(payment, context.wallet)),
      },
    ],
  };
}

/** One payout from a file. `choice` is needed where the worker contract is not deployed yet; its owner is then the wallet that sends. */
export async function claimPlan(context: PlanContext, payment: SignedPayment, choice: ProxyChoice | null): Promise<Plan> {
  const { contract, owner, tokens, payoutNano, missingNano, steps } = await readPayout(context, payment, { choice, owner: context.wallet });
  const { claim } = payment;
  return {
    name: `claim ${contract.toRawString()} ${claim.kind} ${'tokens' in claim ? claim.tokens : 0n} ${claim.queryId}`,
    facts: { workerContract: contract.toRawString(), owner: owner.toRawString(), payoutNano: payoutNano.toString(), tokens: tokens.toString() },
    warnings: [
      ...(owner.equals(context.wallet) ? [] : [`the payout goes to the owner ${owner.toString()}, not to the wallet that sends`]),
      ...(missingNano === 0n ? [] : [`the proxy's pool lacks ${formatTon(missingNano)} TON of what the payout needs: it may be refused, and can be claimed later`]),
    ],
    steps,
  };
}

function workerRent({ init }: WorkerContract): bigint {
  return init === undefined ? 0n : roundUp(CHILD_FLOOR_NANO + tenYearsRent(init.code, init.data));
}

async function newWorker(context: PlanContext, wanted: Address, choice: ProxyChoice | null, owner: Address) {
  if (choice === null) throw new NotFoundError('E_NOT_FOUND', `worker contract ${wanted.toString()} is not deployed yet`, { hint: 'add --proxy ADDRESS to deploy it' });
  const proxy = await readProxy(context, choice.proxy, choice.root);
  const { publicKey, params } = proxy.storage;
  listedCode(params.workerCode, 'worker');
  const contract = WorkerContract.fromIdentity({ owner, proxy: choice.proxy, proxyPublicKey: publicKey, params });
  if (!contract.address.equals(wanted) || contract.init === undefined) {
    throw new NetworkError('E_SIGNED_PAYMENT', `signed payment is for ${wanted.toString()}, the worker contract of ${owner.toString()} at that proxy is ${contract.address.toString()}`);
  }
  return { contract, storage: workerStorage.load(contract.init.data) };
}
