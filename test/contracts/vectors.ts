// Replays the golden vectors (test/vectors/onchain) on our contracts: exit code, action result, bounce, exact list of actions, storage.
// Gas-dependent fields are not compared. Cases that a rule of ONCHAIN.md section 13 changes are listed in hardened-cases.json.
import { readFileSync } from 'node:fs';
import { Address, Cell } from '@ton/core';
import type { Action, Tx } from './world.ts';
import { World } from './world.ts';
import { splitPool } from './storage.ts';

const dir = new URL('../vectors/onchain/', import.meta.url);
export const readVectors = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, dir), 'utf8')) as T;

export const KINDS = ['root', 'proxy', 'client', 'worker', 'wallet'] as const;
export type Kind = (typeof KINDS)[number];

interface VectorAction {
  type: 'reserve' | 'send' | 'set_code' | 'malformed';
  mode?: number; amount?: string; dest?: string; bounce?: boolean; value?: string; body_boc?: string; code_hash?: string; new_code_hash?: string;
}

export interface UnitCase {
  id: string;
  address: string;
  balance: string;
  now: number;
  data_boc: string;
  message: { from?: string; value?: string; bounce?: boolean; bounced?: boolean; body_boc: string; external?: boolean };
  expected: {
    compute?: { exit_code?: number; skipped?: string };
    rejected_external?: boolean;
    exit_code?: number;
    action?: { result_code: number };
    aborted?: boolean;
    bounce?: string;
    actions?: VectorAction[];
    data_after?: string;
    data_unchanged?: boolean;
  };
}

export const unitCases = (kind: Kind): UnitCase[] => readVectors<{ cases: UnitCase[] }>(`unit_${kind}.json`).cases;

const same = (a: Cell, b: Cell): boolean => a.equals(b);

/** Text of an action for comparison; send modes without bit 2 (ignore errors), as section 14 says. */
function ours(action: Action): string {
  switch (action.type) {
    case 'reserve': return `reserve ${action.amount} mode ${action.mode}`;
    case 'set_code': return 'set_code';
    case 'malformed': return 'malformed';
    case 'send': return `send ${action.value} to ${action.dest} mode ${action.mode & ~2} ${action.bounce ? 'bounceable' : 'plain'} ${action.body.hash().toString('hex').slice(0, 16)}`;
  }
}

/** The same text of a vector's action; `names` turns labels of the flows into addresses. */
export function theirs(action: VectorAction, names: (label: string) => string = (raw) => raw): string {
  switch (action.type) {
    case 'reserve': return `reserve ${action.amount} mode ${action.mode}`;
    case 'set_code': return 'set_code';
    case 'malformed': return 'malformed';
    case 'send': {
      const body = Cell.fromHex(action.body_boc ?? '').hash().toString('hex').slice(0, 16);
      return `send ${action.value} to ${names(action.dest ?? '')} mode ${(action.mode ?? 0) & ~2} ${action.bounce === true ? 'bounceable' : 'plain'} ${body}`;
    }
  }
}

export const actionTexts = (actions: Action[]): string[] => actions.map(ours);

/** Runs one case on `code`; the list of what differs is empty when all is as the vector says. */
export async function replayUnit(kind: Kind, c: UnitCase, code: Cell): Promise<string[]> {
  const world = await World.create('dear', c.now);
  const address = Address.parseRaw(c.address);
  const before = Cell.fromHex(c.data_boc);
  world.install(address, code, before, BigInt(c.balance));
  const body = Cell.fromHex(c.message.body_boc);
  const problems: string[] = [];
  const compare = (what: string, got: unknown, want: unknown): void => {
    if (got !== want) problems.push(`${what} is ${String(got)}, expected ${String(want)}`);
  };
  if (c.message.from === undefined) {
    const result = await world.external(address, body);
    if ('rejected' in result) {
      compare('rejected with', result.rejected, c.expected.rejected_external === true ? c.expected.exit_code : 'an accepted external');
      return problems;
    }
    if (c.expected.rejected_external === true) return ['accepted, expected a refusal'];
    compareTx(kind, c, result.tx, before, world.data(address), compare);
    return problems;
  }
  const { from, value, bounce, bounced } = c.message;
  const tx = await world.deliver(world.message({
    from: Address.parseRaw(from), to: address, value: BigInt(value ?? '0'), body, bounce: bounce ?? true, bounced: bounced ?? false,
  }));
  if (tx === undefined) return ['not executed'];
  compareTx(kind, c, tx, before, world.data(address), compare);
  return problems;
}

type Compare = (what: string, got: unknown, want: unknown) => void;

function compareTx(kind: Kind, c: UnitCase, tx: Tx, before: Cell, after: Cell, compare: Compare): void {
  const e = c.expected;
  compare('exit code', tx.exit, e.compute?.exit_code);
  compare('action result', tx.actionResult, e.action?.result_code);
  compare('bounce', tx.bounce, e.bounce);
  compare('aborted', tx.aborted, e.aborted ?? false);
  compare('actions', actionTexts(tx.actions).join('; '), (e.actions ?? []).map((a) => theirs(a)).join('; '));
  const wanted = e.data_after === undefined ? before : Cell.fromHex(e.data_after);
  const { leading, pool } = kind === 'proxy' ? splitPool(after) : { leading: after, pool: undefined };
  if (!same(leading, wanted)) compare('storage', leading.toString(), wanted.toString());
  if (pool !== undefined) compare('storage', 'with a pool field (H9)', 'without');
}
