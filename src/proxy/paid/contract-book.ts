// One proxy contract as the proxy follows it: its own state, its children's, what is reserved, who registered. Every change
// comes from a genuine child's message or an agreed read, and is in the ledger before anyone hears of it.
import type { Address, Transaction } from '@ton/core';
import { isZero } from '../../core/bytes.ts';
import { NetworkError } from '../../core/errors.ts';
import { clientStorage, proxyStorage, STATE, workerStorage } from '../../chain/cells/storage.ts';
import type { ProxyStorage } from '../../chain/cells/storage.ts';
import { followAccount, idOf } from '../../chain/follow/account-follower.ts';
import type { AccountFollower } from '../../chain/follow/account-follower.ts';
import { MAX_INTEGER } from '../ledger/sql.ts';
import type { AccountKind, ChildState, LedgerAccount, LedgerInstance } from '../ledger/ledger.ts';
import { childOf } from './context.ts';
import type { PaidContext } from './context.ts';
import { eventOf } from './proxy-transactions.ts';
import { Registrations } from './registrations.ts';

export interface ProxyState extends ProxyStorage {
  readonly accountNano: bigint;
  /** Chain time of the read, unix seconds. */
  readonly time: number;
}

export interface ContractBookHooks {
  isOwnWallet(address: Address): boolean;
  /** A commitment of an own wallet is on chain: true when it is this opening's. What must be remembered of it is durable when it resolves. */
  onSaveState(seqno: number, session: Uint8Array): Promise<boolean>;
  /** The contract of this account has counted more than the ledger ever committed. */
  onAhead(account: LedgerAccount, tokens: bigint): Promise<void>;
}

/** Reads after a refused request, until the child has taken it back. */
const MAX_RECHECKS = 20;

export class ContractBook {
  readonly instance: LedgerInstance;
  readonly registrations = new Registrations();
  readonly #context: PaidContext;
  readonly #hooks: ContractBookHooks;
  readonly #reserved = new Map<LedgerAccount, bigint>();
  /** Children whose last change was refused: the lt of the refused message, and how often was looked. */
  readonly #rechecks = new Map<LedgerAccount, { readonly lt: bigint; looks: number }>();
  readonly #saved = new Set<number>();
  readonly #credits = new WeakMap<LedgerAccount, { readonly child: ChildState; readonly tokens: bigint }>();
  #follower: AccountFollower | null = null;
  #proxy: ProxyState | null = null;
  #seenMs: number | null = null;

  constructor(context: PaidContext, instance: LedgerInstance, hooks: ContractBookHooks) {
    this.#context = context;
    this.instance = instance;
    this.#hooks = hooks;
  }

  /** Null while it is not deployed, or was not read yet. */
  get proxy(): ProxyState | null {
    return this.#proxy;
  }

  /** Milliseconds of the clock when contract and transactions were last read; null before. */
  get seenMs(): number | null {
    return this.#seenMs;
  }

  get accounts(): readonly LedgerAccount[] {
    return this.#context.ledger.accounts(this.instance);
  }

