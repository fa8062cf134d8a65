// Closing a client contract (ONCHAIN.md section 9.2): what is above the stake is withdrawn first, then the close is requested,
// and after the network's delay the rest is claimed from the proxy's stake, unless the proxy has refunded it before. Each call
// plans the next step of what the chain shows, so a close that was interrupted goes on where it was. Refuses a step that would
// leave money behind unless the caller names exactly that sum.
import { ConfigError, FundsError, UsageError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import { clientStorage, STATE } from '../cells/storage.ts';
import type { ClientStorage } from '../cells/storage.ts';
import { ClientContract } from '../contracts/client.ts';
import { openAt } from '../contracts/provider.ts';
import { clientOf, REQUEST_NANO, withdrawPlan } from './client.ts';
import type { ProxyChoice } from './client.ts';
import { readsOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { chainTime, poolOf, readDeployed, readProxy, stateName } from './reading.ts';
import type { KnownProxy, PlanContext } from './reading.ts';

export type CloseStepName = 'withdraw' | 'request' | 'claim';

/** One step of the way to a closed contract. */
export interface CloseStep {
  readonly name: CloseStepName;
  readonly state: 'done' | 'next' | 'later';
  /** What the step pays back, as far as it can be known now. */
  readonly amountNano: bigint;
  /** Unix seconds of the chain from which it can be done; null: at once, or done. */
  readonly from: number | null;
}

export interface ClientClose {
  readonly client: ClientContract['address'];
  readonly steps: readonly CloseStep[];
  /** The next step; null: nothing can be sent now, because the contract is closed or the delay runs. */
  readonly next: { readonly name: CloseStepName; readonly plan: Plan } | null;
  readonly closed: boolean;
  /** What a forced claim would not pay, with the proxy's stake as it is; 0n when nothing is missing. */
  readonly lossNano: bigint;
  /** Unix seconds of the chain. */
  readonly time: number;
}

/** The pool must pay the excess, or the contract refuses the withdrawal. */
function payable(proxy: KnownProxy, storage: ClientStorage): { excessNano: bigint; forcedNano: bigint } {
  const { balanceNano, stakeNano, state } = storage;
  const above = state === STATE.normal && balanceNano > stakeNano ? balanceNano - stakeNano : 0n;
  const excessNano = above <= poolOf(proxy) ? above : 0n;
  return { excessNano, forcedNano: balanceNano - excessNano };
}

/** What a forced claim at `claimTime` finds to pay from: the stake, or the pool of a proxy contract that is closed by then. */
function coveredNano(proxy: KnownProxy, claimTime: number): bigint {
  const { state, stakeNano, unlockTime } = proxy.storage;
  const closedByThen = state === STATE.closed || (state === STATE.closing && unlockTime <= claimTime);
  return closedByThen ? poolOf(proxy) : stakeNano;
}

/**
 * The close as the chain shows it. `acceptedLossNano`: what the caller agrees to leave behind; null: nothing. Throws
 * NotFoundError without a client contract, FundsError with the exact loss before the step that cannot be taken back,
 * UsageError when the accepted loss is not the loss.
 */
export async function closeClientPlan(context: PlanContext, choice: ProxyChoice, acceptedLossNano: bigint | null): Promise<ClientClose> {
  const proxy = await readProxy(context, choice.proxy, choice.root);
  const { address: client } = clientOf(proxy, context.wallet);
  const { storage, account: { time } } = await readDeployed(context, client, 'client contract of this wallet', (data) => clientStorage.load(data));
  const { state, balanceNano, params, unlockTime } = storage;
  if (state === STATE.closed) {
    if (acceptedLossNano !== null) throw new UsageError('E_USAGE', 'the client contract is closed: there is no loss to accept');
    return { client, closed: true, next: null, lossNano: 0n, time, steps: stepsOf({ withdraw: 'done', request: 'done', claim: 'done' }) };
  }
  const { excessNano, forcedNano } = payable(proxy, storage);
  const claimTime = state === STATE.closing ? unlockTime + 1 : time + params.clientDelaySeconds + 1;
  const covered = coveredNano(proxy, claimTime);
  const lossNano = forcedNano > covered ? forcedNano - covered : 0n;
  const amounts = { withdraw: excessNano, request: 0n, claim: forcedNano - lossNano };
  const common = { client, closed: false, lossNano, time };
  if (state === STATE.normal && excessNano > 0n) {
    // Nothing is given up by this step: the loss is looked at when its turn comes, and told already.
    const plan = await withdrawPlan(context, choice);
    return { ...common, next: { name: 'withdraw', plan }, steps: stepsOf({ withdraw: 'next', request: 'later', claim: 'later' }, amounts, claimTime) };
  }
  if (state === STATE.normal) {
    requireAccepted(lossNano, acceptedLossNano, proxy, forcedNano);
    const plan = refundPlan(context, client, balanceNano, `request close ${client.toRawString()}`, `request to close; ${formatTon(amounts.claim)} TON can be claimed from about ${chainTime(claimTime)} on`, lossNano);
    return { ...common, next: { name: 'request', plan }, steps: stepsOf({ withdraw: 'done', request: 'next', claim: 'later' }, amounts, claimTime) };
  }
  if (state !== STATE.closing) throw new ConfigError('E_CONTRACT_STATE', `client contract ${client.toString()} is in state ${stateName(state)}`);
  if (time <= unlockTime) return { ...common, next: null, steps: stepsOf({ withdraw: 'done', request: 'done', claim: 'later' }, amounts, claimTime) };
  // The contract refuses a claim that it could pay nothing of; what is owed stays owed.
  if (covered <= 0n && forcedNano > 0n) return { ...common, next: null, steps: stepsOf({ withdraw: 'done', request: 'done', claim: 'later' }, amounts) };
  requireAccepted(lossNano, acceptedLossNano, proxy, forcedNano);
  const plan = refundPlan(context, client, balanceNano, `claim close ${client.toRawString()} ${unlockTime} ${balanceNano}`, `claim of ${formatTon(amounts.claim)} TON, and the contract closes`, lossNano);
  return { ...common, next: { name: 'claim', plan }, steps: stepsOf({ withdraw: 'done', request: 'done', claim: 'next' }, amounts) };
}

function requireAccepted(lossNano: bigint, accepted: bigint | null, proxy: KnownProxy, forcedNano: bigint): void {
  if (lossNano === (accepted ?? 0n)) return;
  const { stakeNano } = proxy.storage;
  if (accepted !== null) throw new UsageError('E_USAGE', `the loss is ${formatTon(lossNano)} TON, not the accepted ${formatTon(accepted)} TON`, { hint: lossNano === 0n ? 'leave --accept-loss out' : 'run the command with --dry-run to see the figures' });
  throw new FundsError('E_FUNDS', `closing would leave ${formatTon(lossNano)} TON behind: ${formatTon(forcedNano)} TON are claimed from the stake of the proxy contract ${proxy.address.toString()}, which is ${formatTon(stakeNano)} TON`, {
    hint: `wait until its owner has added stake, or add --accept-loss ${formatTon(lossNano)}`,
  });
}

function refundPlan(context: PlanContext, client: ClientContract['address'], balanceNano: bigint, name: string, purpose: string, lossNano: bigint): Plan {
  return {
    name,
    facts: { clientContract: client.toRawString(), balanceNano: balanceNano.toString(), lossNano: lossNano.toString() },
    warnings: lossNano === 0n ? [] : [`${formatTon(lossNano)} TON cannot be paid now, as agreed; what the contract still owes afterwards can be claimed when the proxy has stake again`],
    steps: [{ purpose, send: (via, queryId) => openAt(readsOf(context.access), new ClientContract(client)).sendRequestRefund(via, { queryId, valueNano: REQUEST_NANO }, context.wallet) }],
  };
}

const NAMES: readonly CloseStepName[] = ['withdraw', 'request', 'claim'];

function stepsOf(states: Record<CloseStepName, CloseStep['state']>, amounts: Record<CloseStepName, bigint> = { withdraw: 0n, request: 0n, claim: 0n }, claimFrom: number | null = null): CloseStep[] {
  return NAMES.map((name) => ({ name, state: states[name], amountNano: amounts[name], from: name === 'claim' && states[name] === 'later' ? claimFrom : null }));
}
