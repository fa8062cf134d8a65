// The reckoning of the money after everything came to rest: what clients and nodes saw themselves, their books, the proxies'
// ledgers and the contracts, side by side. Bounds (documented): a client pays for answers that it got, and for requests whose end
// it did not see at most what was put aside for them; a node works unpaid at most for what it lends a proxy, and is paid beyond what it
// wrote down only for parts of answers that it had announced and that were under way when it was killed (node-work.ts).
import { existsSync, readFileSync } from 'node:fs';
import type { Address } from '@ton/core';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import { parsePayment } from '../../src/chain/signed-payment.ts';
import { PARAMS } from './create-world.ts';
import { readLedger } from './ledger-reading.ts';
import { lostWork, overbooked } from './node-work.ts';
import { clientBook, MAX_OWED_NANO, nodeBook, truthFile, walletOf } from './world.ts';
import type { BookEntry } from '../../src/chain/payment-entry.ts';
import type { ChildOnChain } from './audit-chain.ts';
import type { NodeKill, ProxyKill } from './harness.ts';
import type { LedgerRow } from './ledger-reading.ts';
import type { Truth } from './messages.ts';
import type { LostWork } from './node-work.ts';
import type { World } from './world.ts';

/** An answer may end so long before its proxy dies and still not be booked: the booking is written after the answer, and machines are slow. */
const UNBOOKED_MS = 6_000;
/** An end that the proxy sent before it died may be read so long after. */
const LATE_MS = 6_000;

export interface MoneySummary {
  /** Adjusted tokens of complete answers, as the clients saw them. */
  readonly deliveredTokens: bigint;
  /** Booked by the ledgers, charged to the clients' contracts, paid by the workers' contracts. */
  readonly bookedTokens: bigint;
  readonly chargedTokens: bigint;
  readonly paidTokens: bigint;
  /** Answers that clients got and no ledger knows: what killed proxies had not written yet. */
  readonly unbookedTokens: bigint;
  /** Booked for answers whose end no client saw, and the most that could have been. */
  readonly unfinishedTokens: bigint;
  readonly unfinishedBoundTokens: bigint;
  /** Booked for nodes beyond what they wrote down, because they were killed, and the most that could have been. */
  readonly lostTokens: bigint;
  readonly lostBoundTokens: bigint;
  /** Most that any one node worked for one proxy without being paid, and the bound. */
  readonly worstUnpaidTokens: bigint;
  readonly unpaidBoundTokens: bigint;
  readonly payments: number;
}

const readTruth = (world: World, who: 'client' | 'node', index: number): Truth[] => {
  const file = truthFile(world, who, index);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Truth);
};

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const sum = (all: readonly bigint[]): bigint => all.reduce((total, each) => total + each, 0n);
const rawOf = (address: Address): string => address.toRawString();

/** What one side saw of one contract. */
interface Seen {
  done: bigint;
  /** Ended so close to a death of the proxy that it may not be booked. */
  doubtful: bigint;
  /** Most that unfinished requests may have cost. */
  open: bigint;
  told: { db: bigint; max: bigint };
}

class Reckoning {
  readonly violations: string[] = [];
  /** Meaning of each query id of each key, and bytes of each total: nothing is signed twice with different meaning. */
  readonly #meanings = new Map<string, string>();
  readonly #world: World;
  readonly #ends: readonly ProxyKill[];

  constructor(world: World, ends: readonly ProxyKill[]) {
    this.#world = world;
    this.#ends = ends;
  }

  get payments(): number {
    return this.#meanings.size;
  }

  expect(holds: boolean, text: string): void {
    if (!holds) this.violations.push(text);
  }

