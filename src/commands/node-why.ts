// `cocoon node why`: asks the proxies, through the node that runs here, why requests went to it or elsewhere.
import { z } from 'zod';
import { askAdmin } from './admin.ts';
import { declareDaemon } from './daemon.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const figures = z.object({ firstTokenMs: z.number(), tokensPerSecond: z.number(), coefficient: z.number(), parallel: z.number() });

/** What a proxy says to a node about itself; see the routing's NodeView. Fields that a later version adds are let through. */
const View = z.object({
  considered: z.number(), chosen: z.number(), passedOver: z.record(z.string(), z.number()), own: figures, median: figures.nullable(),
  reputation: z.object({ success: z.number(), promise: z.number(), metering: z.number(), verification: z.number(), overall: z.number() }),
  bondNano: z.string(), restingMs: z.number(), meanBehindMs: z.number().nullable(), advice: z.array(z.string().max(1_000)).max(50),
});

/** What the node's admin endpoint answers: one entry a proxy. */
export const WhyAnswer = z.array(z.object({ proxy: z.string(), state: z.string(), view: z.unknown().nullable(), problem: z.string().nullable() }));
export type WhyAnswer = z.infer<typeof WhyAnswer>;

export function declare(command: Command): void {
  declareDaemon(command);
}

const ms = (value: number): string => `${Math.round(value)} ms`;

export async function run(invocation: Invocation): Promise<void> {
  const { out } = invocation;
  const answers = (await askAdmin(invocation, 'node', '/why', WhyAnswer)).map((answer) => {
    const parsed = View.safeParse(answer.view);
    return { ...answer, view: parsed.success ? parsed.data : null, problem: answer.problem ?? (answer.view !== null && !parsed.success ? 'the proxy\'s answer is not understood' : null) };
  });
  out.result({ proxies: answers });
  for (const { proxy, state, view, problem } of answers) {
    await out.line(`proxy ${proxy}: ${problem ?? state}`);
    if (view === null) continue;
    const { own, median, reputation, passedOver } = view;
    await out.text(await renderTable(['', 'THIS NODE', 'MEDIAN'], [
      ['first token', ms(own.firstTokenMs), median === null ? '-' : ms(median.firstTokenMs)],
      ['tokens per second', own.tokensPerSecond.toFixed(1), median === null ? '-' : median.tokensPerSecond.toFixed(1)],
      ['price', `×${own.coefficient / 1_000}`, median === null ? '-' : `×${median.coefficient / 1_000}`],
      ['requests at once', String(own.parallel), median === null ? '-' : String(median.parallel)],
    ]));
    await out.line(`chosen ${view.chosen} of ${view.considered} times${view.meanBehindMs === null ? '' : `, otherwise ${ms(view.meanBehindMs)} behind on average`}`);
    await out.line(`reputation ${reputation.overall.toFixed(2)}: success ${reputation.success.toFixed(2)}, promise ${reputation.promise.toFixed(2)}, metering ${reputation.metering.toFixed(2)}, verification ${reputation.verification.toFixed(2)}`);
    const reasons = Object.entries(passedOver).sort(([, a], [, b]) => b - a).map(([reason, times]) => `${reason} ${times}`);
    if (reasons.length > 0) await out.line(`passed over: ${reasons.join(', ')}`);
    for (const advice of view.advice) await out.line(advice);
  }
}
