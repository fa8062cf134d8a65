// The reckoning of the chain: its journal read from the first block to the last. In every block each account's balance changes by
// exactly what came, what left and what fees took; nothing is made or lost over all; and at the end of every block the pool of
// each proxy holds what its clients still have and what its workers are still to be paid (ONCHAIN.md section 13, H1).
import { join } from 'node:path';
import { Address, Cell, loadMessage, loadShardAccount, loadTransaction } from '@ton/core';
import type { Message, Transaction } from '@ton/core';
import { clientStorage, proxyStorage, workerStorage } from '../../src/chain/cells/storage.ts';
import { Journal } from '../../src/chain/local/journal.ts';
import { parseJournalRecord } from '../../src/chain/local/records.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { clientDeployment, workerDeployment } from '../../src/chain/addresses.ts';
import { silentLog } from '../../src/core/log.ts';
import { chainFolder, secretOf, walletOf } from './world.ts';
import type { BlockRecord } from '../../src/chain/local/records.ts';
import type { Params } from '../../src/chain/cells/params.ts';
import type { World } from './world.ts';

/** A client or worker contract as the last block has it. */
export interface ChildOnChain {
  readonly kind: 'client' | 'worker';
  readonly proxy: number;
  readonly tokens: bigint;
  /** Clients only. */
  readonly balanceNano: bigint;
}

export interface ChainSummary {
  readonly blocks: number;
  readonly transactions: number;
  readonly feesNano: bigint;
  /** Least that a pool ever held beyond what it owed. */
  readonly leastSpareNano: bigint | null;
  /** Received by the nodes' owners. */
  readonly ownersNano: bigint;
}

interface AccountNow {
  readonly balanceNano: bigint;
  readonly data: Cell | null;
}

function accountOf(boc: string): AccountNow {
  const { account } = loadShardAccount(Cell.fromBase64(boc).beginParse());
  const state = account?.storage.state;
  return { balanceNano: account?.storage.balance.coins ?? 0n, data: state?.type === 'active' ? state.state.data ?? null : null };
}

/** Value of a message and the fee that it carries to its destination. */
const carried = ({ info }: Message): { readonly value: bigint; readonly fee: bigint } =>
  info.type === 'internal' ? { value: info.value.coins, fee: info.forwardFee } : { value: 0n, fee: 0n };

class ChainReckoning {
  readonly violations: string[] = [];
  readonly accounts = new Map<string, AccountNow>();
  readonly children = new Map<string, ChildOnChain>();
  readonly #childOf = new Map<string, { readonly kind: 'client' | 'worker'; readonly proxy: number }>();
  readonly #world: World;
  #params: Params | null = null;
  #madeNano = 0n;
  #pending: readonly string[] = [];
  feesNano = 0n;
  blocks = 0;
  transactions = 0;
  leastSpareNano: bigint | null = null;

  constructor(world: World) {
    this.#world = world;
  }

  genesis(accounts: Readonly<Record<string, string>>): void {
    for (const [raw, boc] of Object.entries(accounts)) this.accounts.set(raw, accountOf(boc));
    this.#madeNano = this.#total();
  }

  block({ seqno, transactions, accounts, pending }: BlockRecord): void {
    this.blocks += 1;
    this.transactions += transactions.length;
    const moved = new Map<string, bigint>();
    for (const { account, boc } of transactions) {
      const transaction = loadTransaction(Cell.fromBase64(boc).beginParse());
      moved.set(account, (moved.get(account) ?? 0n) + this.#change(transaction));
    }
    for (const [raw, boc] of Object.entries(accounts)) {
      const before = this.accounts.get(raw)?.balanceNano ?? 0n;
      const now = accountOf(boc);
      if (now.balanceNano !== before + (moved.get(raw) ?? 0n)) this.violations.push(`block ${seqno}: balance of ${raw} went from ${before} to ${now.balanceNano}, its messages and fees say ${before + (moved.get(raw) ?? 0n)}`);
      this.accounts.set(raw, now);
      this.#child(raw, now);
    }
    this.#pending = pending;
    if (pending.length === 0) this.#pools(seqno);
  }

  /** By how much a transaction changes its account, counting the fees that leave the accounts. */
  #change({ inMessage, outMessages, totalFees }: Transaction): bigint {
    const came = inMessage === null || inMessage === undefined ? { value: 0n, fee: 0n } : carried(inMessage);
    const left = outMessages.values().map(carried);
    this.feesNano += totalFees.coins + came.fee;
    return came.value - totalFees.coins - left.reduce((sum, { value, fee }) => sum + value + fee, 0n);
  }

