// One request through the proxy: bound it, put tokens aside, choose a node, pass its answer on as it comes, book what was
// delivered, tell both sides (WIRE.md section 11). A node that fails before the first byte of its answer is replaced by another
// one, unseen by the client, within the request's deadline; the tokens put aside stay the same.
import { toHex } from '../core/bytes.ts';
import { asCocoonError, RemoteError } from '../core/errors.ts';
import { ApiError, reasonPhrase } from '../openai/errors.ts';
import { adjustTokens } from '../openai/token-price.ts';
import { NO_INFO } from '../wire/answer.ts';
import { ERROR } from '../wire/remote-codes.ts';
import { Attempt } from './attempt.ts';
import { limitRequest, limitSealed } from './request-limits.ts';
import { settle } from './settlements.ts';
import type { Clock } from '../core/clock.ts';
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { AnswerSink, FinalInfo, HttpHead } from '../wire/answer.ts';
import type { ClientLink, ClientRequest } from '../wire/client-acceptor.ts';
import type { RunOutcome } from '../wire/worker-acceptor.ts';
import type { ClientAccount, Reservation } from './accounts.ts';
import type { Failure } from './attempt.ts';
import type { Canaries } from './canaries.ts';
import type { Bill, Terms } from './charge.ts';
import type { ProxyDeps } from './deps.ts';
import type { Node } from './nodes.ts';
import type { LimitedRequest } from './request-limits.ts';
import type { Choice, TokenCounts } from './routing/chooser.ts';

export interface RelayDeps extends ProxyDeps {
  /** Told of each answer that was complete; null: no questions are asked. */
  readonly canaries: Canaries | null;
}

/** Nodes that one request may be tried at. */
const MAX_NODES = 3;
/** With less time left a request is not taken to another node: its answer could not arrive. */
const MIN_RETRY_MS = 250;

const seconds = (ms: number): number => ms / 1000;
const largest = ({ prompt, cached, completion, reasoning }: TokenMultipliers): number => Math.max(prompt, cached, completion, reasoning);

/** One request, from its admission to its end. */
interface Job {
  readonly deps: RelayDeps;
  readonly client: ClientAccount;
  readonly link: ClientLink;
  readonly request: ClientRequest;
  readonly limited: LimitedRequest;
  readonly sink: AnswerSink;
  readonly signal: AbortSignal;
  readonly startedMs: number;
  readonly multipliers: TokenMultipliers;
  readonly reserved: bigint;
  /** Nodes that failed it. */
  readonly failed: Set<number>;
}

/** A node that was chosen, not yet sent to. */
interface Seat {
  readonly node: Node;
  readonly choice: Choice;
}

/**
 * Answers `request` through `sink`. Throws RemoteError when no node can take it; after that the sink has the failure.
 * Resolves when the node's slot is free again; the booking goes on among `deps.pending`.
 */
export function relay(deps: RelayDeps, client: ClientAccount, link: ClientLink, request: ClientRequest, sink: AnswerSink, signal: AbortSignal): Promise<void> {
  return deps.pending.add(answer(deps, client, link, request, sink, signal));
}

async function answer(deps: RelayDeps, client: ClientAccount, link: ClientLink, request: ClientRequest, sink: AnswerSink, signal: AbortSignal): Promise<void> {
  const startedMs = deps.clock.now();
  if (request.minConfigVersion > deps.accounts.configVersion()) throw new RemoteError(ERROR, 'active config version is too low');
  // The private keys of the network's own encryption are nothing that this proxy has or wants (WIRE-2026-04.md section 2.8).
  if (request.publicKey !== null) throw new RemoteError(ERROR, `unknown public key ${toHex(request.publicKey)}`);
  let limited: LimitedRequest;
  try {
    limited = request.sealed === undefined ? limitRequest(request.query, request.maxTokens) : limitSealed(request, request.sealed.streamed);
  } catch (error) {
    if (error instanceof ApiError) return refuse(sink, error, deps.clock, startedMs);
    throw error;
  }
  const multipliers = deps.accounts.multipliers();
  // All that may be read and generated, at the highest price that client and network allow (WIRE.md section 12).
  const reserved = adjustTokens(limited.maxTokens + limited.query.byteLength, request.maxCoefficient, largest(multipliers));
  const job: Job = { deps, client, link, request, limited, sink, signal, startedMs, multipliers, reserved, failed: new Set() };
  const first = choose(job);
  let reservation: Reservation;
  try {
    reservation = deps.accounts.reserve(client, reserved);
  } catch (error) {
    deps.chooser.observed({ kind: 'unsent', choice: first.choice.id, nowMs: deps.clock.now() });
    throw error;
  }
  await tryNodes(job, first, reservation);
}

