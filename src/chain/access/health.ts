// What is known about each endpoint: latency, newest block, failures, how long to leave it alone; and the order to ask in.
import { backoffMs } from '../../core/retry.ts';
import type { EndpointError } from './http-adapter.ts';
import { shown } from './http-adapter.ts';
import type { EndpointHealth } from './types.ts';

/** Weight of the newest latency in the moving average. */
const LATENCY_WEIGHT = 0.3;
const LAGGING_S = 30;
const COOLING = { baseMs: 500, maxMs: 60_000 };

export interface HealthPorts {
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
}

export class HealthRecord {
  readonly name: string;
  readonly #ports: HealthPorts;
  #latencyMs: number | null = null;
  #seqno: number | null = null;
  /** Chain time minus local time at the last answer, in seconds: comparable between endpoints asked at different moments. */
  #offsetS: number | null = null;
  #failures = 0;
  #troubles = 0;
  #lastError: string | null = null;
  #coolUntilMs = 0;

  constructor(name: string, ports: HealthPorts) {
    this.name = name;
    this.#ports = ports;
  }

  succeeded(startedMs: number): void {
    const ms = this.#ports.now() - startedMs;
    this.#latencyMs = this.#latencyMs === null ? ms : this.#latencyMs + LATENCY_WEIGHT * (ms - this.#latencyMs);
    this.#failures = 0;
    this.#coolUntilMs = 0;
  }

  sawBlock(time: number, seqno?: number): void {
    this.#offsetS = time - this.#ports.now() / 1000;
    if (seqno !== undefined) this.#seqno = seqno;
  }

  /** Counts the troubles that were met so far; a request remembers it when it is made. */
  get troubles(): number {
    return this.#troubles;
  }

  /** `troubles`: what it was when the request that failed was made. */
  failed(error: EndpointError, troubles: number): void {
    this.#lastError = shown(error.message);
    // A request that the endpoint understood and refused says nothing against the endpoint.
    if (error.definite) return;
    const nowMs = this.#ports.now();
    // Requests that were under way together fail together: one trouble, or a busy program would leave a good endpoint alone for a minute.
    if (troubles === this.#troubles) {
      this.#coolUntilMs = nowMs + backoffMs(this.#failures, { ...COOLING, random: this.#ports.random });
      this.#failures += 1;
      this.#troubles += 1;
    }
    this.#coolUntilMs = Math.max(this.#coolUntilMs, nowMs + (error.retryAfterMs ?? 0));
  }

  /** Milliseconds until the endpoint may be asked again; 0 when it may be now. */
  get coolingMs(): number {
    return Math.max(0, this.#coolUntilMs - this.#ports.now());
  }

  get offsetS(): number | null {
    return this.#offsetS;
  }

  report(bestOffsetS: number | null): EndpointHealth {
    const lagS = this.#offsetS === null || bestOffsetS === null ? null : Math.max(0, Math.round(bestOffsetS - this.#offsetS));
    const untried = this.#latencyMs === null && this.#failures === 0;
    const lagging = lagS !== null && lagS > LAGGING_S;
    return {
      name: this.name,
      status: this.coolingMs > 0 ? 'cooling' : untried ? 'untried' : lagging ? 'lagging' : 'ok',
      latencyMs: this.#latencyMs === null ? null : Math.round(this.#latencyMs),
      seqno: this.#seqno,
      lagS,
      consecutiveFailures: this.#failures,
      lastError: this.#lastError,
    };
  }
}

/** Reports in configured order. */
export function reports(records: readonly HealthRecord[]): EndpointHealth[] {
  const offsets = records.map((record) => record.offsetS).filter((offset) => offset !== null);
  const best = offsets.length === 0 ? null : Math.max(...offsets);
  return records.map((record) => record.report(best));
}

/** Indexes of the endpoints that may be asked now: configured order, those that lag last. */
export function askingOrder(records: readonly HealthRecord[]): number[] {
  const usable = reports(records).map((report, index) => ({ index, status: report.status })).filter(({ status }) => status !== 'cooling');
  return [...usable.filter(({ status }) => status !== 'lagging'), ...usable.filter(({ status }) => status === 'lagging')].map(({ index }) => index);
}