  /** Nothing is made or lost: accounts, messages on their way and fees are what the first block had. */
  conserve(): void {
    const onTheWay = this.#pending.reduce((sum, boc) => {
      const { value, fee } = carried(loadMessage(Cell.fromBase64(boc).beginParse()));
      return sum + value + fee;
    }, 0n);
    const now = this.#total() + onTheWay + this.feesNano;
    if (now !== this.#madeNano) this.violations.push(`the chain began with ${this.#madeNano} nanoTON and has ${now}`);
  }

  #total(): bigint {
    return [...this.accounts.values()].reduce((sum, { balanceNano }) => sum + balanceNano, 0n);
  }

  #child(raw: string, { data }: AccountNow): void {
    const proxy = this.#world.proxies.findIndex(({ contract }) => contract === raw);
    if (proxy >= 0 && data !== null && this.#params === null) {
      this.#params = proxyStorage.load(data).params;
      this.#derive(this.#params);
    }
    const known = this.#childOf.get(raw);
    if (known === undefined || data === null) return;
    if (known.kind === 'client') {
      const { tokensUsed, balanceNano } = clientStorage.load(data);
      this.children.set(raw, { ...known, tokens: tokensUsed, balanceNano });
    } else this.children.set(raw, { ...known, tokens: workerStorage.load(data).tokens, balanceNano: 0n });
  }

  /** Where the contracts of all clients and nodes are. */
  #derive(params: Params): void {
    const { size: { clients, nodes, proxies } } = this.#world;
    for (let proxy = 0; proxy < proxies; proxy += 1) {
      const { publicKey } = signerOfSeed(secretOf(this.#world, `payment-${proxy}`));
      const contract = this.#world.proxies[proxy]?.contract ?? '';
      const identity = { proxy: Address.parseRaw(contract), proxyPublicKey: publicKey, params };
      for (let client = 0; client < clients; client += 1) this.#childOf.set(clientDeployment({ ...identity, owner: walletOf(this.#world, `client-wallet-${client}`).kind.address }).address.toRawString(), { kind: 'client', proxy });
      for (let node = 0; node < nodes; node += 1) this.#childOf.set(workerDeployment({ ...identity, owner: walletOf(this.#world, `node-owner-${node}`).kind.address }).address.toRawString(), { kind: 'worker', proxy });
    }
  }

  #pools(seqno: number): void {
    const params = this.#params;
    if (params === null) return;
    for (const [proxy, { contract }] of this.#world.proxies.entries()) {
      const account = this.accounts.get(contract);
      if (account?.data === null || account === undefined) continue;
      const { balanceNano, stakeNano } = proxyStorage.load(account.data);
      const own = [...this.children.values()].filter((child) => child.proxy === proxy);
      const poolNano = account.balanceNano - balanceNano - stakeNano;
      // Charged and not paid out yet stays in the pool, and so does what clients have left. A payout may come before the charge.
      const owedNano = own.reduce((sum, child) => sum + (child.kind === 'client' ? child.balanceNano + child.tokens * params.pricePerTokenNano : -child.tokens * params.pricePerTokenNano), 0n);
      const spareNano = poolNano - owedNano;
      if (spareNano < 0n) this.violations.push(`block ${seqno}: the pool of proxy ${proxy} has ${poolNano} nanoTON and owes ${owedNano}`);
      if (this.leastSpareNano === null || spareNano < this.leastSpareNano) this.leastSpareNano = spareNano;
    }
  }
}

/** To be called when the chain has stopped. */
export async function auditChain(world: World): Promise<{ readonly violations: readonly string[]; readonly children: ReadonlyMap<string, ChildOnChain>; readonly summary: ChainSummary }> {
  const reckoning = new ChainReckoning(world);
  const journal = await Journal.open(join(chainFolder(world), 'journal'), (value) => {
    const record = parseJournalRecord(value);
    if (record.type === 'genesis') reckoning.genesis(record.accounts);
    if (record.type === 'block') reckoning.block(record);
  }, silentLog);
  await journal.close();
  reckoning.conserve();
  // What the nodes' owners have is what their contracts paid, to the nanoTON: nobody else sends them anything.
  let ownersNano = 0n;
  for (let node = 0; node < world.size.nodes; node += 1) ownersNano += reckoning.accounts.get(walletOf(world, `node-owner-${node}`).kind.address.toRawString())?.balanceNano ?? 0n;
  const { violations, children, blocks, transactions, feesNano, leastSpareNano } = reckoning;
  return { violations, children, summary: { blocks, transactions, feesNano, leastSpareNano, ownersNano } };
}
