// The nodes that one proxy offers for sealed requests, as far as this client has verified them: listed in the background, so that
// a warm session seals without asking anybody; and which of them a request goes to: the proxy's order of preference, evened out by
// what this client has under way itself, and a conversation to the node that holds its beginning.
import { createHash } from 'node:crypto';
import { toHex } from '../core/bytes.ts';
import { asCocoonError, AttestationError, RemoteError } from '../core/errors.ts';
import { SealError } from '../seal/errors.ts';
import { suiteName } from '../seal/suites.ts';
import { NOT_READY, PROTOCOL_VIOLATION } from '../wire/remote-codes.ts';
import { notSealable } from './sealed-nodes.ts';
import type { CocoonError } from '../core/errors.ts';
import type { NodeTarget, SealOffer, SealTarget, VerifiedNode } from '../wire/sealed.ts';
import type { WireSession } from '../wire/client-session.ts';
import type { SealedNode, SealedNodes } from './sealed-nodes.ts';

/** One verified node in a proxy's list. */
export interface Offered {
  readonly sealed: SealedNode;
  /** As last listed. */
  offer: SealOffer;
  /** Requests of this session that run there, and how many of them ran when the list was made. */
  running: number;
  ranWhenListed: number;
}

export interface Wish {
  /** Base name. */
  readonly model: string;
  /** Thousandths. */
  readonly maxCoefficient: number;
  readonly target: NodeTarget | undefined;
  /** Its requests go to one node as long as that has room; null without one. */
  readonly conversation: string | null;
  /** TLS keys, in hexadecimal, of nodes that have failed this request. */
  readonly except: ReadonlySet<string>;
}

/** The list is asked for anew when it is used and older than this. */
const FRESH_MS = 5_000;
/** Lists of models in use are kept warm at this pace: keys are replaced twice an hour and overlap by ten minutes. */
const WARM_MS = 300_000;
const IN_USE_MS = 3_600_000;
const LIMIT = 8;
const MAX_MODELS = 64;
const MAX_CONVERSATIONS = 4_096;
/** A node whose evidence was refused is not asked about again for this long. */
const REFUSED_MS = 60_000;
const MIN_NODE_TEXT = 8;

interface Listing {
  offered: readonly Offered[];
  /** By performance.now(). */
  listedMs: number;
  usedMs: number;
  /** Why nodes that were offered cannot be used. */
  refusal: CocoonError | null;
  refreshing: Promise<void> | null;
}

export class SealedTargets {
  readonly #session: Pick<WireSession, 'sealOffers' | 'sealKey' | 'models' | 'capabilities' | 'version'>;
  readonly #nodes: SealedNodes;
  readonly #listings = new Map<string, Listing>();
  /** By digest of the record. */
  readonly #refused = new Map<string, { readonly error: CocoonError; readonly untilMs: number }>();
  readonly #conversations = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;

