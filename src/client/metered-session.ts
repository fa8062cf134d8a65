// A client session whose requests are paid for: each one's highest price is put aside before it is sent, what comes is
// counted, and what is billed is held against that. A proxy that bills what cannot be true loses the connection.
import { asCocoonError } from '../core/errors.ts';
import { AnswerError } from '../wire/answer.ts';
import { requestShape } from './request-shape.ts';
import type { ConnectionAccount, RequestBounds, RequestMeter } from './accounts.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { AnswerEvent, WireSession } from '../wire/client-session.ts';

/** The same session; `ask` and `askSealed` also throw what `account.begin` throws, and PolicyError `E_OVERBILLED`. */
export function meteredSession(session: WireSession, account: ConnectionAccount): WireSession {
  void account.failed.then((error) => session.close(error));
  void session.closed.then(() => account.close());
  return {
    version: session.version,
    capabilities: session.capabilities,
    offer: session.offer,
    get runningRequests() {
      return session.runningRequests;
    },
    closed: session.closed,
    ask: (request) => metered(session, account, {
      queryBytes: request.query.byteLength, maxTokens: request.maxTokens * requestShape(request.query).answers, maxCoefficient: request.maxCoefficient,
    }, () => session.ask(request)),
    askSealed: (request) => metered(session, account, {
      queryBytes: request.sealedBytes, maxTokens: request.maxTokens, maxCoefficient: request.maxCoefficient,
    }, () => session.askSealed(request), () => request.counted()),
    sealOffers: (model, limit, signal) => session.sealOffers(model, limit, signal),
    sealKey: (keyId, signal) => session.sealKey(keyId, signal),
    models: (signal) => session.models(signal),
    sealTargets: (model, signal) => session.sealTargets(model, signal),
    updatePaymentStatus: () => session.updatePaymentStatus(),
    close: (reason) => session.close(reason),
  };
}

async function* metered(
  session: WireSession, account: ConnectionAccount, bounds: RequestBounds, ask: () => AsyncGenerator<AnswerEvent, void, undefined>, counted: () => TokensUsed | null = () => null,
): AsyncGenerator<AnswerEvent, void, undefined> {
  const meter: RequestMeter = await account.begin(bounds);
  let told: TokensUsed | undefined;
  try {
    for await (const event of ask()) {
      if (event.kind === 'head') meter.delivered(event.head.payload.byteLength);
      else if (event.kind === 'part') meter.delivered(event.bytes.byteLength);
      else meter.ended(event.info.tokens, counted());
      yield event;
    }
  } catch (error) {
    if (error instanceof AnswerError) told = error.info?.tokens;
    if (asCocoonError(error).code === 'E_OVERBILLED') session.close(asCocoonError(error));
    throw error;
  } finally {
    meter.lost(told);
  }
}
