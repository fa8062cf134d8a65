// The state document in Prometheus' text form, and two histograms that a document cannot hold. Labels are proxies and GPUs, which
// are bounded in number; nothing of prompts or answers is here.
import { PHASES } from './state.ts';
import type { Counter, Gauge } from 'prom-client';
import type { MeterListeners } from './meter.ts';
import type { NodeState } from './state.ts';

export interface NodeMetrics {
  readonly contentType: string;
  /** To be told to the meter. */
  readonly listeners: Pick<MeterListeners, 'firstToken' | 'ended'>;
  text(state: NodeState): Promise<string>;
}

const SECONDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300];
const NANO = 1e9;
const MIB = 1_048_576;

export async function createMetrics(): Promise<NodeMetrics> {
  const prom = await import('prom-client');
  const registry = new prom.Registry();
  const registers = [registry];
  const first = new prom.Histogram({ name: 'cocoon_node_first_token_seconds', help: 'Time to the first part of a streamed answer', buckets: SECONDS, registers });
  const whole = new prom.Histogram({ name: 'cocoon_node_request_seconds', help: 'Time to the end of an answer', labelNames: ['outcome'], buckets: SECONDS, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> => new prom.Gauge({ name: `cocoon_node_${name}`, help, labelNames, registers });
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> => new prom.Counter({ name: `cocoon_node_${name}`, help, labelNames, registers });
  const gauges = {
    info: gauge('info', 'Always 1; what runs is in the labels', 'version', 'network', 'model', 'backend', 'evidence'),
    state: gauge('state', '1 for the state that the node is in', 'state'),
    up: gauge('uptime_seconds', 'Time since the start'),
    running: gauge('requests_running', 'Requests that are being answered'),
    queued: gauge('requests_queued', 'Requests that wait for a place in the engine'),
    capacity: gauge('capacity', 'Requests at once that proxies are told'),
    price: gauge('price_ratio', 'Price as a multiple of the network\'s'),
    flow: gauge('tokens_per_second', 'Tokens generated a second, mean of the window', 'window'),
    certificate: gauge('certificate_seconds_left', 'Until the certificate that is shown ends'),
    listed: gauge('listed', '1: the root contract lists it, 0: it does not, absent: unknown', 'what'),
    link: gauge('proxy_connected', '1 while this proxy is connected', 'proxy'),
    roundTrip: gauge('proxy_round_trip_seconds', 'Time of the last ping', 'proxy'),
    verdict: gauge('proxy_verdict_seconds_left', 'Until the proxy is judged again', 'proxy'),
    wallet: gauge('wallet_ton', 'What the hot wallet holds'),
    owed: gauge('owed_ton', 'Accrued and not signed', 'proxy'),
    blocked: gauge('proxy_blocked', '1 while nothing is done for a proxy that owes too much', 'proxy'),
    gpuUse: gauge('gpu_utilization_ratio', 'Share of time in use', 'gpu'),
    gpuUsed: gauge('gpu_memory_used_bytes', 'Memory in use', 'gpu'),
    gpuTotal: gauge('gpu_memory_bytes', 'Memory', 'gpu'),
    gpuHeat: gauge('gpu_temperature_celsius', 'Temperature', 'gpu'),
    gpuPower: gauge('gpu_power_watts', 'Power drawn', 'gpu'),
    warnings: gauge('warnings', 'Warnings that `cocoon node status` shows now'),
  };
  const counters = {
    requests: counter('requests_total', 'Requests by outcome', 'outcome'),
    tokens: counter('tokens_total', 'Tokens by the engine\'s count', 'kind'),
    money: counter('earnings_ton_total', 'TON by how far they have come, at the fee of now', 'stage'),
  };

  const fill = ({ requests, tokens, attestation, proxies, money, gpus, ...state }: NodeState): void => {
    for (const one of [...Object.values(gauges), ...Object.values(counters)]) one.reset();
    gauges.info.set({ version: state.version, network: state.network, model: state.model, backend: state.engine.backend, evidence: attestation.evidence }, 1);
    for (const phase of PHASES) gauges.state.set({ state: phase }, phase === state.state ? 1 : 0);
    gauges.up.set(state.uptimeMs / 1000);
    gauges.running.set(requests.running);
    gauges.queued.set(requests.queued);
    gauges.capacity.set(state.capacity.told);
    gauges.price.set(state.price / 1000);
    for (const [window, value] of Object.entries(tokens.perSecond)) gauges.flow.set({ window }, value);
    gauges.certificate.set((attestation.certificateEndsMs - state.nowMs) / 1000);
    for (const what of ['image', 'model'] as const) if (attestation[what] !== 'unknown') gauges.listed.set({ what }, attestation[what] === 'listed' ? 1 : 0);
    for (const outcome of ['answered', 'cancelled', 'failed'] as const) counters.requests.inc({ outcome }, requests[outcome]);
    for (const kind of ['prompt', 'cached', 'completion'] as const) counters.tokens.inc({ kind }, tokens[kind]);
    for (const { address: proxy, link, roundTripMs, verified } of proxies) {
      gauges.link.set({ proxy }, link === 'ready' ? 1 : 0);
      if (roundTripMs !== null) gauges.roundTrip.set({ proxy }, roundTripMs / 1000);
      if (verified !== null && verified.leftMs !== null) gauges.verdict.set({ proxy }, verified.leftMs / 1000);
    }
    if (money !== null) {
      if (money.wallet.balanceNano !== null) gauges.wallet.set(Number(money.wallet.balanceNano) / NANO);
      for (const stage of ['accrued', 'signed', 'claimed'] as const) counters.money.inc({ stage }, Number(money[`${stage}Nano`]) / NANO);
      for (const { proxy, owedNano, blocked } of money.proxies) {
        if (owedNano !== null) gauges.owed.set({ proxy }, Number(owedNano) / NANO);
        gauges.blocked.set({ proxy }, blocked ? 1 : 0);
      }
    }
    for (const { index, utilizationPercent, memoryUsedMib, memoryTotalMib, temperatureC, powerW } of gpus) {
      const gpu = String(index);
      if (utilizationPercent !== null) gauges.gpuUse.set({ gpu }, utilizationPercent / 100);
      if (memoryUsedMib !== null) gauges.gpuUsed.set({ gpu }, memoryUsedMib * MIB);
      if (memoryTotalMib !== null) gauges.gpuTotal.set({ gpu }, memoryTotalMib * MIB);
      if (temperatureC !== null) gauges.gpuHeat.set({ gpu }, temperatureC);
      if (powerW !== null) gauges.gpuPower.set({ gpu }, powerW);
    }
    gauges.warnings.set(state.warnings.length);
  };

  return {
    contentType: registry.contentType,
    listeners: {
      firstToken: (tookMs) => first.observe(tookMs / 1000),
      ended: (outcome, tookMs) => whole.observe({ outcome }, tookMs / 1000),
    },
    text(state) {
      fill(state);
      return registry.metrics();
    },
  };
}
