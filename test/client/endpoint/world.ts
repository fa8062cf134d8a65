// The local endpoint before a test network, or before proxies that are scripted: the routes of `cocoon serve` on a free port.
import { createCallers } from '../../../src/client/endpoint/callers.ts';
import { openAiProblem } from '../../../src/client/endpoint/problems.ts';
import { watchNodes } from '../../../src/client/endpoint/nodes.ts';
import { endpointRoutes } from '../../../src/client/endpoint/routes.ts';
import { createFaultBoard } from '../../../src/client/faults.ts';
import { createForwarder } from '../../../src/client/forward.ts';
import { openSessionPool } from '../../../src/client/session-pool.ts';
import { silentLog } from '../../../src/core/log.ts';
import { createHttpServer } from '../../../src/http/server.ts';
import type { ConnectedProxy } from '../../../src/client/connect.ts';
import type { ApiKey } from '../../../src/client/endpoint/callers.ts';
import type { RequestEnd } from '../../../src/client/endpoint/accounting.ts';
import type { EndpointOptions } from '../../../src/client/endpoint/routes.ts';
import type { SessionPool } from '../../../src/client/session-pool.ts';
import type { HttpServer } from '../../../src/http/server.ts';

/** What a pool asks its connector for. */
export interface ConnectOptions { readonly timeoutMs: number; readonly signal: AbortSignal; readonly except?: ReadonlySet<string> }

export interface TestEndpoint {
  readonly url: string;
  readonly pool: SessionPool;
  readonly ends: readonly RequestEnd[];
  close(): Promise<void>;
}

export interface TestEndpointOptions extends Partial<Omit<EndpointOptions, 'pool' | 'nodes' | 'board' | 'forwarder'>> {
  readonly keys?: readonly ApiKey[];
  readonly budgetNano?: bigint | null;
  /** 0n: nobody pays. */
  readonly perTokenNano?: bigint;
  /** Proxies to keep connections with. Default 1. */
  readonly size?: number;
  readonly hedgeMs?: number;
  readonly stallMs?: number;
}

export async function startEndpoint(connector: { connect(options: ConnectOptions): Promise<ConnectedProxy> }, options: TestEndpointOptions = {}): Promise<TestEndpoint> {
  const { keys = [], budgetNano = null, perTokenNano = 0n, size = 1, hedgeMs = null, stallMs, ...others } = options;
  const now = (): number => Date.now();
  const board = createFaultBoard(now);
  const pool = openSessionPool({ connectTimeoutMs: 5_000, log: silentLog, size, board, connector: { connect: (request) => connector.connect(request) } });
  const nodes = watchNodes({ pool, sealed: false, log: silentLog, soonMs: 50 });
  const ends: RequestEnd[] = [];
  const server: HttpServer = await createHttpServer({
    host: '127.0.0.1', port: 0, loopbackOnly: true, rawBodies: true, log: silentLog, onProblem: openAiProblem, maxConnections: 1_024,
    routes: await endpointRoutes({
      pool, nodes, board, forwarder: createForwarder({ pool, board, hedgeMs, ...(stallMs !== undefined && { stallMs }) }), callers: createCallers(keys, budgetNano),
      price: () => ({ perTokenNano, largestMultiplier: 10_000 }), maxCoefficient: 4_000, maxTokens: 4_096, defaultMaxTokens: 1_000, timeoutMs: 10_000, now,
      onEnd: (end) => { ends.push(end); }, ...others,
    }),
  });
  return {
    url: server.url, pool, ends,
    close: async () => {
      await server.close(500);
      await nodes.close();
      await pool.close();
    },
  };
}
