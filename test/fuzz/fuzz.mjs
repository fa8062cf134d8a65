// `npm run fuzz -- [--minutes N] [--target NAME]… [--seed S] [--corpus DIR]`: coverage-guided fuzzing of every parser that takes
// bytes from outside; ten minutes over all targets unless told otherwise. Inputs that failed are written into coverage/fuzz.
// Exit 1 when something was found. Input files as --replay FILE… run alone, by --target NAME or the target that their folder is named after.
import { register } from 'node:module';

register('./instrument.mjs', import.meta.url);
await import('./coverage.ts');
const { main } = await import('./run.ts');
process.exitCode = await main(process.argv.slice(2));
