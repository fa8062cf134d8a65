// A day of samples of a node that has quiet and busy hours, is restarted once, and earns; the same each time.
import { createHistory, SAMPLE_FIELDS } from '../../src/node/daemon/history.ts';
import { nodeState } from './node-state.ts';
import type { History, Sample } from '../../src/node/daemon/history.ts';

const wave = (at: number, period: number): number => (Math.sin(at / period * 2 * Math.PI) + 1) / 2;

export function nodeHistory(nowMs: number): History {
  const coarse: Sample[] = [];
  for (let minute = 1_439; minute > 30; minute -= 1) {
    if (minute > 600 && minute < 640) continue; // it was down
    const busy = wave(minute, 720) * 0.7 + wave(minute, 47) * 0.2 + wave(minute, 7) * 0.1;
    const earned = (1_440 - minute) / 1_440;
    const values: Record<(typeof SAMPLE_FIELDS)[number], number | null> = {
      atMs: nowMs - minute * 60_000, tokensPerSecond: Math.round(busy * 640) / 1, running: Math.round(busy * 8), queued: busy > 0.85 ? 3 : 0, proxies: 2, gpuPercent: Math.round(busy * 96),
      gpuMemoryPercent: 71, accruedNano: Math.round(earned ** 1.1 * 18e9), signedNano: Math.round(earned * 15 * 8) / 8 * 1e9, claimedNano: Math.floor(earned * 3) * 5e9 * 0.8,
    };
    coarse.push(SAMPLE_FIELDS.map((field) => values[field]));
  }
  const recorder = createHistory(coarse);
  for (let at = 359; at >= 0; at -= 1) {
    recorder.add(nodeState({ nowMs: nowMs - at * 5_000, tokensPerSecond: 300 + wave(at, 90) * 200 + wave(at, 13) * 80, running: Math.round(3 + wave(at, 40) * 4), queued: wave(at, 40) > 0.9 ? 2 : 0, accruedNano: 17_600_000_000n + BigInt(360 - at) * 1_000_000n, signedNano: 15_000_000_000n, claimedNano: 8_000_000_000n }));
  }
  return recorder.read();
}
