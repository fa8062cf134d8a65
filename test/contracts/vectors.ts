// Replays the golden vectors (test/vectors/onchain) on our contracts: exit code, action result, bounce, exact list of actions, storage.
// Gas-dependent fields are not compared. Cases that a rule of ONCHAIN.md section 13 changes are listed in hardened-cases.json.
import { readFileSync } from 'node:fs';
import { Address, Cell } from '@ton/core';
import type { Action, Tx } from './world.ts';
import { World } from './world.ts';
import { readProxy, splitPool } from './storage.ts';

const dir = new URL('../vectors/onchain/', import.meta.url);
export const readVectors = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, dir), 'utf8')) as T;

export const KINDS = ['root', 'proxy', 'client', 'worker', 'wallet'] as const;
export type Kind = (typeof KINDS)[number];

interface VectorAction {
  type: 'reserve' | 'send' | 'set_code' | 'malformed';
  mode?: number; amount?: string; dest?: string; bounce?: boolean; value?: string; body_boc?: string; code_hash?: string;
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
    case 'set_code': return `set_code ${action.code.hash().toString('hex')}`;
    case 'malformed': return 'malformed';
    case 'send': return `send ${action.value} to ${action.dest} mode ${action.mode & ~2} ${action.bounce ? 'bounceable' : 'plain'} ${action.body.hash().toString('hex').slice(0, 16)}`;
  }
}

/** The same text of a vector's action; `names` turns labels of the flows into addresses. */
export function theirs(action: VectorAction, names: (label: string) => string = (raw) => raw): string {
  switch (action.type) {
    case 'reserve': return `reserve ${action.amount} mode ${action.mode}`;
    case 'set_code': return `set_code ${action.code_hash ?? ''}`;
    case 'malformed': return 'malformed';
    case 'send': {
      const body = Cell.fromHex(action.body_boc ?? '').hash().toString('hex').slice(0, 16);
      return `send ${action.value} to ${names(action.dest ?? '')} mode ${(action.mode ?? 0) & ~2} ${action.bounce === true ? 'bounceable' : 'plain'} ${body}`;
    }
  }
}

export const actionTexts = (actions: Action[]): string[] => actions.map(ours);

/** What a case does on our contracts, for the cases that a rule changes. */
export interface Outcome { exit: number | undefined; action: number | undefined; bounce: string | undefined; actions: string[]; storage: string }

/** Runs one case and tells what came of it; storage as `unchanged` or the hash of the new cell. */
export async function unitOutcome(c: UnitCase, code: Cell): Promise<Outcome> {
  const world = await World.create('dear', c.now);
  const address = Address.parseRaw(c.address);
  const before = Cell.fromHex(c.data_boc);
  world.install(address, code, before, BigInt(c.balance));
  const body = Cell.fromHex(c.message.body_boc);
  let tx: Tx | undefined;
  if (c.message.from === undefined) {
    const result = await world.external(address, body);
    if ('tx' in result) tx = result.tx;
  } else {
    tx = await world.deliver(world.message({ from: Address.parseRaw(c.message.from), to: address, value: BigInt(c.message.value ?? '0'), body }));
  }
  if (tx === undefined) throw new Error(`${c.id} was not executed`);
  const after = world.data(address);
  return {
    exit: tx.exit, action: tx.actionResult, bounce: tx.bounce, actions: actionTexts(tx.actions),
    storage: same(before, after) ? 'unchanged' : after.hash().toString('hex'),
  };
}

/** What a proxy must have stored as its pool (H9): what the account holds after the message, less balance and stake. */
export async function poolAfter(c: UnitCase, code: Cell): Promise<{ stored: bigint | undefined; expected: bigint }> {
  const world = await World.create('dear', c.now);
  const address = Address.parseRaw(c.address);
  world.install(address, code, Cell.fromHex(c.data_boc), BigInt(c.balance));
  const { from, value, body_boc: body } = c.message;
  await world.deliver(world.message({ from: Address.parseRaw(from ?? ''), to: address, value: BigInt(value ?? '0'), body: Cell.fromHex(body) }));
  const { balance, stake, pool } = readProxy(world.data(address));
  return { stored: pool, expected: world.balance(address) - balance - stake };
}

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

interface Hardened {
  unit: Record<string, { rule: string; note: string; expected: Partial<Outcome> }>;
  pool: { cases: string[] };
  flows: Record<string, string>;
}

/** The one list of cases that a rule changes. */
export const hardened = JSON.parse(readFileSync(new URL('hardened-cases.json', import.meta.url), 'utf8')) as Hardened;

/** Replays one case against the vector, or against the list where a rule changes it; empty when all is as it must be. */
export async function checkUnit(kind: Kind, c: UnitCase, code: Cell): Promise<string[]> {
  const changed = hardened.unit[c.id];
  if (changed !== undefined) {
    const got = JSON.stringify(await unitOutcome(c, code));
    return got === JSON.stringify(changed.expected) ? [] : [`outcome is ${got}, expected ${JSON.stringify(changed.expected)}`];
  }
  const problems = await replayUnit(kind, c, code);
  if (!hardened.pool.cases.includes(c.id)) return problems;
  const { stored, expected } = await poolAfter(c, code);
  const others = problems.filter((problem) => problem !== POOL_FIELD);
  return stored === expected && others.length < problems.length ? others : [...others, `pool is ${stored}, expected ${expected}`];
}

const POOL_FIELD = 'storage is with a pool field (H9), expected without';

interface FlowTx {
  account: string;
  compute?: { exit_code?: number; skipped?: string };
  action?: { result_code: number };
  bounce?: string;
  actions?: VectorAction[];
  data_after?: string;
}

