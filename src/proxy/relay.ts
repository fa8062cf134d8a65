// One request through the proxy: choose a node, pass its answer on as it comes, book what it used, tell both sides.
// The body is passed through unparsed; nothing of it is kept or logged (WIRE.md section 11).
import { RemoteError } from '../core/errors.ts';
import { adjustTokens } from '../openai/token-price.ts';
import { NO_INFO, NO_TOKENS } from '../wire/answer.ts';
import { boundedTokens } from './charge.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { AnswerSink, FinalInfo, HttpHead, TokensUsed } from '../wire/answer.ts';
import type { ClientLink, ClientRequest } from '../wire/client-acceptor.ts';
import type { RunOutcome } from '../wire/worker-acceptor.ts';
import type { Accounts, ClientAccount, Reservation } from './accounts.ts';
import type { Node, NodeRegistry } from './nodes.ts';

export interface RelayDeps {
  readonly accounts: Accounts;
  readonly nodes: NodeRegistry;
  readonly clock: Clock;
  readonly log: Log;
}

/** Code of the protocol for a refusal at admission (WIRE.md section 11 step 3). */
const ERROR = 602;

const seconds = (ms: number): number => ms / 1000;

/** Tokens to put aside: all that may be generated and read, at the highest price the client accepts (WIRE.md section 12). */
const tokensToReserve = (request: ClientRequest): bigint =>
  adjustTokens(request.maxTokens + request.query.byteLength, request.maxCoefficient, 10_000);

/** The sink of the worker's hop: adds the proxy's times, bounds the tokens and passes everything else on. */
function throughProxy(sink: AnswerSink, reserved: bigint, startedAt: number, clock: Clock): AnswerSink {
  const finished = (info: FinalInfo): FinalInfo => ({
    ...info, tokens: boundedTokens(info.tokens, reserved), proxyTimes: { startedAt, endedAt: seconds(clock.now()) },
  });
  return {
    head: (head: HttpHead) => sink.head({
      ...head,
      headers: [
        ...head.headers,
        { name: 'X-Cocoon-Proxy-Start', value: startedAt.toFixed(6) },
        { name: 'X-Cocoon-Proxy-End', value: seconds(clock.now()).toFixed(6) },
      ],
    }),
    part: (bytes) => sink.part(bytes),
    end: (info, bytes) => sink.end(finished(info), bytes),
    fail: (code, message, info) => sink.fail(code, message, finished(info ?? NO_INFO)),
  };
}

/**
 * Answers `request` through `sink`. Throws RemoteError when no node can take it; after that the sink has the failure.
 * Resolves when the node's slot is free again and both sides' totals are booked.
 */
export async function relay(deps: RelayDeps, client: ClientAccount, link: ClientLink, request: ClientRequest, sink: AnswerSink, signal: AbortSignal): Promise<void> {
  const startedAt = seconds(deps.clock.now());
  if (request.minConfigVersion > deps.accounts.configVersion()) throw new RemoteError(ERROR, 'active config version is too low');
  const node = deps.nodes.choose(request.model, request.maxCoefficient);
  const reserved = tokensToReserve(request);
  const reservation = deps.accounts.reserve(client, reserved);
  node.running += 1;
  let outcome: RunOutcome;
  try {
    outcome = await node.link.run({
      query: request.query,
      signedPayment: node.account.status().signedPayment,
      coefficient: node.coefficient,
      timeoutMs: request.timeoutMs,
      enableDebug: request.enableDebug,
    }, throughProxy(sink, reserved, startedAt, deps.clock), signal);
  } catch (error) {
    reservation.release();
    throw error;
  } finally {
    node.running -= 1;
  }
  deps.log.info('request', {
    node: node.id, client: link.remoteAddress, model: request.model, outcome: outcome.kind, ms: Math.round(deps.clock.now() - startedAt * 1000),
  });
  await settle({ client, link, request, node, outcome, reservation, tokens: boundedTokens(outcome.info?.tokens ?? NO_TOKENS, reserved) })
    .catch((error: unknown) => deps.log.error('request not booked', { node: node.id, client: link.remoteAddress, error: String(error) }));
}

interface Settlement {
  readonly client: ClientAccount;
  readonly link: ClientLink;
  readonly request: ClientRequest;
  readonly node: Node;
  readonly outcome: RunOutcome;
  readonly reservation: Reservation;
  readonly tokens: TokensUsed;
}

async function settle({ client, link, request, node, outcome, reservation, tokens }: Settlement): Promise<void> {
  const totals = await reservation.settle(node.account, tokens);
  // A side that has gone in between asks again when it comes back; its total is booked either way.
  await Promise.allSettled([
    node.link.requestPayment({ requestId: outcome.id, ...totals.worker, requestTokens: tokens.total, clientOwner: client.ownerAddress }),
    link.requestPayment({ requestId: request.id, ...totals.client, requestTokens: tokens.total }),
  ]);
}
