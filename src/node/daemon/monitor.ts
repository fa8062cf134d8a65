// Puts together the state document of a running node, from parts that each know one thing, and keeps a day of samples of it.
// Everything is read; nothing here changes what the node does.
import { X509Certificate } from 'node:crypto';
import { toHex } from '../../core/bytes.ts';
import { formatTon } from '../../core/units.ts';
import { createHistory, FINE_MS } from './history.ts';
import type { Clock } from '../../core/clock.ts';
import type { EvidenceKind } from '../../tee/peer.ts';
import type { EngineInfo } from '../engine.ts';
import type { ProxyConnection, RunningNode } from '../node.ts';
import type { SealingKeys } from '../sealed-keys.ts';
import type { GpuWatch } from './gpu.ts';
import type { History } from './history.ts';
import type { KeptState } from './kept.ts';
import type { Meter } from './meter.ts';
import type { MoneyWatch } from './money-watch.ts';
import type { NodeState, Phase, ProxyState } from './state.ts';

export type Listed = 'listed' | 'not listed' | 'unknown';

export interface MonitorParts {
  readonly version: string;
  readonly pid: number;
  readonly network: string;
  /** Full name. */
  readonly model: string;
  readonly node: Pick<RunningNode, 'connections' | 'running'>;
  readonly engine: () => EngineInfo;
  readonly meter: Pick<Meter, 'view'>;
  readonly terms: () => { readonly price: number; readonly capacity: number };
  readonly identity: { readonly evidence: EvidenceKind; readonly imageHash: Uint8Array | null; readonly publicKey: Uint8Array; current(): { readonly certificateDer: Uint8Array } };
  /** Of the keys for sealed requests, as they are now. */
  readonly sealing: () => SealingKeys;
  /** What the root contract says of this image and model now. */
  readonly listing: () => { readonly image: Listed; readonly model: Listed };
  readonly kept: Pick<KeptState, 'drainedSinceMs'>;
  /** True while it takes nothing new, for whatever reason. */
  readonly isDraining: () => boolean;
  readonly money: MoneyWatch | null;
  readonly gpus: GpuWatch;
  readonly clock: Clock;
  /** Of the process before this one. */
  readonly earlier?: unknown;
}

export interface Monitor {
  state(): NodeState;
  history(): History;
  /** Calls `listener` with each sample. */
  onSample(listener: (state: NodeState) => void): void;
  close(): void;
}

/** What is left of a certificate that should have been renewed long ago. */
export const CERTIFICATE_LOW_MS = 6 * 3_600_000;

export function createMonitor(parts: MonitorParts): Monitor {
  const { clock, node } = parts;
  const startedMs = clock.now();
  const history = createHistory(parts.earlier);
  const roundTrips = new Map<string, number>();
  const listeners: ((state: NodeState) => void)[] = [];
  let wasServing = false;

  const measure = (): void => {
    const connections = node.connections();
    for (const { address, ping } of connections) {
      ping()?.then((tookMs) => roundTrips.set(address, tookMs), () => roundTrips.delete(address));
    }
    const listed = new Set(connections.map(({ address }) => address));
    for (const address of roundTrips.keys()) if (!listed.has(address)) roundTrips.delete(address);
  };

  const state = (): NodeState => {
    const nowMs = clock.now();
    const { running: active, perSecond, firstTokenMs, prompt, cached, completion, ...ended } = parts.meter.view();
    const { backend, devices, gpuLayers, totalLayers, contextSize, sequences, threads, chat, kvType, flashAttention } = parts.engine();
    const proxies = node.connections().map((connection) => proxyState(connection, roundTrips.get(connection.address) ?? null));
    const isConnected = proxies.some(({ link }) => link === 'ready');
    wasServing ||= isConnected;
    const running = Math.min(active, sequences);
    const { price, capacity } = parts.terms();
    const { gpus, problem } = parts.gpus.current();
    const { identity } = parts;
    const { receiptKey, keyId, notAfterS } = parts.sealing();
    const without: Omit<NodeState, 'warnings'> = {
      schema: 'cocoon.node-state/1', state: phaseOf(parts.isDraining(), isConnected, wasServing, active), drainedSinceMs: parts.kept.drainedSinceMs,
      version: parts.version, pid: parts.pid, nowMs, startedMs, uptimeMs: Math.max(0, nowMs - startedMs), network: parts.network, model: parts.model,
      price, capacity: { told: capacity, engine: sequences },
      requests: { running, queued: active - running, answered: ended.answered, cancelled: ended.cancelled, failed: ended.failed },
      tokens: { prompt, cached, completion, perSecond, firstTokenMs },
      engine: { backend, devices: [...devices], gpuLayers, totalLayers, contextSize, sequences, threads, chat, kvType, flashAttention },
      gpus: [...gpus], gpuProblem: problem,
      attestation: {
        evidence: identity.evidence, imageHash: identity.imageHash === null ? null : toHex(identity.imageHash), tlsPublicKey: toHex(identity.publicKey),
        certificateEndsMs: Date.parse(new X509Certificate(identity.current().certificateDer).validTo), ...parts.listing(),
      },
      sealing: { receiptKey: toHex(receiptKey), keyId: toHex(keyId), recordEndsMs: notAfterS * 1000 },
      proxies, money: parts.money?.current() ?? null,
    };
    return { ...without, warnings: warningsOf(without) };
  };

  const timer = setInterval(() => {
    measure();
    const now = state();
    history.add(now);
    for (const listener of listeners) listener(now);
  }, FINE_MS);
  timer.unref();
  measure();
  return {
    state,
    history: () => history.read(),
    onSample: (listener) => { listeners.push(listener); },
    close: () => clearInterval(timer),
  };
}

