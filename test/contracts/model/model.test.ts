// Model-based property tests of all contracts together. STEPS sets how many messages are executed (10 000 unless told, a million
// in `npm run test:deep`), SEED the first seed; a failure names the seed that repeats it.
import { describe, expect, it } from '@jest/globals';
import { builtCodes } from '../network.ts';
import { Episode } from './episode.ts';

const STEPS = Number(process.env['STEPS'] ?? 10_000);
const FIRST_SEED = Number(process.env['SEED'] ?? 1);
const EPISODE = 150;
const codes = builtCodes();

describe.each([
  ['dear', true, 'an honest key at 400 nanoTON per gas'],
  ['cheap', true, 'an honest key at 66.67 nanoTON per gas'],
  ['dear', false, 'a key that signs anything at 400 nanoTON per gas'],
  ['cheap', false, 'a key that signs anything at 66.67 nanoTON per gas'],
] as const)('model: %s, honest key %s', (prices, honestKey, name) => {
  // honest runs check more, so they get three quarters of the steps
  const wanted = Math.ceil((STEPS * (honestKey ? 3 : 1)) / 8);
  it(`${wanted} steps with ${name}: every counter is what the transfers say`, async () => {
    let steps = 0;
    for (let seed = FIRST_SEED; steps < wanted; seed += 1) {
      try {
        steps += await Episode.run({ codes, seed, prices, steps: Math.min(EPISODE, wanted - steps), honestKey });
      } catch (error) {
        throw new Error(`SEED=${seed} (${prices}, honest key ${honestKey}): ${String(error)}`, { cause: error });
      }
    }
    expect(steps).toBeGreaterThanOrEqual(wanted);
  }, 60_000 + STEPS * 100);
});
