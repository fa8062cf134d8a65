// Runs model episodes in a process of their own: outside jest's module sandbox the same steps take a third of the time.
// Arguments: steps, first seed, price set, "honest" or "any". Prints the number of steps; a failure names its seed and exits 1.
import '../ts-hooks.mjs';

const { builtCodes } = await import('../network.ts');
const { Episode } = await import('./episode.ts');

const [wanted, firstSeed, prices, key] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4], process.argv[5]];
const codes = builtCodes();
let steps = 0;
for (let seed = firstSeed; steps < wanted; seed += 1) {
  try {
    steps += await Episode.run({ codes, seed, prices, steps: Math.min(150, wanted - steps), honestKey: key === 'honest' });
  } catch (error) {
    process.stderr.write(`SEED=${seed} (${prices}, ${key} key): ${String(error)}\n`);
    process.exitCode = 1;
    break;
  }
}
process.stdout.write(`${steps}\n`);
