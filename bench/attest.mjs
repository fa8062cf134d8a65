// `node bench/attest.mjs`: verifications per second and core for each kind of evidence, cold (every byte parsed and every
// signature verified) and cached, beside @phala/dcap-qvl on the same evidence in the same run, the sides taking turns.
// Runs on the build (npm run build). Times are CPU time of this process, the least of many rounds, since whatever else the machine
// does can only add to it; the median is in parentheses.
import { readFileSync } from 'node:fs';
import phala from '@phala/dcap-qvl';
import { judgeDcap } from '../dist/tee/dcap/dcap.js';
import { DEFAULT_TDX_POLICY } from '../dist/tee/dcap/policy.js';
import { VerdictCache, verdictKey } from '../dist/tee/verdict-cache.js';

const ROUNDS = Number(process.env.COCOON_BENCH_ROUNDS ?? 15);
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const verdict = (met) => (met ? 'met' : 'MISSED');

/** CPU milliseconds of one call, from `count` calls. */
function cpuMs(count, call) {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i += 1) call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / count;
}

/** CPU milliseconds of each side, least and median; the sides take turns, after one round that is not counted. */
function compare(sides) {
  const times = new Map(sides.map(([name]) => [name, []]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [name, count, call] of sides) {
      const ms = cpuMs(count, call);
      if (round > 0) times.get(name).push(ms);
    }
  }
  return new Map([...times].map(([name, values]) => [name, { least: Math.min(...values), median: median(values) }]));
}

const time = (ms) => (ms < 1 ? `${(ms * 1000).toFixed(0)} µs` : `${ms.toFixed(2)} ms`);
const show = (name, { least, median: middle }) => `${name}: ${time(least)} (median ${time(middle)}, ${Math.round(1000 / least)}/s)`;

/** Our own vector under a generated root; the third-party ones need not be there. */
function tdx() {
  const folder = new URL('../test/vectors/attestation/tdx-synthetic/', import.meta.url);
  const { quote_hex: quoteHex, collateral, now } = JSON.parse(readFileSync(new URL('valid_v5_td15.json', folder), 'utf8'));
  const root = readFileSync(new URL('root_ca.der', folder));
  const quote = Buffer.from(quoteHex, 'hex');
  const input = { quote, collateral, nowMs: now * 1000, root, policy: { tdx: { ...DEFAULT_TDX_POLICY, anyMeasurement: true }, sgx: null } };
  const cache = new VerdictCache();
  const [collateralKey, policyKey] = [verdictKey(JSON.stringify(collateral)), verdictKey('policy')];
  const cached = () => {
    const key = verdictKey(quote, collateralKey, policyKey);
    const known = cache.get(key, input.nowMs);
    if (known !== null) return known;
    const outcome = judgeDcap(input);
    cache.set(key, outcome, input.nowMs);
    return outcome;
  };
  const other = phala.QuoteVerifier.newWithRootCa(root);
  const theirs = () => other.verify(quote, collateral, now);
  if (judgeDcap(input).verdict.overall !== 'pass' || cached().verdict.overall !== 'pass' || theirs().status !== 'UpToDate') throw new Error('the vector is not accepted');
  const ms = compare([['cold', 10, () => judgeDcap(input)], ['cached', 500, cached], ['dcap-qvl', 5, theirs]]);
  const [cold, warm, beside] = ['cold', 'cached', 'dcap-qvl'].map((name) => ms.get(name).least);
  console.log(`TDX           ${[...ms].map(([name, value]) => show(name, value)).join('   ')}`);
  console.log(`              target cold at most 5 ms: ${verdict(cold <= 5)}   cached at most 50 µs: ${verdict(warm <= 0.05)}   times faster than dcap-qvl: ${(beside / cold).toFixed(1)}`);
}

tdx();
