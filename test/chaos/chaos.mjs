// `npm run test:chaos`: the long run. CHAOS_SEED, CHAOS_REQUESTS, CHAOS_SIZE=small, CHAOS_KEEP=1 (the run's folder stays). Ends
// with 1 when anything was found.
import '../fakes/ts-hooks.mjs';

const { runChaos, FULL, SMALL } = await import('./run.ts');
const { RARER, TROUBLES } = await import('./driver.ts');
const { CHAOS_SEED: seed = '1', CHAOS_REQUESTS: requests = '10000', CHAOS_SIZE: size, CHAOS_KEEP: keep } = process.env;
const result = await runChaos({
  seed, requests: Number(requests), ...(size === 'small' ? { size: SMALL, troubles: TROUBLES } : { size: FULL, troubles: RARER }), keep: keep === '1', progress: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(`${JSON.stringify(result, (_key, value) => (typeof value === 'bigint' ? value.toString() : value), 2)}\n`);
process.exitCode = result.violations.length === 0 ? 0 : 1;
