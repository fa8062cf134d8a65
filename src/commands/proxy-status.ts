// `cocoon proxy status`: the proxy that runs here: its nodes, why it chose them for the last requests, and its ledger.
import { z } from 'zod';
import { formatTon } from '../core/units.ts';
import { askAdmin } from './admin.ts';
import { declareDaemon } from './daemon.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

const nano = z.string().regex(/^-?\d{1,30}$/);
const account = z.object({
  kind: z.enum(['client', 'worker']), owner: z.string(), contract: z.string(), accruedTokens: nano, durableTokens: nano, committedTokens: nano, signedTokens: nano, claimedTokens: nano,
  owedNano: nano, balanceNano: nano.nullable(), reservedTokens: nano.nullable(), state: z.string(),
});
const instance = z.object({
  contract: z.string(), phase: z.string(), paramsVersion: z.number(), earningsNano: nano.nullable(), stakeNano: nano.nullable(), closableFrom: z.number().nullable(), accounts: z.array(account),
});

/** What the proxy's admin endpoint answers. */
export const ProxyStatusAnswer = z.object({
  nodes: z.array(z.object({ id: z.number(), model: z.string(), enabled: z.boolean(), running: z.number(), capacity: z.number() })),
  choices: z.array(z.object({ choice: z.number(), atMs: z.number(), model: z.string(), reason: z.string().nullable(), refusal: z.string().nullable(), text: z.string() })),
  /** Null on networks without payments. */
  money: z.object({
    refusal: z.string().nullable(), instances: z.array(instance), chainAgeMs: z.number().nullable(),
    commitment: z.object({ seqno: z.number(), ageMs: z.number().nullable(), lagTokens: nano, problem: z.string().nullable() }),
  }).nullable(),
});
export type ProxyStatusAnswer = z.infer<typeof ProxyStatusAnswer>;

/** Choices that are shown. */
export const SHOWN_CHOICES = 20;

export function declare(command: Command): void {
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { out } = invocation;
  const status = await askAdmin(invocation, 'proxy', '/status', ProxyStatusAnswer);
  out.result(status satisfies JsonValue);
  const { nodes, choices, money } = status;
  await out.text(await renderTable(['NODE', 'MODEL', 'STATE', 'RUNNING'], nodes.map(({ id, model, enabled, running, capacity }) => [String(id), model, enabled ? 'enabled' : 'disabled', `${running} of ${capacity}`])));
  if (choices.length > 0) await out.text(`\n${await renderTable(['WHEN', 'MODEL', 'CHOICE'], choices.map(({ atMs, model, text }) => [new Date(atMs).toISOString(), model, text]))}`);
  if (money !== null) await out.text(`\n${await renderMoney(money)}`);
}

async function renderMoney({ refusal, instances, commitment }: NonNullable<ProxyStatusAnswer['money']>): Promise<string> {
  const parts = [
    `${refusal === null ? 'serving' : `not serving: ${refusal}`}; commitment ${commitment.seqno}, ${commitment.ageMs === null ? 'none by this process' : `${Math.round(commitment.ageMs / 1000)} s ago`}, ${commitment.lagTokens} tokens not committed${commitment.problem === null ? '' : `: ${commitment.problem}`}\n`,
  ];
  const ton = (amount: string | null): string => amount === null ? '?' : formatTon(BigInt(amount));
  for (const { contract, phase, stakeNano, earningsNano, accounts } of instances) {
    parts.push(`contract ${contract} ${phase}, stake ${ton(stakeNano)} TON, earnings ${ton(earningsNano)} TON\n`);
    if (accounts.length > 0) {
      parts.push(await renderTable(['WHO', 'OWNER', 'STATE', 'ACCRUED', 'SIGNED', 'CLAIMED', 'OWED TON', 'BALANCE TON'], accounts.map((one) => [
        one.kind, one.owner, one.state, one.accruedTokens, one.signedTokens, one.claimedTokens, ton(one.owedNano), one.balanceNano === null ? '-' : ton(one.balanceNano),
      ])));
    }
  }
  return parts.join('');
}
