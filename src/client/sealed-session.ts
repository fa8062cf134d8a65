// A client session whose requests are sealed to one node that this side has verified itself (SPEC.md): the same interface one
// level up, so that what asks needs no knowledge of it. A node that cannot take a request before its first byte is replaced by
// another one, with a fresh seal; what was sealed is never sent plain after a failure.
import { abortError } from '../core/deadline.ts';
import { toHex } from '../core/bytes.ts';
import { asCocoonError, RemoteError, UsageError } from '../core/errors.ts';
import { ERROR, FAILURE, NOT_READY } from '../wire/remote-codes.ts';
import { requestShape } from './request-shape.ts';
import { sealedAttempt } from './sealed-attempt.ts';
import { SealedTargets } from './sealed-targets.ts';
import { askV1, usableKey } from './v1-request.ts';
import type { Clock } from '../core/clock.ts';
import type { AnswerEvent, AskRequest, ClientSession, WireSession } from '../wire/client-session.ts';
import type { NodeTarget, VerifiedNode } from '../wire/sealed.ts';
import type { SealedNodes } from './sealed-nodes.ts';
import type { Offered, Wish } from './sealed-targets.ts';
import type { V1Key } from './v1-request.ts';

/** `require`: nothing is sent unsealed. `prefer`: says when it goes without. `off`: nothing is sealed. */
export type SealMode = 'require' | 'prefer' | 'off';

export interface SealOptions {
  readonly mode: SealMode;
  /** Verified nodes, shared by all sessions. */
  readonly nodes: SealedNodes;
  /** Root contract, `workchain:hex`; empty on a network without one. */
  readonly root: string;
  /** Version of the root configuration that proxies must know at least; asked for at each request. */
  paramsVersion(): number;
  readonly clock: Clock;
  /** Hears why a request goes unsealed, before it does; only where that is allowed. */
  unsealed?(why: string): void;
  /** Keys that the root contract lists for the network's own encryption; asked for where a proxy offers nothing better. */
  v1Keys?(): readonly V1Key[];
  /** Hears which node a request was sealed to, when its answer begins. */
  sealed?(node: VerifiedNode): void;
}

/** Nodes that one request may be tried at. */
const MAX_NODES = 3;
/** With less time left a request is not taken to another node: its answer could not arrive. */
const MIN_RETRY_MS = 250;

/** The same session; `ask` seals, opens, and yields plain head, parts and end. */
export function sealedSession(session: WireSession, options: SealOptions): ClientSession {
  const targets = new SealedTargets(session, options.nodes);
  return {
    version: session.version,
    capabilities: session.capabilities,
    offer: session.offer,
    get runningRequests() {
      return session.runningRequests;
    },
    closed: session.closed,
    ask: (request) => (options.mode === 'off' ? plain(session, request) : sealed(session, targets, options, request)),
    models: (signal) => session.models(signal),
    sealTargets: async (model) => (options.mode === 'off' ? [] : targets.targets(model)),
    updatePaymentStatus: () => session.updatePaymentStatus(),
    close: (reason) => session.close(reason),
  };
}

/** Which node answers is the proxy's choice then. */
function plain(session: WireSession, request: AskRequest): AsyncGenerator<AnswerEvent, void, undefined> {
  return isNamed(request.target) ? refused() : session.ask(request);
}

// eslint-disable-next-line require-yield -- the form that `ask` has
async function* refused(): AsyncGenerator<AnswerEvent, void, undefined> {
  throw new UsageError('E_REQUEST', 'a node can be named only for a request that is sealed to it', { hint: 'seal requests: --seal require' });
}

const isNamed = (target: NodeTarget | undefined): boolean => target !== undefined && (target.node !== undefined || target.tee !== undefined);

async function* sealed(session: WireSession, targets: SealedTargets, options: SealOptions, request: AskRequest): AsyncGenerator<AnswerEvent, void, undefined> {
  const { signal } = request;
  if (signal?.aborted === true) throw abortError(signal);
  const endsAt = performance.now() + request.timeoutMs;
  const shape = requestShape(request.query);
  const tried = new Set<string>();
  const wish: Wish = { model: request.model, maxCoefficient: request.maxCoefficient, target: request.target, conversation: shape.conversation, except: tried };
  let chosen: Offered;
  try {
    chosen = await targets.choose(wish);
  } catch (error) {
    if (options.mode === 'require' || asCocoonError(error).code !== 'E_NO_SEAL') throw error;
    return yield* unsealed(session, options, request, asCocoonError(error).message);
  }
  for (;;) {
    const context = {
      session, node: chosen.sealed, root: options.root, paramsVersion: options.paramsVersion(), ...shape,
      timeoutMs: endsAt - performance.now(), nowMs: options.clock.now(),
    };
    const events = sealedAttempt(context, request);
    chosen.running += 1;
    let begun = false;
    let failure: unknown;
    tried.add(toHex(chosen.sealed.node.tlsPublicKey));
    const mayGoOn = (): boolean => signal?.aborted !== true && tried.size < MAX_NODES && endsAt - performance.now() >= MIN_RETRY_MS;
    try {
      for await (const event of events) {
        if (event.kind === 'head' && mayGoOn() && isBusy(event.head.status)) {
          const other = await targets.choose(wish).catch(() => null);
          if (other !== null) break; // leaving the loop gives this one up
        }
        if (!begun) options.sealed?.(chosen.sealed.node);
        begun = true;
        yield event;
      }
      if (begun) return;
    } catch (error) {
      if (begun || !mayGoOn() || !isPassing(error)) throw error;
      failure = error;
    } finally {
      chosen.running -= 1;
      chosen.sealed.restock();
    }
    try {
      chosen = await targets.choose(wish);
    } catch (error) {
      throw failure ?? error; // why the one that was there failed says more than that nobody else is there
    }
  }
}

/** The best that is left where nothing can be sealed to one node: the network's own encryption where there is a key, else nothing. Said before. */
function unsealed(session: WireSession, options: SealOptions, request: AskRequest, why: string): AsyncGenerator<AnswerEvent, void, undefined> {
  const { sealing, promptKeys } = session.capabilities;
  const key = sealing || !promptKeys || isNamed(request.target) ? null : usableKey(options.v1Keys?.() ?? [], options.clock.now(), request.timeoutMs);
  options.unsealed?.(key === null ? why : `${why}; the network's own encryption is used, which every attested proxy and node can open`);
  return key === null ? plain(session, request) : askV1(session, key, request);
}

/** What another node may do better. */
const isPassing = (error: unknown): boolean => error instanceof RemoteError && [NOT_READY, ERROR, FAILURE].includes(error.remoteCode);
const isBusy = (status: number): boolean => status >= 500 || status === 429 || status === 408;