function phaseOf(isDraining: boolean, isConnected: boolean, wasServing: boolean, active: number): Phase {
  if (isDraining) return active > 0 ? 'draining' : 'drained';
  if (isConnected) return 'serving';
  return wasServing ? 'offline' : 'starting';
}

function proxyState({ address, state, peer }: ProxyConnection, roundTripMs: number | null): ProxyState {
  const session = state.kind === 'ready' ? state.session : null;
  const leftMs = peer?.standing?.leftMs() ?? Infinity;
  const checks = peer?.checks ?? [];
  return {
    address, link: state.kind, problem: 'error' in state ? state.error.message.slice(0, 1_000) : null,
    verified: session === null || peer === null ? null : {
      evidence: peer.evidence, imageHash: toHex(peer.imageHash), checks: checks.filter(({ info }) => info !== true).length,
      freshness: checks.findLast(({ name }) => name === 'freshness')?.detail.slice(0, 1_000) ?? 'not shown',
      leftMs: Number.isFinite(leftMs) ? Math.round(leftMs) : null,
    },
    roundTripMs: session === null || roundTripMs === null ? null : Math.round(roundTripMs * 100) / 100,
    protocol: session?.version ?? null, contract: session === null || session.offer.proxy.contractAddress === '' ? null : session.offer.proxy.contractAddress.slice(0, 200),
    running: session?.runningRequests ?? 0,
  };
}

/** What is wrong, or about to be, the gravest first. */
function warningsOf({ state, attestation, proxies, money, nowMs, drainedSinceMs }: Omit<NodeState, 'warnings'>): string[] {
  const found: string[] = [];
  if (state === 'offline') found.push('no proxy is connected');
  if (attestation.image === 'not listed') found.push('the root contract does not list this image any more: proxies refuse it from now on');
  if (attestation.model === 'not listed') found.push('the root contract does not list this model any more: nobody will ask for it');
  const leftMs = attestation.certificateEndsMs - nowMs;
  if (leftMs < CERTIFICATE_LOW_MS) found.push(`the certificate could not be renewed and ends in ${Math.max(0, Math.round(leftMs / 60_000))} min`);
  for (const { address, link, problem } of proxies) if (link === 'refused') found.push(`the evidence of proxy ${address} was refused: ${problem ?? 'unknown reason'}`);
  if (money !== null) {
    const { balanceNano, neededNano } = money.wallet;
    if (balanceNano !== null && BigInt(balanceNano) < BigInt(neededNano)) found.push(`the hot wallet holds ${formatTon(BigInt(balanceNano))} TON, at least ${formatTon(BigInt(neededNano))} are needed for fees`);
    for (const { proxy, blocked, owedNano } of money.proxies) if (blocked) found.push(`proxy ${proxy} owes ${owedNano === null ? 'too much' : `${formatTon(BigInt(owedNano))} TON`}: no more work is done for it`);
  }
  if (drainedSinceMs !== null) found.push('it takes no work, as it was told: `cocoon node resume` ends that');
  return found.slice(0, 100);
}
