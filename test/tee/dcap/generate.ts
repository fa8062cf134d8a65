// Generates DCAP evidence for the differential test from a seed: a base and up to three features, each a change that a
// platform, a writer of collateral or a forger could make. The features' names explain differences (differences.ts).
import { DAY_MS, forge, isvLevel, level, NOW_MS, PCESVN, sharedPki, svns } from '../../fakes/dcap-forge.ts';
import type { Body, Forged, ForgeOptions, Json, Pki } from '../../fakes/dcap-forge.ts';
import { commonName } from '../x509/forge.ts';

export interface Generated extends Forged { readonly features: readonly string[] }
/** 0 to 1, both pure functions of the seed. */
type Random = () => number;

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const filled = (length: number, ...first: number[]): Uint8Array => Uint8Array.from({ length }, (_, index) => first[index] ?? 0);
const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
const PLATFORM = ['UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'OutOfDateConfigurationNeeded', 'Revoked'];

interface Feature { readonly name: string; readonly only?: 'sgx' | 'tdx' | 'td15'; readonly make: (random: Random, pki: Pki, body: Body) => ForgeOptions }
const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
const int = (random: Random, max: number): number => Math.floor(random() * (max + 1));
const setStatus = (random: Random) => (info: Json): void => {
  for (const one of info['tcbLevels'] as Json[]) one['tcbStatus'] = pick(random, PLATFORM);
};
const EXPIRED = { thisUpdate: NOW_MS - 60 * DAY_MS, nextUpdate: NOW_MS - DAY_MS };
const FUTURE = { thisUpdate: NOW_MS + DAY_MS, nextUpdate: NOW_MS + 30 * DAY_MS };
const either = (random: Random, fields: object): ForgeOptions => (random() < 0.5 ? { rootCrl: fields } : { pckCrl: fields });

const FEATURES: readonly Feature[] = [
  { name: 'none', make: () => ({}) },
  { name: 'platform-svns', make: (random) => ({ pckFields: { components: Array.from({ length: 8 }, () => int(random, 5)), pceSvn: int(random, 20) } }) },
  { name: 'platform-status', make: (random) => ({ tcbInfo: setStatus(random) }) },
  { name: 'module-level', only: 'tdx', make: (random) => ({ td: { teeTcbSvn: svns(int(random, 7), 1, int(random, 4)), teeTcbSvn2: svns(0, 1, 0) } }) },
  { name: 'module-version', only: 'tdx', make: (random) => ({ td: { teeTcbSvn: svns(6, 1, int(random, 4)), teeTcbSvn2: svns(0, 1, 0) }, tcbInfo: (info) => { ((info['tcbLevels'] as Json[])[0]!['tcb'] as { tdxtcbcomponents: Json[] }).tdxtcbcomponents[0] = { svn: 5 + int(random, 4) }; } }) },
  { name: 'module-1.0', only: 'tdx', make: (random) => ({ td: { teeTcbSvn: svns(int(random, 7), 0, int(random, 4)) } }) },
  { name: 'relaunch', only: 'td15', make: (random) => ({ td: { teeTcbSvn: svns(4 + int(random, 2), 1, 3), teeTcbSvn2: svns(int(random, 8), pick(random, [0, 1, 1, 1, 9]), int(random, 4)) }, tcbInfo: setStatus(random) }) },
  { name: 'qe-status', make: (random) => ({ qe: { isvSvn: int(random, 5) }, tcbInfo: setStatus(random) }) },
  { name: 'level-order', make: () => ({ tcbInfo: (info) => { (info['tcbLevels'] as Json[]).reverse(); } }) },
  { name: 'level-duplicate', make: () => ({ tcbInfo: (info) => { (info['tcbLevels'] as Json[]).push({ ...(info['tcbLevels'] as Json[])[0]! }); } }) },
  { name: 'more-levels', make: (random, _, body) => ({ tcbInfo: (info) => { (info['tcbLevels'] as Json[]).splice(1, 0, level([3, 2, 2, 2, 4, 1, 0, 5], PCESVN - 1, body === 'sgx' ? [] : [5, 0, 2], '2024-06-01', pick(random, PLATFORM), ['INTEL-SA-09999'])); } }) },
  { name: 'tcb-type', make: () => ({ tcbInfo: (info) => { info['tcbType'] = 1; } }) },
  { name: 'evaluation-number', make: (random) => ({ tcbInfo: (info) => { info['tcbEvaluationDataNumber'] = 14 + int(random, 5); } }) },
  { name: 'fmspc', make: () => ({ pckFields: { fmspc: 'a0b0c0d0e0f1' } }) }, { name: 'pceid', make: () => ({ pckFields: { pceId: '0001' } }) },
  { name: 'text-window', make: (random) => { const edit = (text: Json): void => { Object.assign(text, pick(random, [{ nextUpdate: iso(NOW_MS - 1000) }, { issueDate: iso(NOW_MS + 1000) }, { nextUpdate: iso(NOW_MS) }])); }; return random() < 0.5 ? { tcbInfo: edit } : { qeIdentity: edit }; } },
  { name: 'text-signature', make: (_, pki) => ({ signTextWith: pki.stranger }) },
  { name: 'text-by-pck', make: () => ({ textByPck: true }) },
  { name: 'crl-window', make: (random) => either(random, pick(random, [EXPIRED, FUTURE])) },
  { name: 'crl-signature', make: (random, pki) => either(random, { signer: pki.stranger }) },
  { name: 'crl-issuer', make: (random) => either(random, { issuer: commonName('Somebody Else CA') }) },
  { name: 'crl-garbage', make: (random) => ({ collateral: (c) => { c[pick(random, ['root_ca_crl', 'pck_crl'])] = pick(random, ['', '00', '3000', 'ffffffff']); } }) },
  { name: 'revoked', make: (random) => pick(random, [{ pckCrl: { revoked: [1004] } }, { rootCrl: { revoked: [1002] } }, { rootCrl: { revoked: [1003] } }, { pckCrl: { revoked: [4001] } }]) },
  { name: 'intermediate-not-ca', make: () => ({ certificates: { intermediate: { isCa: false, pathLength: null } } }) },
  { name: 'pck-issuer-usage', make: (random) => ({ certificates: { intermediate: { usage: pick(random, [[6], [0]]) } } }) },
  { name: 'pck-leaf-usage', make: () => ({ certificates: { pck: { usage: [1] } } }) },
  { name: 'role', make: (random) => ({ certificates: { [pick(random, ['pck', 'signer'])]: { subject: commonName('Somebody Else') } } }) },
  { name: 'critical-extension', make: (random) => ({ certificates: { [pick(random, ['signer', 'intermediate'])]: { extensions: [{ oid: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) }] } } }) },
  { name: 'certificate-window', make: (random) => ({ certificates: { [pick(random, ['pck', 'signer', 'intermediate'])]: pick(random, [{ notAfter: NOW_MS - DAY_MS }, { notBefore: NOW_MS + DAY_MS }]) } }) },
  { name: 'certificate-signature', make: (random, pki) => ({ certificates: { [pick(random, ['pck', 'signer', 'intermediate'])]: { signer: pki.stranger } } }) },
  { name: 'chain-length', make: (random) => ({ chain: (chain) => pick(random, [chain.slice(0, 2), chain.slice(0, 1), [...chain, chain[2]!], [chain[0]!, chain[2]!], []]) }) },
  { name: 'qe-fields', make: (random) => ({ qe: pick(random, [{ isvProdId: 1 }, { mrSigner: filled(32, 5) }, { attributes: filled(16, 0x13) }, { attributes: filled(16, 0x15) }, { miscSelect: filled(4, 1) }, { reportData: filled(64, 1) }]) }) },
  { name: 'qe-identity-mask', make: () => ({ qeIdentity: (identity) => { identity['attributes'] = '15000000000000000000000000000000'; } }) },
  { name: 'qe-levels', make: (random) => ({ qeIdentity: (identity) => { identity['tcbLevels'] = [isvLevel(int(random, 8), '2024-01-01', 'UpToDate')]; } }) },
  { name: 'identity-id', make: (random) => pick(random, [{ qeIdentity: (one: Json) => { one['id'] = one['id'] === 'QE' ? 'TD_QE' : 'QE'; } }, { qeIdentity: (one: Json) => { one['version'] = 1; } }]) },
  { name: 'signature', make: (random, pki) => pick(random, [{ signQuoteWith: pki.stranger }, { signQeWith: pki.stranger }]) },
  { name: 'auth-data', make: (random) => ({ authData: new Uint8Array(pick(random, [0, 16, 31, 33, 64])) }) },
  { name: 'outer-type', only: 'tdx', make: () => ({ outerType: 5 }) }, { name: 'inner-type', make: (random) => ({ innerType: pick(random, [1, 3, 6]) }) },
  { name: 'vendor', make: () => ({ header: { vendor: filled(16, 1) } }) }, { name: 'key-type', make: () => ({ header: { keyType: 3 } }) },
  { name: 'sgx-version', only: 'sgx', make: (random) => ({ version: pick(random, [4, 5]) }) }, { name: 'tdx-version', only: 'tdx', make: () => ({ version: 5 }) },
  { name: 'trailing', make: () => ({ padding: filled(4, 1) }) }, { name: 'padding', make: () => ({ padding: new Uint8Array(64) }) },
  { name: 'module-unknown', only: 'tdx', make: () => ({ td: { teeTcbSvn: svns(6, 7, 3) } }) }, { name: 'module-signer', only: 'tdx', make: () => ({ td: { mrSignerSeam: filled(48, 1) } }) },
  { name: 'seam-attributes', only: 'tdx', make: () => ({ td: { seamAttributes: filled(8, 1) } }) },
  { name: 'td-attributes', only: 'tdx', make: (random) => { const bit = int(random, 63); const at = filled(8, 0, 0, 0, 0x10); at[bit >> 3] = (at[bit >> 3] ?? 0) ^ (1 << (bit & 7)); return { td: { tdAttributes: at } }; } },
  { name: 'xfam', only: 'tdx', make: (random) => ({ td: { xfam: filled(8, int(random, 255), int(random, 255)) } }) },
  { name: 'service-td', only: 'td15', make: () => ({ td: { mrServiceTd: filled(48, 1) } }) },
  { name: 'enclave-attributes', only: 'sgx', make: (random) => ({ enclave: { attributes: filled(16, int(random, 255)) } }) },
];

