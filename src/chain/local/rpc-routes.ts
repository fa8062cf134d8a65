// toncenter v2 over HTTP: POST /api/v2/jsonRPC as TonClient speaks it, and each method at /api/v2/NAME (GET with a query for
// reads, POST with JSON for all). Answers are envelopes with `ok`; refuses batches, unknown methods and malformed parameters.
import { z } from 'zod';
import { asCocoonError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { sleep } from '../../core/retry.ts';
import type { HttpProblem, HttpReply, HttpRequest, HttpRoute } from '../../http/routes.ts';
import type { Faults } from './faults.ts';
import type { LocalChain } from './local-chain.ts';
import { METHODS } from './methods.ts';
import { RpcError } from './rpc-error.ts';

export const RPC_PATH = '/api/v2/jsonRPC';
const METHOD_PATH = '/api/v2/:method';

const Envelope = z.object({
  jsonrpc: z.literal('2.0').optional(),
  id: z.union([z.string().max(128), z.number(), z.null()]).optional(),
  method: z.string().max(64),
  params: z.unknown(),
});

type Id = z.infer<typeof Envelope>['id'];

export interface RpcPorts {
  readonly chain: LocalChain;
  readonly faults: Faults;
  readonly log: Log;
}

const envelope = (id: Id): object => id === undefined ? {} : { jsonrpc: '2.0', id };

function failure(status: number, error: string, id: Id): HttpReply {
  return { status, json: { ok: false, error, code: status, ...envelope(id) } };
}

async function answer({ chain, faults, log }: RpcPorts, request: HttpRequest, call: { name: string; params: unknown; id: Id }): Promise<HttpReply> {
  const { name, params, id } = call;
  const method = METHODS[name];
  if (method === undefined) return failure(404, `there is no method ${JSON.stringify(name)}`, id);
  if (request.method === 'GET' && !method.get) return failure(405, `method ${name} is asked with POST`, id);
  const verdict = faults.judge(name);
  if (verdict.delayMs > 0) await sleep(verdict.delayMs, request.signal);
  if (verdict.reply !== undefined) return verdict.reply;
  const view = verdict.lagBlocks > 0 ? chain.state.lagging(verdict.lagBlocks) : chain.state.head;
  try {
    const result = await method.call({ chain, view, delivery: { drop: verdict.drop, lateBlocks: verdict.lateBlocks } }, params);
    return { json: { ok: true, result, ...envelope(id) } };
  } catch (thrown) {
    if (thrown instanceof RpcError) return failure(thrown.status, thrown.message, id);
    const error = asCocoonError(thrown);
    if (error.code === 'E_CHAIN_REFUSED') return failure(500, error.message, id);
    log.error('a request failed', { method: name, code: error.code, error: error.message });
    return failure(500, 'internal error', id);
  }
}

/** How requests are refused that do not reach a method. */
export const rpcProblem = ({ status, message }: HttpProblem): HttpReply => failure(status, message, undefined);

export function rpcRoutes(ports: RpcPorts): HttpRoute[] {
  const direct = (request: HttpRequest): Promise<HttpReply> => answer(ports, request, {
    name: request.params['method'] ?? '', params: request.method === 'GET' ? request.query : request.body, id: undefined,
  });
  return [
    {
      method: 'POST', path: RPC_PATH,
      handler: async (request) => {
        const parsed = Envelope.safeParse(request.body);
        if (!parsed.success) return failure(422, 'not one JSON-RPC request: expected an object with method and params', undefined);
        const { method, params, id } = parsed.data;
        return answer(ports, request, { name: method, params, id });
      },
    },
    { method: 'GET', path: METHOD_PATH, handler: direct },
    { method: 'POST', path: METHOD_PATH, handler: direct },
  ];
}
