// The local endpoint before a test network: the routes of `cocoon serve` on a free port.
import { createCallers } from '../../../src/client/endpoint/callers.ts';
import { openAiProblem } from '../../../src/client/endpoint/problems.ts';
import { endpointRoutes } from '../../../src/client/endpoint/routes.ts';
import { openSessionPool } from '../../../src/client/session-pool.ts';
import { silentLog } from '../../../src/core/log.ts';
import { createHttpServer } from '../../../src/http/server.ts';
import type { ApiKey } from '../../../src/client/endpoint/callers.ts';
import type { EndpointOptions } from '../../../src/client/endpoint/routes.ts';
import type { SessionPool } from '../../../src/client/session-pool.ts';
import type { HttpServer } from '../../../src/http/server.ts';
import type { TestNetwork } from '../../fakes/network.ts';

export interface TestEndpoint {
  readonly url: string;
  readonly pool: SessionPool;
  close(): Promise<void>;
}

/** `perTokenNano` of the price: 0n, nobody pays. */
export async function startEndpoint(network: Pick<TestNetwork, 'connect'>, options: { readonly keys?: readonly ApiKey[]; readonly budgetNano?: bigint | null; readonly perTokenNano?: bigint } & Partial<EndpointOptions> = {}): Promise<TestEndpoint> {
  const { keys = [], budgetNano = null, perTokenNano = 0n, ...others } = options;
  const pool = openSessionPool({
    connectTimeoutMs: 5_000, log: silentLog, size: 1,
    connector: { connect: ({ timeoutMs, signal }) => network.connect({ timeoutMs, signal }) },
  });
  const server: HttpServer = await createHttpServer({
    host: '127.0.0.1', port: 0, loopbackOnly: true, rawBodies: true, log: silentLog, onProblem: openAiProblem,
    routes: await endpointRoutes({
      pool, callers: createCallers(keys, budgetNano), price: () => ({ perTokenNano, largestMultiplier: 10_000 }),
      maxCoefficient: 4_000, maxTokens: 4_096, defaultMaxTokens: 1_000, timeoutMs: 10_000, now: () => Date.now(), ...others,
    }),
  });
  return {
    url: server.url, pool,
    close: async () => {
      await server.close(500);
      await pool.close();
    },
  };
}
