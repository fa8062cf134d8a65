// `cocoon wallet close`: ends the deposit with a proxy, step by step; run again it goes on where the chain says it is.
import { closeClientPlan } from '../chain/plans/client-close.ts';
import { chainTime, readRoot } from '../chain/plans/reading.ts';
import { formatTon } from '../core/units.ts';
import { networkInUse, pollMsOf, requireRoot } from './chain.ts';
import { throughStages } from './close-view.ts';
import { chosenProxy } from './payments.ts';
import { declareProxy } from './proxy-option.ts';
import { declareSending, withSending } from './sending.ts';
import { tonAmount } from './values.ts';
import { pollUntil } from './waiting.ts';
import type { Command } from 'commander';
import type { ClientClose, CloseStep } from '../chain/plans/client-close.ts';
import type { ProxyChoice } from '../chain/plans/client.ts';
import type { Invocation } from './command.ts';
import type { Stage } from './close-view.ts';

export function declare(command: Command): void {
  declareProxy(command, 'deposit');
  command
    .option('--accept-loss <ton>', 'close although exactly this much is left behind', tonAmount(true))
    .option('--wait', 'wait for the delay and the refund too, at most --timeout');
  declareSending(command);
  command.addHelpText('after', '\nA close takes three steps: withdraw what is above the stake, request, and after the network\'s delay claim the rest.\nThe proxy may refund the rest before. Run the same command again to go on.');
}

const WHAT: Readonly<Record<CloseStep['name'], (amount: string) => string>> = {
  withdraw: (amount) => `withdraw what is above the stake: ${amount} TON`,
  request: () => 'request to close; the proxy takes no requests from then on',
  claim: (amount) => `claim the rest unless the proxy has refunded it: ${amount} TON`,
};

function stageOf({ client, steps, next, closed, lossNano, time }: ClientClose): Stage & { readonly closed: boolean; readonly claimFrom: number | null } {
  return {
    next, time, closed, claimFrom: steps.find(({ name }) => name === 'claim')?.from ?? null,
    steps: steps.map(({ name, state, amountNano, from }) => ({ name, state, from, what: state === 'done' ? '' : WHAT[name](formatTon(amountNano)) })),
    facts: { clientContract: client.toRawString(), status: closed ? 'closed' : next === null ? 'waiting' : next.name, lossNano: lossNano.toString(), time },
  };
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, options, out } = invocation;
  const network = await networkInUse(settings);
  const rootAddress = requireRoot(network);
  const proxy = await chosenProxy(invocation, network, 'client');
  const accepted = typeof options['acceptLoss'] === 'bigint' ? options['acceptLoss'] : null;
  await withSending(invocation, network, async (sending) => {
    const choice: ProxyChoice = { root: await readRoot(sending.context, rootAddress), proxy };
    const read = async () => stageOf(await closeClientPlan(sending.context, choice, accepted));
    const { stage, outcome } = await throughStages(invocation, sending, read);
    if (outcome === 'dry-run' || outcome === 'unsigned') return;
    if (options['wait'] !== true || stage.closed) return tellEnd(out, stage);
    await pollUntil(invocation, pollMsOf(network), async () => (({ closed, next }) => closed || next !== null)(await read()), 'the client contract was not closed');
    await tellEnd(out, (await throughStages(invocation, sending, read)).stage);
  }, 'client');
}

async function tellEnd(out: Invocation['out'], { closed, claimFrom }: ReturnType<typeof stageOf>): Promise<void> {
  if (closed) await out.line('closed');
  else if (claimFrom === null) await out.note('the rest is owed and cannot be paid now: run the same command again when the proxy contract has stake');
  else await out.note(`run the same command again from ${chainTime(claimFrom)} on`);
}

