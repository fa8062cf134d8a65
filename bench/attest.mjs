// `node bench/attest.mjs`: verifications of TDX quotes per second and core: cold (every byte parsed and every signature verified,
// nothing remembered), new evidence under authorities that were met before, and a cached verdict, beside @phala/dcap-qvl on the
// same evidence and beside the nine signatures and five keys alone, all in one run, the sides taking turns. Times are CPU time of this process, the least of many rounds, since whatever else the machine
// does can only add to it; the median is in parentheses.
import { readFileSync } from 'node:fs';
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { register } from 'node:module';
import phala from '@phala/dcap-qvl';

register('../test/fakes/ts-hooks.mjs', import.meta.url);
const { judgeDcap } = await import('../src/tee/dcap/dcap.ts');
const { DEFAULT_TDX_POLICY } = await import('../src/tee/dcap/policy.ts');
const { VerdictCache, verdictKey } = await import('../src/tee/verdict-cache.ts');
const { forgetAuthorities } = await import('../src/tee/x509/remembered.ts');

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

/** What OpenSSL takes for the signatures of a quote and its collateral, keys imported anew. */
function signaturesAlone() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const message = Buffer.alloc(632);
  const signature = sign('sha256', message, privateKey);
  const jwk = publicKey.export({ format: 'jwk' });
  return () => {
    let key;
    for (let i = 0; i < 5; i += 1) key = createPublicKey({ key: jwk, format: 'jwk' });
    for (let i = 0; i < 9; i += 1) if (!verify('sha256', message, key, signature)) throw new Error('a good signature does not verify');
  };
}

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
  const cold = () => {
    forgetAuthorities();
    return judgeDcap(input);
  };
  const ms = compare([
    ['cold', 10, cold], ['authorities known', 10, () => judgeDcap(input)], ['cached', 500, cached], ['dcap-qvl', 5, theirs], ['nine signatures and five keys alone', 10, signaturesAlone()],
  ]);
  const [first, warm, beside] = ['cold', 'cached', 'dcap-qvl'].map((name) => ms.get(name).least);
  const { median: middle } = ms.get('cold');
  for (const [name, value] of ms) console.log(`TDX ${show(name, value)}`);
  console.log(`TDX target cold at most 5 ms: least ${verdict(first <= 5)}, median ${verdict(middle <= 5)}; cached at most 50 µs: ${verdict(warm <= 0.05)}; times faster than dcap-qvl: ${(beside / first).toFixed(1)}`);
}

tdx();
