// Many short requests and long streams through the engine's process, with readers that vanish at random: no sequence is lost, counts
// are exact, memory stays where it was. SOAK=10000 STREAMS=50 for the long run (`npm run test:soak`).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { silentLog } from '../../../src/core/log.ts';
import { startChildEngine } from '../../../src/node/engine/child-engine.ts';
import { ENGINE_PROGRAM } from '../../fakes/source-program.ts';
import type { EngineRequest, EngineUsage } from '../../../src/node/engine.ts';

const REQUESTS = Number(process.env.SOAK ?? 120);
const STREAMS = Number(process.env.STREAMS ?? 4);
const PARALLEL = 4;
/** Tokens of a short answer. */
const LIMIT = 12;
const never = new AbortController().signal;
const QUESTIONS = ['What is the capital of France?', 'one plus one', 'hello', 'Translate house into Russian', 'I have 3 coins and get 4 more, how many do I have?'];

/** Megabytes that a process holds; 0 where this cannot be told. */
const heldMb = (pid: number | undefined): number => {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
};

const question = (index: number): EngineRequest =>
  ({ prompt: { kind: 'chat', messages: [{ role: 'user', content: QUESTIONS[index % QUESTIONS.length] ?? '' }] }, temperature: 0, maxTokens: LIMIT });

describe('the engine under load', () => {
  it('loses no sequence, counts exactly and holds its memory, whoever vanishes', async () => {
    const engine = await startChildEngine({
      launch: ENGINE_PROGRAM, log: silentLog,
      load: { modelPath: 'models/cocoon-tiny-q8_0.gguf', gpu: 'off', contextSize: 512, parallel: PARALLEL, threads: 1, queueLimit: 1_000 },
    });
    try {
      const ask = async (request: EngineRequest): Promise<EngineUsage | undefined> => {
        for await (const event of engine.complete(request, never)) if (event.type === 'finish') return event.usage;
        return undefined;
      };
      const expected: number[] = [];
      for (let index = 0; index < QUESTIONS.length; index += 1) expected.push((await ask(question(index)))?.promptTokens ?? -1);
      let wrong = 0;
      let vanished = 0;
      const one = async (index: number): Promise<void> => {
        const abort = new AbortController();
        const leaveAt = index % 3 === 0 ? index % 5 : Infinity;
        let events = 0;
        for await (const event of engine.complete(question(index), abort.signal)) {
          if (event.type === 'finish' && event.reason !== 'cancelled') {
            // Which tokens are likeliest may depend on the batch that they are in; how many there were may not.
            const { promptTokens, completionTokens } = event.usage;
            const counted = event.reason === 'length' ? completionTokens === LIMIT : completionTokens > 0 && completionTokens <= LIMIT;
            if (!counted || promptTokens !== expected[index % QUESTIONS.length]) wrong += 1;
          }
          if (events === leaveAt) {
            vanished += 1;
            if (index % 2 === 0) break;
            abort.abort();
          }
          events += 1;
        }
      };
      const stream = async (index: number): Promise<void> => {
        const abort = new AbortController();
        let events = 0;
        for await (const event of engine.complete({ prompt: { kind: 'text', text: '1 2 3 4 5' }, temperature: 0, frequencyPenalty: -2, presencePenalty: -2, maxTokens: 100 + index }, abort.signal)) {
          if (event.type === 'text' && index % 2 === 0 && (events += 1) > 20 + index) abort.abort();
        }
      };
      let next = 0;
      const worker = async (): Promise<void> => {
        while (next < REQUESTS) {
          const index = next;
          next += 1;
          await one(index);
        }
      };
      const half = REQUESTS / 2;
      const streams = Array.from({ length: STREAMS }, (_, index) => stream(index));
      const workers = Array.from({ length: 3 * PARALLEL }, worker);
      while (next < half) await new Promise((resolve) => setTimeout(resolve, 20));
      const before = heldMb(engine.pid);
      await Promise.all([...workers, ...streams]);
      expect(wrong).toBe(0);
      expect(vanished).toBeGreaterThan(REQUESTS / 20);
      expect(heldMb(engine.pid) - before).toBeLessThan(48);
      // Every sequence answers still, all of them at once.
      const last = await Promise.all(Array.from({ length: PARALLEL }, (_, index) => ask(question(index))));
      expect(last.map((usage) => usage?.promptTokens)).toEqual(expected.slice(0, PARALLEL));
      expect(engine.restarts).toBe(0);
    } finally {
      await engine.close();
    }
  }, 3_600_000);
});