/** The answer to a request that no node is asked for. */
async function refuse(sink: AnswerSink, error: ApiError, clock: Clock, startedMs: number): Promise<void> {
  const headers = Object.entries({ 'content-type': 'application/json', ...error.headers }).map(([name, value]) => ({ name, value }));
  const payload = new Uint8Array(0);
  await sink.head({ httpVersion: 'HTTP/1.1', status: error.status, reason: reasonPhrase(error.status), headers, payload });
  await sink.end(withTimes(NO_INFO, clock, startedMs), new TextEncoder().encode(JSON.stringify(error.toBody())));
}

/** Throws RemoteError with the texts of WIRE.md section 11 step 3. */
function choose({ deps, client, request, limited, failed }: Job): Seat {
  // A sealed request can be read by one node only; the client seals it anew for another one.
  const candidates = request.sealed === undefined ? deps.nodes.of(request.model) : [deps.sealKeys.find(request.sealed.run.keyId).node];
  const choice = deps.chooser.choose({
    model: request.model, maxCoefficient: request.maxCoefficient, promptBytes: limited.bodyBytes, maxTokens: limited.maxTokens, streamed: limited.streamed,
    affinity: limited.conversation === null ? null : `${client.ownerAddress} ${limited.conversation}`, exclude: failed,
  }, candidates, deps.clock.now());
  const node = deps.nodes.get(choice.node);
  if (node === null) throw new RemoteError(ERROR, 'the chosen node is gone');
  return { node, choice };
}

/** Another node for a request that failed before its first byte; null when there is none, or no time left. */
function chooseAgain(job: Job, failure: Failure): Seat | null {
  const { deps, request, signal, startedMs, failed } = job;
  if (request.sealed !== undefined || signal.aborted || failed.size >= MAX_NODES || !['busy', 'lost', 'error'].includes(failure.kind)) return null;
  if (request.timeoutMs - (deps.clock.now() - startedMs) < MIN_RETRY_MS) return null;
  try {
    return choose(job);
  } catch {
    return null; // the first failure says more than that nobody else is there
  }
}

async function tryNodes(job: Job, first: Seat, reservation: Reservation): Promise<void> {
  const { deps, client, link, request } = job;
  const asker = { link, request };
  for (let seat: Seat | null = first; seat !== null;) {
    const { node } = seat;
    const { attempt, outcome } = send(job, seat);
    const failure = await attempt.verdict;
    if (failure === null) {
      const ended = await outcome;
      const bill = await attempt.conclude(ended);
      observeEnd(job, seat, attempt, ended, bill);
      void deps.pending.add(settle({ client, asker, node, outcome: ended, reservation, tokens: bill.tokens }, deps.log));
      return;
    }
    job.failed.add(node.id);
    deps.chooser.observed({ kind: 'failed', choice: seat.choice.id, nowMs: deps.clock.now(), failure: failure.kind });
    log(job, node, `failed: ${failure.kind}`);
    const next = chooseAgain(job, failure);
    if (next === null) {
      await passOn(job, failure);
      reservation.release();
      link.requestPayment({ requestId: request.id, ...client.status(), requestTokens: 0n }).catch(() => undefined); // it has gone
    }
    // The failed node confirms in its own time; it is told that it is owed nothing.
    void deps.pending.add(outcome.then((ended) => tellUnpaid(job, node, ended)));
    seat = next;
  }
}

function send(job: Job, { node, choice }: Seat): { readonly attempt: Attempt; readonly outcome: Promise<RunOutcome | null> } {
  const { deps, request, limited, sink, signal, startedMs, multipliers, reserved } = job;
  const now = (): number => deps.clock.now();
  const { coefficient } = node;
  const terms: Terms = { reserved, coefficient, multipliers, maxTokens: limited.maxTokens, bodyBytes: limited.bodyBytes };
  const attempt = new Attempt({
    node, terms, sink, signal, opaque: request.sealed !== undefined,
    headOf: (head) => withProxyTimes(head, seconds(startedMs), seconds(now())),
    infoOf: (info) => withTimes(info, deps.clock, startedMs),
    firstByte: () => deps.chooser.observed({ kind: 'first-token', choice: choice.id, nowMs: now() }),
  });
  node.running += 1;
  const outcome = attempt.run({
    query: limited.query,
    signedPayment: node.account.status().signedPayment,
    coefficient,
    timeoutMs: request.timeoutMs - (now() - startedMs),
    enableDebug: request.enableDebug,
    ...(request.sealed !== undefined && { sealed: request.sealed.run }),
  }).finally(() => {
    node.running -= 1;
  });
  deps.chooser.observed({ kind: 'sent', choice: choice.id, nowMs: now() });
  return { attempt, outcome };
}

