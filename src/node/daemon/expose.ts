// What monitoring systems of this machine read without a token: /metrics in Prometheus' text form, and /health, which is 200 while
// the node serves or was told not to, and what its engine really uses. Loopback only; says nothing that `node status` does not show.
import { createHttpServer } from '../../http/server.ts';
import { isHealthy } from './state.ts';
import type { HttpServer } from '../../http/server.ts';
import type { Log } from '../../core/log.ts';
import type { NodeMetrics } from './metrics.ts';
import type { NodeState } from './state.ts';

/** Listens when it resolves. Throws ConfigError for an address that is not this machine's or is in use. */
export function expose({ host, port }: { readonly host: string; readonly port: number }, state: () => NodeState, metrics: NodeMetrics, log: Log): Promise<HttpServer> {
  return createHttpServer({
    host, port, loopbackOnly: true, log, maxConnections: 16,
    routes: [
      { method: 'GET', path: '/metrics', handler: async () => ({ text: await metrics.text(state()), headers: { 'content-type': metrics.contentType } }) },
      {
        method: 'GET', path: '/health',
        handler: () => {
          const now = state();
          return { status: isHealthy(now) ? 200 : 503, json: { state: now.state, engine: now.engine, warnings: now.warnings } };
        },
      },
    ],
  });
}