  /** Adds up the lines about one contract of one proxy. Totals that are told never go back. */
  seen(lines: readonly Truth[], proxy: number, contract: string): Seen {
    const seen: Seen = { done: 0n, doubtful: 0n, open: 0n, told: { db: 0n, max: 0n } };
    const begun = new Map<string, bigint>();
    const count = (tokens: string, at: number): void => {
      seen.done += BigInt(tokens);
      if (this.#ends.some((end) => end.proxy === proxy && at > end.at - UNBOOKED_MS && at < end.at + LATE_MS)) seen.doubtful += BigInt(tokens);
    };
    for (const line of lines) {
      if (!('contract' in line) || line.contract !== contract) continue;
      switch (line.t) {
        case 'begin': begun.set(line.m, BigInt(line.reserved)); break;
        case 'unsent': begun.delete(line.m); break;
        case 'end':
          this.expect(begun.delete(line.m), `${contract}: an answer ended twice`);
          count(line.tokens, line.at);
          break;
        case 'work': count(line.tokens, line.at); break;
        case 'told':
          // The answer to a poll may be overtaken by messages about requests.
          this.expect(line.poll || BigInt(line.db) >= seen.told.db, `${contract} was told ${line.db} booked tokens after ${seen.told.db}`);
          seen.told = { db: larger(seen.told.db, BigInt(line.db)), max: larger(seen.told.max, BigInt(line.max)) };
          break;
        case 'pay': this.payment(new Uint8Array(Buffer.from(line.boc, 'base64'))); break;
      }
    }
    seen.open = sum([...begun.values()]);
    return seen;
  }

  payment(boc: Uint8Array): void {
    const { claim } = parsePayment(boc);
    const { kind, contract, queryId } = claim;
    const tokens = 'tokens' in claim ? claim.tokens : 0n;
    const meaning = `${kind} ${rawOf(contract)} ${tokens}`;
    const proxy = this.#world.proxies.length === 0 ? '' : rawOf(contract);
    for (const [name, value] of [[`id ${proxy} ${queryId}`, meaning], [`total ${meaning}`, Buffer.from(boc).toString('hex')]] as const) {
      const before = this.#meanings.get(name);
      this.expect(before === undefined || before === value, `${name} was signed with two meanings: ${before} and ${value}`);
      this.#meanings.set(name, value);
    }
  }
}

interface Side {
  readonly name: string;
  readonly row: LedgerRow;
  readonly seen: Seen;
  readonly entry: BookEntry | null;
  readonly onChain: ChildOnChain | null;
}

function auditClient(reckoning: Reckoning, { name, row, seen, entry, onChain }: Side): void {
  const used = onChain?.tokens ?? 0n;
  reckoning.expect(used === row.signed && row.signed === row.db, `${name}: charged ${used}, signed ${row.signed}, booked ${row.db} tokens`);
  reckoning.expect(seen.told.db <= row.db, `${name} was told ${seen.told.db} booked tokens, the ledger has ${row.db}`);
  reckoning.expect(row.db <= seen.done + seen.open, `${name} pays for ${row.db} tokens; ${seen.done} were delivered and at most ${seen.open} may be unfinished`);
  reckoning.expect(row.db >= seen.done - seen.doubtful, `${name} got ${seen.done} tokens, ${seen.doubtful} of them just before a death; only ${row.db} are booked`);
  if (entry === null) return reckoning.expect(row.db === 0n, `${name} has no entry in its book`);
  reckoning.expect(entry.signedTokens === row.signed, `${name}: its book has ${entry.signedTokens} signed tokens, the proxy signed ${row.signed}`);
  reckoning.expect(row.db <= entry.countedTokens + entry.openTokens, `${name} counted ${entry.countedTokens} and ${entry.openTokens} open tokens, billed are ${row.db}`);
  reckoning.expect(entry.countedTokens <= seen.done + seen.open, `${name} counted ${entry.countedTokens} tokens, got ${seen.done} and at most ${seen.open}`);
}

interface WorkerSide extends Side {
  readonly lost: LostWork;
}

function auditWorker(reckoning: Reckoning, { name, row, seen, lost, entry, onChain }: WorkerSide, boundTokens: bigint): void {
  const paid = onChain?.tokens ?? 0n;
  reckoning.expect(paid === row.signed && row.signed === row.db, `${name}: paid ${paid}, signed ${row.signed}, booked ${row.db} tokens`);
  reckoning.expect(seen.told.db <= row.db, `${name} was told ${seen.told.db} booked tokens, the ledger has ${row.db}`);
  reckoning.expect(seen.done - paid <= boundTokens, `${name} worked ${seen.done} tokens and was paid ${paid}, the bound is ${boundTokens}`);
  for (const problem of [...lost.strays, overbooked(name, row.db, seen.done, lost)]) if (problem !== null) reckoning.expect(false, problem);
  if (entry === null) return reckoning.expect(row.db === 0n, `${name} has no entry in its book`);
  reckoning.expect(entry.signedTokens === row.signed, `${name}: its book has ${entry.signedTokens} signed tokens, the proxy signed ${row.signed}`);
  // Work that a broken connection cut short may be counted twice: as the proxy booked it, and when the engine has stopped.
  reckoning.expect(entry.countedTokens >= row.db && entry.countedTokens <= larger(seen.done, seen.told.max) + boundTokens, `${name} counted ${entry.countedTokens} tokens, worked ${seen.done}, was told ${seen.told.max}, booked are ${row.db}`);
}

/** How processes ended. */
export interface Ends {
  readonly proxyEnds: readonly ProxyKill[];
  readonly nodeKills: readonly NodeKill[];
}

/** `children`: the child contracts on chain by raw address. */
export async function auditMoney(world: World, { proxyEnds, nodeKills }: Ends, children: ReadonlyMap<string, ChildOnChain>): Promise<{ readonly violations: readonly string[]; readonly summary: MoneySummary }> {
  const reckoning = new Reckoning(world, proxyEnds);
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
  const owners = new Map<string, { readonly who: 'client' | 'node'; readonly index: number; readonly lines: readonly Truth[]; readonly book: readonly BookEntry[] }>();
  for (const index of numbers(world.size.clients)) {
    const book = await openPaymentBook(clientBook(world, index));
    owners.set(rawOf(walletOf(world, `client-wallet-${index}`).kind.address), { who: 'client', index, lines: readTruth(world, 'client', index), book: await book.entries() });
  }
  for (const index of numbers(world.size.nodes)) {
    const book = await openPaymentBook(nodeBook(world, index));
    owners.set(rawOf(walletOf(world, `node-owner-${index}`).kind.address), { who: 'node', index, lines: readTruth(world, 'node', index), book: await book.entries() });
  }
  const clients: Side[] = [];
  const workers: WorkerSide[] = [];
  for (const proxy of numbers(world.size.proxies)) {
    const rows = await readLedger(world, proxy) ?? [];
    for (const row of rows) {
      const owner = owners.get(row.owner);
      if (owner === undefined || (owner.who === 'client') !== (row.kind === 'client')) {
        reckoning.expect(false, `the ledger of proxy ${proxy} has an account of a stranger, ${row.owner}`);
        continue;
      }
      if (row.payment !== '') reckoning.payment(new Uint8Array(Buffer.from(row.payment, 'hex')));
      const side: Side = {
        name: `${owner.who} ${owner.index} at proxy ${proxy}`, row, seen: reckoning.seen(owner.lines, proxy, row.contract),
        entry: owner.book.find(({ contract }) => rawOf(contract) === row.contract) ?? null, onChain: children.get(row.contract) ?? null,
      };
      if (owner.who === 'client') clients.push(side);
      else workers.push({ ...side, lost: lostWork(owner.lines, row.contract, nodeKills.flatMap(({ node, at }) => node === owner.index ? [at] : [])) });
    }
    const [booked, earned] = (['client', 'worker'] as const).map((kind) => sum(rows.flatMap((row) => row.kind === kind ? [row.db] : [])));
    reckoning.expect(booked === earned, `proxy ${proxy} booked ${booked} tokens for clients and ${earned} for workers`);
  }
  const lent = MAX_OWED_NANO / PARAMS.workerFeePerTokenNano;
  for (const side of clients) auditClient(reckoning, side);
  // One hundredth of the count may stay in dispute; requests that run when the limit is reached are finished: 1,000 tokens are more than ever ran.
  for (const side of workers) auditWorker(reckoning, side, lent + side.seen.done / 100n + 1_000n);
  const delivered = sum(clients.map(({ seen }) => seen.done));
  const unpaid = workers.map(({ seen, onChain }) => larger(0n, seen.done - (onChain?.tokens ?? 0n)));
  return {
    violations: reckoning.violations,
    summary: {
      deliveredTokens: delivered, bookedTokens: sum(clients.map(({ row }) => row.db)), chargedTokens: sum(clients.map(({ onChain }) => onChain?.tokens ?? 0n)),
      paidTokens: sum(workers.map(({ onChain }) => onChain?.tokens ?? 0n)), unbookedTokens: sum(clients.map(({ row, seen }) => larger(0n, seen.done - row.db))),
      unfinishedTokens: sum(clients.map(({ row, seen }) => larger(0n, row.db - seen.done))), unfinishedBoundTokens: sum(clients.map(({ seen }) => seen.open)),
      lostTokens: sum(workers.map(({ row, seen }) => larger(0n, row.db - seen.done))), lostBoundTokens: sum(workers.map(({ lost }) => lost.tokens)),
      worstUnpaidTokens: unpaid.reduce(larger, 0n), unpaidBoundTokens: lent, payments: reckoning.payments,
    },
  };
}
