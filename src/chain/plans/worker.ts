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
import type { Plan } from './plan.ts';
import { listedCode, readDeployed, readProxy, readState, stateName } from './reading.ts';
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

/** `choice` is needed where the worker contract is not deployed yet; its owner is then the wallet that sends. */
export async function claimPlan(context: PlanContext, payment: SignedPayment, choice: ProxyChoice | null): Promise<Plan> {
  const { claim } = payment;
  const kinds = ['workerPayout', 'workerLastPayout'] as const;
  if (claim.kind !== 'workerPayout' && claim.kind !== 'workerLastPayout') throw new NetworkError('E_SIGNED_PAYMENT', `signed payment is a ${claim.kind}, expected a payout of a worker`);
  const { storage } = await readState(context, claim.contract, (data) => workerStorage.load(data));
  const worker = storage === null ? await newWorker(context, claim.contract, choice) : { contract: new WorkerContract(claim.contract), storage };
  const { owner, proxy, proxyPublicKey, params, tokens, state } = worker.storage;
  checkPayment(payment, { kinds, contract: claim.contract, publicKey: proxyPublicKey });
  if (state === STATE.closed) throw new ConfigError('E_CONTRACT_STATE', `worker contract ${claim.contract.toString()} is ${stateName(state)}`);
  const isLast = claim.kind === 'workerLastPayout';
  if (isLast ? claim.tokens < tokens : claim.tokens <= tokens) {
    throw new ConfigError('E_CONTRACT_STATE', `the payment is for ${claim.tokens} tokens, and ${tokens} are paid already`, { hint: 'a payment carries the total since the contract exists; only a higher one pays' });
  }
  const paidNano = workerFeeOf(params, claim.tokens - tokens);
  const poolWarning = await poolProblem(context, proxy, (claim.tokens - tokens) * params.pricePerTokenNano);
  const reads = readsOf(context.access);
  const { contract } = worker;
  return {
    name: `claim ${claim.contract.toRawString()} ${claim.kind} ${claim.tokens} ${claim.queryId}`,
    facts: { workerContract: claim.contract.toRawString(), owner: owner.toRawString(), payoutNano: paidNano.toString(), tokens: (claim.tokens - tokens).toString() },
    warnings: [
      ...(owner.equals(context.wallet) ? [] : [`the payout goes to the owner ${owner.toString()}, not to the wallet that sends`]),
      ...(poolWarning === null ? [] : [poolWarning]),
    ],
    steps: [
      ...(contract.init === undefined ? [] : [{
        purpose: 'new worker contract, with its rent for ten years',
        send: (via: Parameters<Plan['steps'][number]['send']>[0]) => openAt(reads, contract).sendDeploy(via, workerRent(contract)),
      }]),
      {
        // The query id is signed: the payment's own.
        purpose: `payout of ${formatTon(paidNano)} TON for ${claim.tokens - tokens} tokens${isLast ? ', and the contract closes' : ''}; spare TON comes back`,
        send: (via) => openAt(reads, new WorkerContract(claim.contract)).sendSigned(via, REQUEST_NANO, repack(payment, context.wallet)),
      },
    ],
  };
}

function workerRent({ init }: WorkerContract): bigint {
  return init === undefined ? 0n : roundUp(CHILD_FLOOR_NANO + tenYearsRent(init.code, init.data));
}

async function newWorker(context: PlanContext, wanted: Address, choice: ProxyChoice | null) {
  if (choice === null) throw new NotFoundError('E_NOT_FOUND', `worker contract ${wanted.toString()} is not deployed yet`, { hint: 'add --proxy ADDRESS to deploy it with this wallet as its owner' });
  const proxy = await readProxy(context, choice.proxy, choice.root);
  const { publicKey, params } = proxy.storage;
  listedCode(params.workerCode, 'worker');
  const contract = WorkerContract.fromIdentity({ owner: context.wallet, proxy: choice.proxy, proxyPublicKey: publicKey, params });
  if (!contract.address.equals(wanted) || contract.init === undefined) {
    throw new NetworkError('E_SIGNED_PAYMENT', `signed payment is for ${wanted.toString()}, the worker contract of this wallet at that proxy is ${contract.address.toString()}`);
  }
  return { contract, storage: workerStorage.load(contract.init.data) };
}

/** Why the proxy could not pay, as far as it can be seen now; the contract itself refuses without loss (H2). */
async function poolProblem(context: PlanContext, proxy: Address, neededNano: bigint): Promise<string | null> {
  const { account, storage } = await readDeployed(context, proxy, 'proxy contract', (data) => proxyStorage.load(data));
  const poolNano = account.balanceNano - storage.balanceNano - storage.stakeNano;
  return poolNano >= neededNano ? null : `the proxy's pool holds ${formatTon(poolNano)} TON and the payout needs ${formatTon(neededNano)}: it may be refused, and can be claimed later`;
}