  constructor(session: Pick<WireSession, 'sealOffers' | 'sealKey' | 'models' | 'capabilities' | 'version' | 'closed'>, nodes: SealedNodes) {
    this.#session = session;
    this.#nodes = nodes;
    this.#timer = setInterval(() => this.#keepWarm(), WARM_MS);
    this.#timer.unref();
    void session.closed.then(() => clearInterval(this.#timer));
  }

  /** Asks for the list of a model ahead of its first use. */
  prefetch(model: string): void {
    if (this.#session.capabilities.sealing) this.#listing(model, 0).refreshing?.catch(() => undefined);
  }

  /**
   * Verified nodes, in the proxy's order. Without waiting where the list is at hand; then it is brought up to date behind the answer.
   * Rejects with what the queries reject with.
   */
  async list(model: string): Promise<readonly Offered[]> {
    if (!this.#session.capabilities.sealing) return [];
    const listing = this.#listing(model, FRESH_MS);
    const usable = listing.offered.filter(({ sealed }) => sealed.isUsable());
    if (usable.length > 0 || listing.refreshing === null) return usable;
    await listing.refreshing;
    return listing.offered.filter(({ sealed }) => sealed.isUsable());
  }

  /** The node for a request. Throws E_NO_SEAL, AttestationError when every node was refused, or the texts of WIRE.md section 11 as RemoteError. */
  async choose(wish: Wish): Promise<Offered> {
    const all = await this.list(wish.model);
    const fitting = all.filter(({ sealed }) => fits(sealed.node, wish.target));
    const affordable = fitting.filter(({ offer }) => offer.coefficient <= wish.maxCoefficient);
    const left = affordable.filter(({ sealed }) => !wish.except.has(toHex(sealed.node.tlsPublicKey)));
    const best = pick(left, wish.conversation === null ? undefined : this.#conversations.get(wish.conversation));
    if (best === undefined) throw await this.#refusal(wish, all, fitting, affordable);
    if (wish.conversation !== null) this.#remember(wish.conversation, toHex(best.sealed.node.tlsPublicKey));
    return best;
  }

  async targets(model: string): Promise<SealTarget[]> {
    return (await this.list(model)).map(({ sealed: { node, record, suite }, offer }) => ({
      node, model: record.model, suite: suiteName(suite), coefficient: offer.coefficient, running: offer.running, capacity: offer.capacity, notAfter: record.notAfter,
    }));
  }

  /** A listing that is brought up to date when it is older than `freshMs`. */
  #listing(model: string, freshMs: number): Listing {
    const nowMs = performance.now();
    let listing = this.#listings.get(model);
    if (listing === undefined) {
      listing = { offered: [], listedMs: -Infinity, usedMs: nowMs, refusal: null, refreshing: null };
      this.#listings.set(model, listing);
      const oldest = this.#listings.keys().next();
      if (this.#listings.size > MAX_MODELS && oldest.done !== true) this.#listings.delete(oldest.value);
    }
    if (freshMs > 0) listing.usedMs = nowMs;
    if (listing.refreshing === null && nowMs - listing.listedMs >= freshMs) {
      const current = listing;
      current.refreshing = this.#refresh(model, current).finally(() => { current.refreshing = null; });
      current.refreshing.catch(() => undefined); // who waits for it is told
    }
    return listing;
  }

  async #refresh(model: string, listing: Listing): Promise<void> {
    const offers = await this.#session.sealOffers(model, LIMIT);
    const nowMs = performance.now();
    const known = new Map(listing.offered.map((each) => [each.sealed, each]));
    let refusal: CocoonError | null = null;
    const verified = await Promise.all(offers.map(async (offer): Promise<Offered | null> => {
      const id = createHash('sha256').update(offer.record).digest('base64');
      try {
        const refused = this.#refused.get(id);
        if (refused !== undefined && nowMs < refused.untilMs) throw refused.error;
        this.#refused.delete(id);
        const sealed = await this.#nodes.verify(offer, (keyId) => this.#session.sealKey(keyId));
        if (base(sealed.record.model) !== model) throw new SealError(`the proxy offers a node of the model ${sealed.record.model}, expected ${model}`);
        // What runs is counted in one place for each node, whatever list it was chosen from.
        const same = known.get(sealed);
        if (same === undefined) return { sealed, offer, running: 0, ranWhenListed: 0 };
        same.offer = offer;
        same.ranWhenListed = same.running;
        return same;
      } catch (thrown) {
        const error = asCocoonError(thrown);
        refusal ??= error;
        if (error instanceof AttestationError && !this.#refused.has(id)) this.#refused.set(id, { error, untilMs: nowMs + REFUSED_MS });
        return null;
      }
    }));
    for (const [id, { untilMs }] of this.#refused) if (nowMs >= untilMs) this.#refused.delete(id);
    listing.offered = verified.filter((each) => each !== null);
    listing.refusal = refusal;
    listing.listedMs = performance.now();
  }

  #keepWarm(): void {
    const nowMs = performance.now();
    for (const [model, { usedMs }] of this.#listings) {
      if (nowMs - usedMs > IN_USE_MS) this.#listings.delete(model);
      else this.prefetch(model);
    }
  }

  #remember(conversation: string, node: string): void {
    this.#conversations.delete(conversation);
    this.#conversations.set(conversation, node);
    const oldest = this.#conversations.keys().next();
    if (this.#conversations.size > MAX_CONVERSATIONS && oldest.done !== true) this.#conversations.delete(oldest.value);
  }

  async #refusal({ model, target }: Wish, all: readonly Offered[], fitting: readonly Offered[], affordable: readonly Offered[]): Promise<CocoonError> {
    const { capabilities, version } = this.#session;
    if (!capabilities.sealing) return notSealable(`the proxy speaks version ${version} of the protocol, expected 8 or higher`);
    if (affordable.length > 0) return new RemoteError(NOT_READY, `no ready workers for model ${model}`); // all of them have failed this request
    if (fitting.length > 0) return new RemoteError(NOT_READY, `can run this query with coefficient=${Math.min(...fitting.map(({ offer }) => offer.coefficient))}`);
    if (all.length > 0) return new RemoteError(NOT_READY, `no node of model ${model} is ${described(target)}`);
    const refusal = this.#listings.get(model)?.refusal ?? null;
    if (refusal !== null) return refusal;
    const listed = (await this.#session.models()).find((each) => base(each.model) === model);
    if (listed === undefined) return new RemoteError(PROTOCOL_VIOLATION, `unknown model ${model}`);
    if (listed.activeWorkers === 0) return new RemoteError(NOT_READY, `no workers for model ${model}`);
    return notSealable(`none of the ${listed.activeWorkers} nodes of model ${model} has told the proxy a key`);
  }
}

const base = (model: string): string => model.split('@', 1)[0] ?? model;

/** The first with room, less what runs there for this client since the list was made; where none has room, the one with most of it. */
function pick(offered: readonly Offered[], held: string | undefined): Offered | undefined {
  let best: Offered | undefined;
  let bestLoad = Infinity;
  for (const each of offered) {
    const added = each.running - each.ranWhenListed;
    const isFull = each.offer.running + added >= each.offer.capacity;
    if (!isFull && held !== undefined && toHex(each.sealed.node.tlsPublicKey) === held) return each;
    const load = Math.max(0, added) / Math.max(1, each.offer.capacity) + (isFull ? 1_000 : 0);
    if (load < bestLoad) {
      best = each;
      bestLoad = load;
    }
  }
  return best;
}

function fits({ evidence, tlsPublicKey, imageHash }: VerifiedNode, target: NodeTarget | undefined): boolean {
  if (target?.tee !== undefined) {
    const wanted = target.tee === 'any-tee' ? ['tdx', 'sev-snp'] : [target.tee === 'snp' ? 'sev-snp' : target.tee];
    if (!wanted.includes(evidence)) return false;
  }
  if (target?.node === undefined) return true;
  const node = target.node.toLowerCase();
  return node.length >= MIN_NODE_TEXT && [tlsPublicKey, imageHash].some((bytes) => toHex(bytes).startsWith(node));
}

const described = (target: NodeTarget | undefined): string =>
  [target?.node === undefined ? [] : [`the node ${target.node}`], target?.tee === undefined ? [] : [`in a TEE of the kind ${target.tee}`]].flat().join(' ');