export interface FlowStep {
  do: 'install_sinks' | 'install' | 'label' | 'set_now' | 'send' | 'external';
  label?: string;
  labels?: { label: string; address: string }[];
  kind?: Kind;
  address?: string;
  data_boc?: string;
  balance?: string;
  now?: number;
  desc?: string;
  to?: string;
  from?: string;
  value?: string;
  bounce?: boolean;
  body_boc?: string;
  result?: {
    rejected_external?: boolean;
    exit_code?: number;
    transactions?: FlowTx[];
    after?: Record<string, { balance: string; data_boc?: string; get?: Record<string, unknown> }>;
  };
}

export const FLOWS = ['01_normal_life', '02_forced_refund', '10_one_nano_notifications', '11_wallet', '12_root_admin', '13_storage_exhaustion', '14_griefing_small_claims'];

/** Reserves and explicit values of a flow follow from balances, which follow from rent and so from the size of the code. */
const RENT_TOLERANCE = 60_000_000n;

const rounded = (texts: string[], wanted: VectorAction[]): string[] => texts.map((text, i) => {
  const want = wanted[i];
  const got = /^reserve (-?\d+) mode (\d+)$/.exec(text);
  if (got === null || want?.type !== 'reserve') return text;
  const difference = BigInt(got[1] ?? 0) - BigInt(want.amount ?? 0);
  return difference <= RENT_TOLERANCE && difference >= -RENT_TOLERANCE ? `reserve ${want.amount} mode ${got[2]}` : text;
});

/**
 * Runs one flow, each step from the state that the vector's step before it left, so that a difference shows in the step that
 * makes it and in no other. Returns what differs, by the description of the step.
 */
export async function replayFlow(name: string, codes: Record<Kind, Cell>): Promise<Map<string, string[]>> {
  const { steps } = readVectors<{ steps: FlowStep[] }>(`flow_${name}.json`);
  const world = await World.create('dear', steps.find((s) => s.now !== undefined)?.now ?? 0);
  const book = new Map<string, { address: Address; kind: Kind | undefined }>();
  const differences = new Map<string, string[]>();
  for (const step of steps) {
    for (const sink of step.labels ?? []) book.set(sink.label, { address: Address.parseRaw(sink.address), kind: undefined });
    if (step.now !== undefined) world.now = step.now;
    if (step.do === 'label' && step.label !== undefined) book.set(step.label, { address: Address.parseRaw(step.address ?? ''), kind: undefined });
    if (step.do === 'install' && step.kind !== undefined) {
      const address = Address.parseRaw(step.address ?? '');
      book.set(step.label ?? '', { address, kind: step.kind });
      world.install(address, codes[step.kind], Cell.fromHex(step.data_boc ?? ''), BigInt(step.balance ?? '0'));
    }
    if (step.do !== 'send' && step.do !== 'external') continue;
    const problems = await runFlowStep(step, world, book);
    if (problems.length > 0) differences.set(step.desc ?? '', problems);
    for (const [label, { balance, data_boc: data }] of Object.entries(step.result?.after ?? {})) {
      const contract = book.get(label);
      if (contract?.kind !== undefined && data !== undefined) world.install(contract.address, codes[contract.kind], Cell.fromHex(data), BigInt(balance));
    }
  }
  return differences;
}

async function runFlowStep(step: FlowStep, world: World, book: Map<string, { address: Address; kind: Kind | undefined }>): Promise<string[]> {
  const addressOf = (label: string): Address => book.get(label)?.address ?? Address.parseRaw(label);
  const to = addressOf(step.to ?? '');
  const body = Cell.fromHex(step.body_boc ?? '');
  const problems: string[] = [];
  const compare: Compare = (what, got, want) => {
    if (got !== want) problems.push(`${what} is ${String(got)}, expected ${String(want)}`);
  };
  let txs: Tx[];
  if (step.do === 'external') {
    const result = await world.external(to, body);
    if ('rejected' in result) {
      compare('rejected with', result.rejected, step.result?.rejected_external === true ? step.result.exit_code : 'an accepted external');
      return problems;
    }
    if (step.result?.rejected_external === true) return ['accepted, expected a refusal'];
    txs = [result.tx, ...await world.settle([...result.tx.out])];
  } else {
    txs = await world.send({ from: addressOf(step.from ?? ''), to, value: BigInt(step.value ?? '0'), body, bounce: step.bounce ?? true });
  }
  const contracts = new Set([...book.values()].filter((c) => c.kind !== undefined).map((c) => c.address.toRawString()));
  const wanted = (step.result?.transactions ?? []).filter((tx) => contracts.has(addressOf(tx.account).toRawString()));
  compare('number of transactions', txs.length, wanted.length);
  for (const [i, want] of wanted.entries()) {
    const tx = txs[i];
    if (tx === undefined) break;
    const at = (what: string): string => `${want.account}: ${what}`;
    compare(at('account'), tx.account, addressOf(want.account).toRawString());
    compare(at('exit code'), tx.exit, want.compute?.exit_code);
    compare(at('action result'), tx.actionResult, want.action?.result_code);
    compare(at('bounce'), tx.bounce, want.bounce);
    const actions = want.actions ?? [];
    compare(at('actions'), rounded(actionTexts(tx.actions), actions).join('; '), actions.map((a) => theirs(a, (label) => addressOf(label).toRawString())).join('; '));
  }
  for (const [label, { data_boc: data }] of Object.entries(step.result?.after ?? {})) {
    const contract = book.get(label);
    if (contract?.kind === undefined || data === undefined) continue;
    const after = contract.kind === 'proxy' ? splitPool(world.data(contract.address)).leading : world.data(contract.address);
    if (!same(after, Cell.fromHex(data))) compare(`${label}: storage`, after.toString(), Cell.fromHex(data).toString());
  }
  return problems;
}