  /** Reads everything up to now, then follows until `close`. */
  async start(signal: AbortSignal): Promise<void> {
    const { access, rules, log, sleep, ending } = this.#context;
    this.#follower ??= followAccount({
      access, address: this.instance.contract, after: this.instance.cursor, pollMs: rules.pollMs, log, sleep, signal: ending,
      onTransactions: (transactions) => this.#onTransactions(transactions),
    });
    await this.catchUp(signal);
  }

  /** Everything that the chain shows now is in the ledger when it resolves. Throws NetworkError, DaemonError E_LEDGER. */
  async catchUp(signal?: AbortSignal): Promise<void> {
    if (this.#follower === null) throw new NetworkError('E_CLOSED', 'the proxy contract is not followed');
    await this.#follower.catchUp(signal);
    await this.refresh(signal);
  }

  /** Reads the contract's own state, and children whose last change was refused. */
  async refresh(signal?: AbortSignal): Promise<void> {
    await this.refreshProxy(signal);
    for (const account of this.#rechecks.keys()) await this.refreshChild(account, signal);
    if (this.#follower?.problem === null) this.#seenMs = this.#context.clock.now();
  }

  async close(): Promise<void> {
    await this.#follower?.close();
  }

  account(kind: AccountKind, owner: Address): LedgerAccount {
    return this.#context.ledger.account(this.instance, kind, owner, this.childAddress(kind, owner));
  }

  childAddress(kind: AccountKind, owner: Address): Address {
    return childOf(this.instance, this.#context.signer.publicKey, kind, owner).address;
  }

  async refreshProxy(signal?: AbortSignal): Promise<ProxyState | null> {
    const { access } = this.#context;
    const account = await access.account(this.instance.contract, { agreed: true, ...(signal !== undefined && { signal }) });
    const isDeployed = account.status === 'active' && account.data !== null;
    // An endpoint that lags shows an earlier time; what is known stays.
    if (this.#proxy !== null && (!isDeployed || account.time < this.#proxy.time)) return this.#proxy;
    this.#proxy = isDeployed && account.data !== null ? { ...proxyStorage.load(account.data), accountNano: account.balanceNano, time: account.time } : null;
    return this.#proxy;
  }

  /** Reads a child contract itself; null where there is none. */
  async refreshChild(account: LedgerAccount, signal?: AbortSignal): Promise<ChildState | null> {
    const { access, ledger } = this.#context;
    const { status, data, last } = await access.account(account.contract, { agreed: true, ...(signal !== undefined && { signal }) });
    if (status !== 'active' || data === null || last === null) return account.child;
    const doubt = this.#rechecks.get(account);
    if (doubt !== undefined) {
      doubt.looks += 1;
      // Its answer to the refusal is still to come: what it shows now is what it will take back.
      if (last.lt <= doubt.lt && doubt.looks < MAX_RECHECKS) return account.child;
      this.#rechecks.delete(account);
    }
    const child = account.kind === 'client' ? clientStateOf(clientStorage.load(data), last.lt) : workerStateOf(workerStorage.load(data), last.lt);
    await ledger.follow(this.instance, null, [{ account, child }]);
    await this.#checkAhead(account);
    return account.child;
  }

  /** Tokens that a new request of the client may reserve (WIRE.md section 12). */
  available(client: LedgerAccount): bigint {
    const left = this.#creditOf(client) + (client.child?.tokens ?? 0n) - this.reserved(client) - client.maxTokens;
    return left > 0n ? left : 0n;
  }

  /**
   * True when the client has used or reserved half of what may go uncharged: the least of its balance and its stake. Charged by
   * then, a client whose deposit suffices is not refused because its charges lag behind.
   */
  isPressed(client: LedgerAccount): boolean {
    return (client.maxTokens + this.reserved(client) - (client.child?.tokens ?? 0n)) * 2n >= this.#creditOf(client);
  }

  /** A charge of so many tokens frees enough of the credit to be worth its fees: an eighth. */
  isWorthwhile(client: LedgerAccount, tokens: bigint): boolean {
    return tokens > 0n && tokens * 8n >= this.#creditOf(client);
  }

  /** Tokens that may go uncharged by the client's contract as it was last seen. */
  #creditOf(client: LedgerAccount): bigint {
    const { child } = client;
    if (child === null || child.state !== STATE.normal) return 0n;
    const known = this.#credits.get(client);
    if (known?.child === child) return known.tokens;
    const price = this.instance.params.pricePerTokenNano;
    const nano = child.balanceNano < child.stakeNano ? child.balanceNano : child.stakeNano;
    const tokens = price === 0n ? MAX_INTEGER : nano / price;
    this.#credits.set(client, { child, tokens });
    return tokens;
  }

  reserved(client: LedgerAccount): bigint {
    return this.#reserved.get(client) ?? 0n;
  }

  /** True while requests of this contract are running. */
  get isBusy(): boolean {
    return this.#reserved.size > 0;
  }

  reserve(client: LedgerAccount, tokens: bigint): void {
    this.#reserved.set(client, this.reserved(client) + tokens);
  }

  free(client: LedgerAccount, tokens: bigint): void {
    const left = this.reserved(client) - tokens;
    if (left > 0n) this.#reserved.set(client, left);
    else this.#reserved.delete(client);
  }

  /** Resolves when a commitment of this process was seen on chain; rejects with the signal's reason. */
  async waitForSave(seqno: number, signal: AbortSignal): Promise<void> {
    const { rules, sleep } = this.#context;
    while (!this.#saved.has(seqno)) {
      await this.catchUp(signal);
      if (!this.#saved.has(seqno)) await sleep(Math.min(rules.pollMs, 1_000), signal);
    }
    this.#saved.delete(seqno);
  }

  async #checkAhead(account: LedgerAccount): Promise<void> {
    const tokens = account.child?.tokens ?? 0n;
    if (tokens > account.chainTokens) await this.#hooks.onAhead(account, tokens);
  }

  async #onTransactions(transactions: readonly Transaction[]): Promise<void> {
    const { ledger } = this.#context;
    const seen: { account: LedgerAccount; child: ChildState }[] = [];
    const registered: { contract: string; nonce: bigint }[] = [];
    const reader = { isOwnWallet: (address: Address) => this.#hooks.isOwnWallet(address), childOf: (kind: AccountKind, owner: Address) => this.childAddress(kind, owner) };
    for (const transaction of transactions) {
      const event = eventOf(transaction, reader);
      if (event === null) continue;
      if (event.kind === 'saveState') {
        if (await this.#hooks.onSaveState(event.seqno, event.session)) this.#saved.add(event.seqno);
        continue;
      }
      const account = ledger.account(this.instance, event.kind, event.owner, event.contract);
      if (event.refused) this.#rechecks.set(account, { lt: event.child.lt, looks: 0 });
      else seen.push({ account, child: event.child });
      if (event.nonce !== null) registered.push({ contract: event.contract.toRawString(), nonce: event.nonce });
    }
    const last = transactions.at(-1);
    await ledger.follow(this.instance, last === undefined ? null : idOf(last), seen);
    for (const { account } of seen) await this.#checkAhead(account);
    for (const { contract, nonce } of registered) this.registrations.heard(contract, nonce);
  }
}

const clientStateOf = ({ state, balanceNano, stakeNano, tokensUsed, secretHash }: ReturnType<typeof clientStorage.load>, lt: bigint): ChildState =>
  ({ lt, state, tokens: tokensUsed, balanceNano, stakeNano, secretHash: isZero(secretHash) ? null : secretHash });

const workerStateOf = ({ state, tokens }: ReturnType<typeof workerStorage.load>, lt: bigint): ChildState =>
  ({ lt, state, tokens, balanceNano: 0n, stakeNano: 0n, secretHash: null });
