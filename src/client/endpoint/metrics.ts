// Counters of the local endpoint in Prometheus' text form. Models are the only label of an application's choice; they are
// bounded in number. Nothing of prompts or answers is here.
import type { RequestEnd } from './accounting.ts';

export interface EndpointMetrics {
  readonly contentType: string;
  readonly ended: (end: RequestEnd) => void;
  text(): Promise<string>;
  totals(): EndpointTotals;
}

export interface EndpointTotals {
  readonly complete: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Attempts after the first, second attempts beside a slow one, and answers that another node took up. */
  readonly retries: number;
  readonly hedged: number;
  readonly continued: number;
}

/** Further models are counted together. */
const MAX_MODELS = 100;
const SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];

/** `sessions`: verified connections that are ready now. */
export async function endpointMetrics(sessions: () => number): Promise<EndpointMetrics> {
  const { Counter, Gauge, Histogram, Registry } = await import('prom-client');
  const registers = [new Registry()];
  const [registry] = registers;
  const requests = new Counter({ name: 'cocoon_client_requests_total', help: 'Requests by model and outcome', labelNames: ['model', 'outcome'], registers });
  const tokens = new Counter({ name: 'cocoon_client_tokens_total', help: 'Adjusted tokens charged', labelNames: ['model', 'kind'], registers });
  const cost = new Counter({ name: 'cocoon_client_cost_ton_total', help: 'TON charged', registers });
  const first = new Histogram({ name: 'cocoon_client_first_byte_seconds', help: 'Time to the first byte of an answer', buckets: SECONDS, registers });
  const total = new Histogram({ name: 'cocoon_client_request_seconds', help: 'Time to the end of an answer', buckets: SECONDS, registers });
  const staying = new Counter({ name: 'cocoon_client_staying_up_total', help: 'What was done unseen by applications: retries, hedges, answers taken up by another node', labelNames: ['how'], registers });
  const ready = new Gauge({ name: 'cocoon_client_proxies_ready', help: 'Verified connections to proxies', registers });
  const models = new Set<string>();
  const totals = { complete: 0, failed: 0, cancelled: 0, retries: 0, hedged: 0, continued: 0 };
  return {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    ended({ outcome, model: name, charged, costNano, firstByteMs, totalMs, attempts, hedged, continued }) {
      if (models.size < MAX_MODELS) models.add(name);
      const model = models.has(name) ? name : 'other';
      totals[outcome] += 1;
      const done = { retries: Math.max(0, attempts - 1 - (hedged ? 1 : 0) - continued.length), hedged: hedged ? 1 : 0, continued: continued.length };
      for (const how of ['retries', 'hedged', 'continued'] as const) {
        totals[how] += done[how];
        if (done[how] > 0) staying.inc({ how }, done[how]);
      }
      requests.inc({ model, outcome });
      for (const kind of ['prompt', 'cached', 'completion', 'reasoning'] as const) {
        if (charged !== null && charged[kind] > 0n) tokens.inc({ model, kind }, Number(charged[kind]));
      }
      cost.inc(Number(costNano) / 1e9);
      if (firstByteMs !== null) first.observe(firstByteMs / 1000);
      total.observe(totalMs / 1000);
    },
    text() {
      ready.set(sessions());
      return registry?.metrics() ?? Promise.resolve('');
    },
    totals: () => totals,
  };
}
