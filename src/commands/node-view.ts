// The state document of a node for people: a line of what matters, then proxies, engine, GPUs and money as tables.
import { formatTon } from '../core/units.ts';
import { printable } from './output.ts';
import { renderTable } from './table-view.ts';
import type { MoneyState, NodeState } from '../node/daemon/state.ts';

const SECOND = 1_000;
const SPANS = [[86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'min'], [SECOND, 's']] as const;

/** The two largest units: `3 d 4 h`. */
export function duration(ms: number): string {
  let left = Math.max(0, Math.round(ms / SECOND) * SECOND);
  const parts: string[] = [];
  for (const [span, name] of SPANS) {
    const whole = Math.floor(left / span);
    left -= whole * span;
    if (whole > 0 && parts.length < 2) parts.push(`${whole} ${name}`);
  }
  return parts.length === 0 ? '0 s' : parts.join(' ');
}

const ton = (nano: string | null): string => (nano === null ? '?' : formatTon(BigInt(nano)));
const rate = (value: number): string => (value < 10 ? value.toFixed(1) : String(Math.round(value)));

/** What it really uses; what another server behind it does not say is left out. */
function engineLine({ backend, devices, gpuLayers, totalLayers, threads, sequences, contextSize, kvType, flashAttention }: NodeState['engine']): string {
  const parts = [backend];
  if (totalLayers > 0) parts.push(`${gpuLayers} of ${totalLayers} layers on GPUs${devices.length === 0 ? '' : ` (${devices.join(', ')})`}`);
  if (threads > 0) parts.push(`${threads} threads`);
  parts.push(contextSize > 0 ? `${sequences} × ${contextSize} tokens` : `${sequences} requests at once`);
  if (kvType !== null) parts.push(`${kvType} KV cache`);
  if (flashAttention !== 'auto') parts.push(`flash attention ${flashAttention}`);
  return parts.join(', ');
}

export async function renderNodeState(state: NodeState): Promise<string> {
  const { requests, tokens, engine, attestation, proxies, gpus, money, capacity } = state;
  const first = tokens.firstTokenMs;
  const lines = [
    `${state.state}, up ${duration(state.uptimeMs)}, version ${state.version}, process ${state.pid}, network ${state.network}`,
    `model     ${state.model} at ${(state.price / 1000).toFixed(3)} of the network's price`,
    `requests  ${requests.running} running, ${requests.queued} queued, ${capacity.told} at once; ${requests.answered} answered, ${requests.cancelled} cancelled, ${requests.failed} failed`,
    `tokens    ${rate(tokens.perSecond.s10)}/s now, ${rate(tokens.perSecond.m1)}/s in a minute, ${rate(tokens.perSecond.h1)}/s in an hour${first === null ? '' : `; first token ${Math.round(first.median)} ms (95 %: ${Math.round(first.p95)} ms)`}`,
    `engine    ${engineLine(engine)}`,
    `evidence  ${attestation.evidence}, image ${attestation.imageHash ?? 'none'}: ${attestation.image}, model: ${attestation.model}; certificate for ${duration(attestation.certificateEndsMs - state.nowMs)}`,
    ...(state.sealing === null ? [] : [`receipts  signed by ${state.sealing.receiptKey}; requests are sealed to record ${state.sealing.keyId}, for ${duration(state.sealing.recordEndsMs - state.nowMs)}`]),
    ...gpus.map((gpu) => `gpu ${gpu.index}     ${gpu.name}: ${gpu.utilizationPercent ?? '?'} %, ${gpu.memoryUsedMib ?? '?'} of ${gpu.memoryTotalMib ?? '?'} MiB, ${gpu.temperatureC ?? '?'} °C, ${gpu.powerW ?? '?'} W`),
    ...state.warnings.map((warning) => `warning   ${warning}`),
  ];
  const table = await renderTable(['PROXY', 'LINK', 'EVIDENCE', 'JUDGED FOR', 'ROUND TRIP', 'RUNNING', 'PROBLEM'], proxies.map(({ address, link, verified, roundTripMs, running, problem }) => [
    address, link, verified === null ? '-' : `${verified.evidence}, ${verified.checks} checks`, verified === null ? '-' : verified.leftMs === null ? 'ever' : duration(verified.leftMs),
    roundTripMs === null ? '-' : `${roundTripMs < 10 ? roundTripMs.toFixed(1) : Math.round(roundTripMs)} ms`, String(running), problem ?? '',
  ]));
  // Warnings repeat what proxies have said.
  return `${lines.map(printable).join('\n')}\n\n${table}${money === null ? '' : `\n${await renderMoney(money, state.nowMs)}`}`;
}

async function renderMoney({ owner, wallet, proxies, accruedNano, signedNano, claimedNano }: MoneyState, nowMs: number): Promise<string> {
  const head = `money     accrued ${ton(accruedNano)}, signed ${ton(signedNano)}, claimed ${ton(claimedNano)} TON; paid to ${owner}; gas ${ton(wallet.balanceNano)} TON in ${wallet.address}\n`;
  if (proxies.length === 0) return head;
  return head + await renderTable(['PROXY CONTRACT', 'ACCRUED TON', 'SIGNED TON', 'CLAIMED TON', 'OWED TON', 'OWED SINCE'], proxies.map((one) => [
    one.proxy, ton(one.accruedNano), ton(one.signedNano), ton(one.claimedNano), `${ton(one.owedNano)}${one.blocked ? ', blocked' : ''}`, one.owedSinceMs === null ? '-' : duration(nowMs - one.owedSinceMs),
  ]));
}