/** A case by its seed. */
export function generate(seed: number): Generated {
  const random = randomOf(seed);
  const body = pick<Body>(random, ['sgx', 'td10', 'td15', 'td15']);
  const usable = FEATURES.filter(({ only }) => only === undefined || (only === 'tdx' ? body !== 'sgx' : only === body));
  const count = pick(random, [1, 1, 1, 2, 2, 3]);
  const chosen = [...new Set(Array.from({ length: count }, () => pick(random, usable)))];
  const pki = sharedPki();
  const options = chosen.map((feature) => feature.make(random, pki, body)).reduce(merge, { body, pki });
  return { ...forge(options), features: chosen.map(({ name }) => name) };
}

/** Later options win; groups of fields are merged, edits run one after the other. */
function merge(a: ForgeOptions, b: ForgeOptions): ForgeOptions {
  const merged: Record<string, unknown> = { ...a };
  for (const [name, value] of Object.entries(b) as [string, unknown][]) {
    const before = merged[name];
    if (typeof before === 'function' && typeof value === 'function') {
      merged[name] = name === 'chain' ? value : (object: Json) => { (before as (o: Json) => void)(object); (value as (o: Json) => void)(object); };
    } else if (name === 'certificates') merged[name] = mergeCertificates((before ?? {}) as Json, value as Json);
    else if (['td', 'qe', 'enclave', 'header', 'pckFields', 'rootCrl', 'pckCrl'].includes(name)) merged[name] = { ...(before as Json | undefined), ...(value as Json) };
    else merged[name] = value;
  }
  return merged as ForgeOptions;
}

const mergeCertificates = (a: Json, b: Json): Json => Object.fromEntries([...new Set([...Object.keys(a), ...Object.keys(b)])].map((name) => [name, { ...(a[name] as Json | undefined), ...(b[name] as Json | undefined) }]));
