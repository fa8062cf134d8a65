// Requests through one session only, each tried once: for callers that have chosen the proxy, or that decide themselves what a
// failure means.
import { NetworkError } from '../core/errors.ts';
import { beginAnswer } from './answer-body.ts';
import { queryOf } from './forward.ts';
import type { ConnectedProxy } from './connect.ts';
import type { Forwarder } from './forward.ts';

/** The request's own deadline is the only one. */
const STALL_MS = 2 ** 31 - 1;

/** Throws what ended the attempt. */
export function throughSession(proxy: ConnectedProxy): Pick<Forwarder, 'forward'> {
  return {
    forward: async (request) => {
      const { model, maxTokens, maxCoefficient, timeoutMs, signal, whole, cost, target } = request;
      const aside = cost?.();
      const left = new AbortController();
      const events = proxy.session.ask({
        model, query: queryOf(request), maxTokens, maxCoefficient, timeoutMs, signal: AbortSignal.any([signal, left.signal]), ...(target !== undefined && { target }),
      });
      const begun = await beginAnswer(events, {
        whole, stallMs: STALL_MS, begun: () => {}, cancel: () => left.abort(new NetworkError('E_CLOSED', 'answer was not read to its end')),
        ended: ({ info, delivered }) => aside?.settle(info, delivered),
      });
      return { proxy, ...begun, attempts: 1, hedged: false };
    },
  };
}
