// A client session whose requests are paid for: each one's highest price is put aside before it is sent, what comes is
// counted, and what is billed is held against that. A proxy that bills what cannot be true loses the connection.
import { asCocoonError } from '../core/errors.ts';
import { decodeBoxed } from '../wire/tl/codec.ts';
import type { ConnectionAccount, RequestMeter } from './accounts.ts';
import type { AnswerEvent, AskRequest, ClientSession } from '../wire/client-session.ts';

/** The same session; `ask` also throws what `account.begin` throws, and PolicyError `E_OVERBILLED`. */
export function meteredSession(session: ClientSession, account: ConnectionAccount): ClientSession {
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
    ask: (request) => metered(session, account, request),
    models: (signal) => session.models(signal),
    sealTargets: (model, signal) => session.sealTargets(model, signal),
    updatePaymentStatus: () => session.updatePaymentStatus(),
    close: (reason) => session.close(reason),
  };
}

async function* metered(session: ClientSession, account: ConnectionAccount, request: AskRequest): AsyncGenerator<AnswerEvent, void, undefined> {
  const meter: RequestMeter = await account.begin({
    queryBytes: request.query.byteLength, maxTokens: request.maxTokens * choicesOf(request.query), maxCoefficient: request.maxCoefficient,
  });
  try {
    for await (const event of session.ask(request)) {
      if (event.kind === 'head') meter.delivered(event.head.payload.byteLength);
      else if (event.kind === 'part') meter.delivered(event.bytes.byteLength);
      else meter.ended(event.info.tokens);
      yield event;
    }
  } catch (error) {
    if (asCocoonError(error).code === 'E_OVERBILLED') session.close(asCocoonError(error));
    throw error;
  } finally {
    meter.lost();
  }
}

const N = Buffer.from('"n"');
const BEST_OF = Buffer.from('"best_of"');
const MAX_CHOICES = 1_000;

/** How many answers a request asks for. A body that cannot be read asks for one: the proxy refuses it anyway. */
function choicesOf(query: Uint8Array): number {
  const bytes = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
  if (!bytes.includes(N) && !bytes.includes(BEST_OF)) return 1;
  try {
    const http = decodeBoxed(query);
    if (http._ !== 'http.request') return 1;
    const body: unknown = JSON.parse(Buffer.from(http.payload).toString('utf8'));
    if (typeof body !== 'object' || body === null) return 1;
    const asked = ['n', 'best_of'].map((name) => Number((body as Record<string, unknown>)[name] ?? 1));
    return Math.min(MAX_CHOICES, Math.max(1, ...asked.filter((count) => Number.isSafeInteger(count))));
  } catch {
    return 1;
  }
}
