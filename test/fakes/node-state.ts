// A state document of a node that serves, with everything in it, and the parts that tests change.
import type { NodeState, Phase } from '../../src/node/daemon/state.ts';

export interface NodeStateChange {
  readonly nowMs?: number;
  readonly state?: Phase;
  readonly connected?: boolean;
  readonly running?: number;
  readonly queued?: number;
  readonly tokensPerSecond?: number;
  readonly balanceNano?: string;
  readonly certificateEndsMs?: number;
  readonly image?: NodeState['attestation']['image'];
  readonly model?: NodeState['attestation']['model'];
  readonly owedSinceMs?: number;
  readonly blocked?: boolean;
  readonly accruedNano?: bigint;
  readonly signedNano?: bigint;
  readonly claimedNano?: bigint;
  readonly warnings?: readonly string[];
}

const HEX = 'ab'.repeat(32);
const DAY_MS = 86_400_000;

export function nodeState(change: NodeStateChange): NodeState {
  const { nowMs = 1_000_000, state = 'serving', connected = true, running = 1, queued = 0, tokensPerSecond = 42.5, balanceNano = '3000000000', accruedNano = 3_000_000_000n, signedNano = 2_000_000_000n, claimedNano = 1_000_000_000n } = change;
  return {
    schema: 'cocoon.node-state/1', state, drainedSinceMs: null, version: '0.1.0', pid: 4_242, nowMs, startedMs: nowMs - 500_000, uptimeMs: 500_000, network: 'local',
    model: 'cocoon-tiny@local:abc', price: 1_000, capacity: { told: 4, engine: 4 }, requests: { running, queued, answered: 4, cancelled: 1, failed: 0 },
    tokens: { prompt: 100, cached: 10, completion: 200, perSecond: { s10: tokensPerSecond, m1: tokensPerSecond, m15: 12, h1: 3 }, firstTokenMs: { median: 120, p95: 480 } },
    engine: { backend: 'cuda', devices: ['NVIDIA H100'], gpuLayers: 33, totalLayers: 33, contextSize: 8_192, sequences: 4, threads: 8, chat: true, kvType: 'f16', flashAttention: 'on' },
    gpus: [{ index: 0, name: 'NVIDIA H100', utilizationPercent: 50, memoryUsedMib: 40_000, memoryTotalMib: 81_559, temperatureC: 60, powerW: null }], gpuProblem: null,
    attestation: { evidence: 'tdx', imageHash: HEX, tlsPublicKey: HEX, certificateEndsMs: change.certificateEndsMs ?? nowMs + DAY_MS, image: change.image ?? 'listed', model: change.model ?? 'listed' },
    sealing: { receiptKey: HEX, keyId: 'cd'.repeat(16), recordEndsMs: nowMs + 1_800_000 },
    proxies: [{
      address: '127.0.0.1:1', link: connected ? 'ready' : 'waiting', problem: connected ? null : 'it closed the connection',
      verified: connected ? { evidence: 'tdx', imageHash: HEX, checks: 31, freshness: 'evidence made for this connection', leftMs: 3_000_000 } : null,
      roundTripMs: connected ? 12.3 : null, protocol: connected ? 8 : null, contract: connected ? 'EQproxy' : null, running,
    }],
    money: {
      owner: 'UQowner', wallet: { address: 'UQwallet', balanceNano, neededNano: '500000000' }, accruedNano: String(accruedNano), signedNano: String(signedNano), claimedNano: String(claimedNano),
      proxies: [{
        proxy: 'EQproxy', contract: 'EQworker', accruedTokens: '300', signedTokens: '200', claimedTokens: '100', accruedNano: String(accruedNano), signedNano: String(signedNano), claimedNano: String(claimedNano),
        owedNano: '1000000000', owedSinceMs: change.owedSinceMs ?? null, blocked: change.blocked ?? false,
      }],
    },
    warnings: [...change.warnings ?? []],
  };
}
