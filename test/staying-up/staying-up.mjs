// `npm run test:staying-up`: the long run. STAYING_UP_REQUESTS, STAYING_UP_SEED, STAYING_UP_SEAL=off. Ends with 1 when fewer than 99.5 %
// of the answers were complete, or one was wrong or only looked complete.
import '../fakes/ts-hooks.mjs';

const { FULL, runStayingUp } = await import('./run.ts');
const { STAYING_UP_REQUESTS: requests = FULL.requests, STAYING_UP_SEED: seed = FULL.seed, STAYING_UP_SEAL: seal = FULL.seal } = process.env;
const result = await runStayingUp({ ...FULL, requests: Number(requests), seed: Number(seed), seal, progress: (text) => process.stderr.write(`${text}\n`) });
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
process.exitCode = result.complete >= 0.995 * result.requests && result.wrong.length === 0 && result.falselyComplete.length === 0 ? 0 : 1;