/** The client learns how the last node failed. It may be gone. */
async function passOn({ deps, sink, startedMs }: Job, { code, message, answer: held }: Failure): Promise<void> {
  const info = withTimes(NO_INFO, deps.clock, startedMs);
  try {
    if (held === null) return await sink.fail(code, message, info);
    await sink.head(withProxyTimes(held.head, seconds(startedMs), seconds(deps.clock.now())));
    for (const part of held.parts) await sink.part(part);
    await sink.end(info);
  } catch (error) {
    deps.log.debug('failure not told', { error: asCocoonError(error).message });
  }
}

async function tellUnpaid({ client }: Job, { link, account }: Node, outcome: RunOutcome | null): Promise<void> {
  if (outcome === null) return;
  await link.requestPayment({ requestId: outcome.id, ...account.status(), requestTokens: 0n, clientOwner: client.ownerAddress })
    .catch(() => undefined); // it asks for its total when it connects again
}

/** What the end of an answer says about the node. */
function observeEnd(job: Job, { node, choice }: Seat, attempt: Attempt, outcome: RunOutcome | null, bill: Bill): void {
  const { deps, signal } = job;
  const nowMs = deps.clock.now();
  const kind = outcome?.kind ?? 'failed';
  if (kind === 'ended') {
    deps.chooser.observed({ kind: 'finished', choice: choice.id, nowMs, tokens: countsOf(job, node, attempt, outcome?.info ?? null) });
    deps.canaries?.routed(job.request.model);
  } else {
    const timedOut = signal.aborted && asCocoonError(signal.reason).code === 'E_TIMEOUT';
    const failure = timedOut ? 'timeout' : kind === 'cancelled' ? 'cancelled' : node.link.state === 'closed' ? 'lost' : 'error';
    deps.chooser.observed({ kind: 'failed', choice: choice.id, nowMs, failure });
  }
  if (bill.impossible !== null) deps.log.warn('impossible report of a node', { node: node.id, owner: node.owner, why: bill.impossible });
  if (outcome !== null && outcome.info !== null) deps.chooser.observed({ kind: 'metering', node, nowMs, honest: bill.impossible === null });
  log(job, node, kind);
}

/** The engine's counts: as the answer shows them, else the report without price and multipliers. */
function countsOf({ multipliers }: Job, { coefficient }: Node, { relayed }: Attempt, info: FinalInfo | null): TokenCounts | null {
  const usage = relayed.usage();
  if (usage !== null) return { prompt: usage.promptTokens, cached: usage.cachedTokens, completion: usage.completionTokens };
  if (info === null || coefficient === 0) return null;
  const plain = (tokens: bigint, multiplier: number): number => (multiplier === 0 ? 0 : Math.round(Number(tokens) / (coefficient * 0.001 * multiplier * 0.0001)));
  const { prompt, cached, completion, reasoning } = info.tokens;
  const cachedTokens = plain(cached, multipliers.cached);
  return {
    prompt: plain(prompt, multipliers.prompt) + cachedTokens, cached: cachedTokens,
    completion: plain(completion, multipliers.completion) + plain(reasoning, multipliers.reasoning),
  };
}

function log({ deps, link, request, startedMs }: Job, node: Node, outcome: string): void {
  deps.log.info('request', { node: node.id, client: link.remoteAddress, model: request.model, outcome, ms: Math.round(deps.clock.now() - startedMs) });
}

const withTimes = (info: FinalInfo, clock: Clock, startedMs: number): FinalInfo =>
  ({ ...info, proxyTimes: { startedAt: seconds(startedMs), endedAt: seconds(clock.now()) } });

const withProxyTimes = (head: HttpHead, startedAt: number, endedAt: number): HttpHead => ({
  ...head,
  headers: [
    ...head.headers,
    { name: 'X-Cocoon-Proxy-Start', value: startedAt.toFixed(6) },
    { name: 'X-Cocoon-Proxy-End', value: endedAt.toFixed(6) },
  ],
});
