// `cocoon proxy close`: ends a proxy contract. The owner's request starts it; the proxy that runs pays out its clients and its
// nodes and completes the close after the network's delay. Run again it shows where the close is.
import { closeProxyPlan } from '../chain/plans/proxy.ts';
import { chainTime, readRoot } from '../chain/plans/reading.ts';
import { formatTon } from '../core/units.ts';
import { networkInUse, pollMsOf, requireRoot } from './chain.ts';
import { throughStages } from './close-view.ts';
import { chosenProxy } from './payments.ts';
import { declareProxy } from './proxy-option.ts';
import { declareSending, withSending } from './sending.ts';
import { pollUntil } from './waiting.ts';
import type { Command } from 'commander';
import type { ProxyChoice } from '../chain/plans/client.ts';
import type { ProxyClose } from '../chain/plans/proxy.ts';
import type { Invocation } from './command.ts';
import type { ShownStep, Stage } from './close-view.ts';

export function declare(command: Command): void {
  declareProxy(command, 'own');
  command.option('--wait', 'wait until it is closed, at most --timeout');
  declareSending(command);
  command.addHelpText('after', '\nThe proxy itself must run until the end: its key refunds clients, signs the last payouts of its nodes and completes the close.');
}

const ORDER = ['request', 'drain', 'complete'] as const;
const DONE: Readonly<Record<ProxyClose['step'], number>> = { request: 0, delay: 1, complete: 1, closed: 3 };

function stageOf({ proxy, step, completeFrom, paysNano, poolNano, plan, time }: ProxyClose): Stage & { readonly closed: boolean; readonly completeFrom: number | null } {
  const what: Readonly<Record<(typeof ORDER)[number], string>> = {
    request: 'request of the owner: the proxy takes no new work',
    drain: `clients are refunded and nodes get their last payouts: ${formatTon(poolNano)} TON lie in the pool`,
    complete: `the proxy's key completes the close, and the owner gets ${formatTon(paysNano)} TON`,
  };
  const steps = ORDER.map((name, index): ShownStep => ({
    name, state: index < DONE[step] ? 'done' : index === DONE[step] ? 'next' : 'later', from: name === 'complete' && step !== 'closed' ? completeFrom : null, what: index < DONE[step] ? '' : what[name],
  }));
  return {
    steps, time, completeFrom, closed: step === 'closed', next: plan === null ? null : { name: 'request', plan },
    facts: { proxyContract: proxy.address.toRawString(), status: step === 'closed' ? 'closed' : step === 'request' ? 'open' : 'closing', completeFrom, paysNano: paysNano.toString(), poolNano: poolNano.toString(), time },
  };
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, options, out } = invocation;
  const network = await networkInUse(settings);
  const rootAddress = requireRoot(network);
  const proxy = await chosenProxy(invocation, network, 'own');
  await withSending(invocation, network, async (sending) => {
    const choice: ProxyChoice = { root: await readRoot(sending.context, rootAddress), proxy };
    const read = async () => stageOf(await closeProxyPlan(sending.context, choice));
    const first = await throughStages(invocation, sending, read);
    let { stage } = first;
    const { outcome } = first;
    if (outcome === 'dry-run' || outcome === 'unsigned') return;
    if (options['wait'] === true && !stage.closed) {
      await pollUntil(invocation, pollMsOf(network), async () => (await read()).closed, 'the proxy contract was not closed');
      ({ stage } = await throughStages(invocation, sending, read));
    }
    if (stage.closed) await out.line('closed');
    else if (stage.completeFrom !== null) await out.note(`keep the proxy running; it completes the close from ${chainTime(stage.completeFrom)} on`);
  }, 'owner');
}
