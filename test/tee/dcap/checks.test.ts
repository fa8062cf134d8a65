// Every check of the evidence itself, both ways: forged evidence that is accepted, and one defect at a time that is refused
// by the check of that name.
import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import { INTEL_SGX_ROOT_CA } from '../../../src/tee/dcap/intel-root.ts';
import { parseX509 } from '../../../src/tee/x509/certificate.ts';
import { asVersion2, DAY_MS, forge, isvLevel, level, NOW_MS, sharedPki, svns } from '../../fakes/dcap-forge.ts';
import type { ForgeOptions, Json } from '../../fakes/dcap-forge.ts';
import { commonName, makeKey } from '../x509/forge.ts';
import { ANY_IMAGE, judgeForged, named, summary } from './judge.ts';

const stranger = sharedPki().stranger;
const zeros = (length: number, ...first: number[]): Uint8Array => Uint8Array.from({ length }, (_, index) => first[index] ?? 0);
const edit = (path: string, value: unknown) => (object: Json): void => {
  const names = path.split('.');
  const last = names.pop() ?? '';
  let at: Json = object;
  for (const name of names) at = at[name] as Json;
  at[last] = value;
};
const remove = (name: string) => (object: Json): void => {
  delete object[name];
};
const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');

describe('judgeDcap: accepted', () => {
  const accepted: readonly [string, ForgeOptions][] = [
    ['SGX in version 3', { body: 'sgx' }], ['SGX in version 4', { body: 'sgx', version: 4 }], ['SGX in version 5', { body: 'sgx', version: 5 }],
    ['TD 1.0 in version 4', {}], ['TD 1.0 in version 5', { version: 5 }], ['TD 1.5 in version 5', { body: 'td15' }],
    ['zero padding', { padding: new Uint8Array(100) }], ['no authentication data', { authData: new Uint8Array(0) }], ['1024 bytes of authentication data', { authData: new Uint8Array(1024) }],
    ['a NUL after the PCK chain', { pckSuffix: new Uint8Array(1) }], ['an empty line after the PCK chain', { pckSuffix: Buffer.from('\n') }],
    ['a TDX 1.0 module', { td: { teeTcbSvn: svns(5, 0, 3) } }],
    ['TCB info with unknown fields', { tcbInfo: edit('future', [1]) }], ['a level with an unknown status that does not match', { tcbInfo: edit('tcbLevels.2.tcbStatus', 'Novel') }],
    ['FMSPC in upper case', { tcbInfo: edit('fmspc', 'A0B0C0D0E0F0') }], ['levels in another order', { tcbInfo: (info) => (info['tcbLevels'] as Json[]).reverse() }],
    ['collateral with the PCK chain', { collateral: edit('pck_certificate_chain', 'unused') }],
    ['an unlisted serial on both CRLs', { rootCrl: { revoked: [7] }, pckCrl: { revoked: [8, 9] } }],
    ['masked QE attributes', { qe: { attributes: zeros(16, 0x15) } }],
  ];
  it.each(accepted)('judgeDcap: %s', (_, options) => {
    const outcome = judgeForged(options);
    expect([summary(outcome), outcome.verified?.status]).toEqual(['pass', 'UpToDate']);
    expect(outcome.verdict.expiresAtMs).toBe(NOW_MS + 29 * DAY_MS);
  });

  it('judgeDcap: at both ends of the window, to the second', () => {
    for (const nowMs of [NOW_MS - DAY_MS, NOW_MS + 29 * DAY_MS, NOW_MS + 29 * DAY_MS + 999]) expect(summary(judgeForged({}, { nowMs }))).toBe('pass');
    for (const nowMs of [NOW_MS - DAY_MS - 1, NOW_MS + 29 * DAY_MS + 1000, NaN, Infinity, -1]) expect(judgeForged({}, { nowMs }).verdict.overall).toBe('fail');
  });

  it('judgeDcap: the expiry is the earliest of everything', () => {
    const early = NOW_MS + DAY_MS;
    const ways: ForgeOptions[] = [
      { rootCrl: { nextUpdate: early } }, { pckCrl: { nextUpdate: early } }, { tcbInfo: edit('nextUpdate', iso(early)) }, { qeIdentity: edit('nextUpdate', iso(early)) },
      { certificates: { pck: { notAfter: early } } }, { certificates: { intermediate: { notAfter: early } } }, { certificates: { signer: { notAfter: early } } }, { certificates: { root: { notAfter: early } } },
    ];
    for (const way of ways) expect([judgeForged(way).verdict.overall, judgeForged(way).verdict.expiresAtMs]).toEqual(['pass', early]);
  });
});

describe('judgeDcap: quote-format', () => {
  const refusedQuotes: readonly [string, ForgeOptions][] = [
    ['version 2', { version: 2 }], ['version 6', { version: 6 }], ['TDX in version 3', { version: 3 }], ['another key type', { header: { keyType: 3 } }],
    ['another TEE type', { header: { teeType: 0x82 } }], ['another QE vendor', { header: { vendor: zeros(16) } }], ['an unknown body type', { version: 5, bodyType: 4 }],
    ['an SGX body in a TDX quote', { version: 5, body: 'sgx', header: { teeType: 0x81 } }], ['a TD body in an SGX quote', { version: 5, header: { teeType: 0 } }],
    ['a TD 1.5 body called 1.0', { body: 'td15', bodyType: 2 }], ['a wrong body size', { body: 'td15', bodySize: 647 }],
    ['outer certification data of type 5', { outerType: 5 }], ['inner certification data of type 3', { innerType: 3 }], ['inner certification data of type 3 in version 3', { body: 'sgx', innerType: 3 }],
    ['1025 bytes of authentication data', { authData: new Uint8Array(1025) }], ['padding that is not zero', { padding: zeros(4, 0, 0, 1) }], ['more than 32 KiB', { padding: new Uint8Array(32_768) }],
  ];
  it.each(refusedQuotes)('parseQuote: refuses %s', (_, options) => {
    const outcome = judgeForged(options);
    expect([summary(outcome), outcome.quote]).toEqual(['fail quote-format', null]);
  });

  it('parseQuote: refuses every truncation', () => {
    const { quote, ...rest } = forge();
    for (let length = 0; length < quote.length; length += length < 60 ? 1 : 23) {
      const outcome = judgeDcap({ ...rest, quote: quote.subarray(0, length), policy: ANY_IMAGE });
      expect([length, named(outcome, 'fail')]).toEqual([length, ['quote-format']]);
    }
  });
});

describe('judgeDcap: collateral-format', () => {
  const { collateral } = forge();
  it.each(Object.keys(collateral))('parseCollateral: refuses collateral without %s, or with another type or garbage in it', (name) => {
    for (const way of [remove(name), edit(name, 5), edit(name, null), edit(name, 'zz'), edit(name, ''), edit(name, 'x'.repeat(3_000_000))]) {
      const outcome = judgeForged({ collateral: way });
      expect(outcome.verdict.overall).toBe('fail');
      // An empty chain parses; that it is too short is found when it is verified.
      if (!name.endsWith('_chain')) expect(named(outcome, 'fail')).toEqual(['collateral-format']);
    }
  });

  it('parseCollateral: refuses what is no object, unknown fields and prototypes', () => {
    for (const json of [null, undefined, 5, 'text', [], [collateral], { ...collateral, extra: 1 }, Object.create(collateral) as Json]) {
      expect(summary(judgeForged({}, { collateral: json }))).toBe('fail collateral-format');
    }
  });

  const refusedTexts: readonly [string, ForgeOptions][] = [
    ['TCB info of another id', { tcbInfo: edit('id', 'SEV') }], ['TCB info of version 4', { tcbInfo: edit('version', 4) }], ['TCB info of version 2 with an id', { body: 'sgx', tcbInfo: (info) => { asVersion2(info); info['id'] = 'SGX'; } }],
    ['TCB info of version 2 with components as in version 3', { body: 'sgx', tcbInfo: (info) => { info['version'] = 2; delete info['id']; } }], ['TCB info of version 2 with 15 components', { body: 'sgx', tcbInfo: (info) => { asVersion2(info); delete (((info['tcbLevels'] as Json[])[0]!)['tcb'] as Json)['sgxtcbcomp16svn']; } }],
    ['TCB info of version 2 with a TDX module', { tcbInfo: asVersion2 }], ['TCB info of version 3 with components as in version 2', { body: 'sgx', tcbInfo: (info) => { asVersion2(info); Object.assign(info, { version: 3, id: 'SGX' }); } }], ['TCB info of another type', { tcbInfo: edit('tcbType', 1) }],
    ['TCB info without levels', { tcbInfo: edit('tcbLevels', []) }], ['two equal levels', { tcbInfo: (info) => (info['tcbLevels'] as Json[]).push((info['tcbLevels'] as Json[])[0]!) }],
    ['15 components', { tcbInfo: (info) => ((info['tcbLevels'] as Json[])[0]!['tcb'] as { sgxtcbcomponents: Json[] }).sgxtcbcomponents.pop() }],
    ['a component of 65536', { tcbInfo: edit('tcbLevels.0.tcb.tdxtcbcomponents.3.svn', 65_536) }], ['a component that is text', { tcbInfo: edit('tcbLevels.0.tcb.sgxtcbcomponents.3.svn', '3') }],
    ['a fractional PCESVN', { tcbInfo: edit('tcbLevels.0.tcb.pcesvn', 1.5) }], ['a date without zone', { tcbInfo: edit('issueDate', '2025-12-31T00:00:00') }], ['a date that does not exist', { tcbInfo: edit('nextUpdate', '2026-02-30T00:00:00Z') }],
    ['TDX without a module', { tcbInfo: remove('tdxModule') }], ['SGX with a module', { body: 'sgx', tcbInfo: edit('tdxModule', {}) }], ['a short FMSPC', { tcbInfo: edit('fmspc', 'a0b0') }],
    ['advisories that are no text', { tcbInfo: edit('tcbLevels.0.advisoryIDs', [5]) }], ['300 levels', { tcbInfo: edit('tcbLevels', Array.from({ length: 300 }, (_, i) => level([i % 256], i, [], '2024-01-01', 'UpToDate'))) }],
    ['QE identity of another id', { qeIdentity: edit('id', 'QVE') }], ['QE identity of version 3', { qeIdentity: edit('version', 3) }], ['QE identity without levels', { qeIdentity: edit('tcbLevels', []) }],
    ['a short MRSIGNER', { qeIdentity: edit('mrsigner', '00') }], ['a negative product', { qeIdentity: edit('isvprodid', -1) }], ['a missing mask', { qeIdentity: remove('attributesMask') }],
  ];
  it.each(refusedTexts)('parseCollateral: refuses %s', (_, options) => expect(summary(judgeForged(options))).toBe('fail collateral-format'));
});

describe('judgeDcap: one defect, one check', () => {
  const old = { thisUpdate: NOW_MS - 60 * DAY_MS, nextUpdate: NOW_MS - DAY_MS };
  const early = { thisUpdate: NOW_MS + DAY_MS, nextUpdate: NOW_MS + 2 * DAY_MS };
  const cases: readonly [string, string, ForgeOptions][] = [
    ['pck-chain', 'two certificates', { chain: ([a, , c]) => [a!, c!] }], ['pck-chain', 'four certificates', { chain: (chain) => [...chain, chain[2]!] }],
    ['pck-chain', 'no certificates', { chain: () => [] }], ['pck-chain', 'two NULs after the chain', { pckSuffix: new Uint8Array(2) }], ['pck-chain', 'text after the chain', { pckSuffix: Buffer.from('x\n') }], ['pck-chain', 'another order', { chain: ([a, b, c]) => [b!, a!, c!] }],
    ['pck-chain', 'another root', { chain: ([a, b]) => [a!, b!, parseX509(INTEL_SGX_ROOT_CA).der] }],
    ['pck-chain', 'a leaf that is an authority', { certificates: { pck: { isCa: true } } }], ['pck-chain', 'an intermediate that is none', { certificates: { intermediate: { isCa: false, pathLength: null } } }],
    ['pck-chain', 'an intermediate that may not sign certificates', { certificates: { intermediate: { usage: [6] } } }], ['pck-chain', 'a leaf that may not sign', { certificates: { pck: { usage: [5] } } }],
    ['pck-chain', 'a leaf without key usage', { certificates: { pck: { usage: null } } }], ['pck-chain', 'a root whose path is too short', { certificates: { root: { pathLength: 0 } } }],
    ['pck-chain', 'an expired leaf', { certificates: { pck: { notAfter: NOW_MS - DAY_MS } } }], ['pck-chain', 'an expired intermediate', { certificates: { intermediate: { notAfter: NOW_MS - DAY_MS } } }],
    ['pck-chain', 'a future root', { certificates: { root: { notBefore: NOW_MS + DAY_MS } } }], ['pck-chain', 'a leaf by a stranger', { certificates: { pck: { signer: stranger } } }],
    ['pck-chain', 'an intermediate by a stranger', { certificates: { intermediate: { signer: stranger } } }], ['pck-chain', 'names that do not chain', { certificates: { pck: { issuer: commonName('Test SGX PCK Processor CA') } } }],
    ['pck-chain', 'a leaf of another role', { certificates: { pck: { subject: commonName('Test SGX TCB Signing') } } }],
    ['pck-chain', 'an unknown critical extension', { certificates: { pck: { extensions: [{ oid: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) }] } } }],
    ['root-crl', 'an expired list', { rootCrl: old }], ['root-crl', 'a future list', { rootCrl: early }], ['root-crl', 'a forged list', { rootCrl: { signer: stranger } }], ['root-crl', 'a list by another issuer', { rootCrl: { issuer: commonName('Other') } }],
    ['pck-crl', 'an expired list', { pckCrl: old }], ['pck-crl', 'a future list', { pckCrl: early }], ['pck-crl', 'a forged list', { pckCrl: { signer: stranger } }], ['pck-crl', 'a list by another issuer', { pckCrl: { issuer: commonName('Other') } }],
    ['pck-crl', 'a list by an authority without cRLSign', { certificates: { intermediate: { usage: [5] } } }],
    ['pck-crl', 'an issuer chain of one', { collateral: (c) => { c['pck_crl_issuer_chain'] = String(c['pck_crl_issuer_chain']).slice(0, String(c['pck_crl_issuer_chain']).indexOf('-----END') + 26); } }],
    ['pck-revocation', 'a revoked leaf', { pckCrl: { revoked: [5, 1004] } }], ['pck-revocation', 'a revoked intermediate', { rootCrl: { revoked: [1002] } }],
    ['tcb-info-signature', 'a revoked signer', { rootCrl: { revoked: [1003] } }], ['tcb-info-signature', 'a text by a stranger', { signTextWith: stranger }],
    ['tcb-info-signature', 'a text by the PCK key', { textByPck: true }], ['tcb-info-signature', 'a text by the PCK key under the signer\'s chain', { signTextWith: sharedPki().pck }],
    ['tcb-info-signature', 'a changed text', { collateral: (c) => { c['tcb_info'] = String(c['tcb_info']).replace('OutOfDate', 'UpToDate'); } }],
    ['tcb-info-signature', 'a text with another space', { collateral: (c) => { c['tcb_info'] = ` ${String(c['tcb_info'])}`; } }],
    ['tcb-info-signature', 'a signer of another role', { certificates: { signer: { subject: commonName('Test SGX PCK Certificate') } } }], ['tcb-info-signature', 'a signer that is an authority', { certificates: { signer: { isCa: true } } }],
    ['tcb-info-window', 'stale TCB info', { tcbInfo: edit('nextUpdate', iso(NOW_MS - 1000)) }], ['tcb-info-window', 'future TCB info', { tcbInfo: edit('issueDate', iso(NOW_MS + 1000)) }],
    ['qe-identity-signature', 'a changed text', { collateral: (c) => { c['qe_identity'] = String(c['qe_identity']).replace('"isvsvn":4', '"isvsvn":3'); } }],
    ['qe-identity-window', 'a stale identity', { qeIdentity: edit('nextUpdate', iso(NOW_MS - 1000)) }], ['qe-identity-window', 'a future identity', { qeIdentity: edit('issueDate', iso(NOW_MS + 1000)) }],
    ['platform', 'another FMSPC', { tcbInfo: edit('fmspc', 'a0b0c0d0e0f1') }], ['platform', 'another PCEID', { tcbInfo: edit('pceId', '0001') }], ['platform', 'TCB info for SGX', { tcbInfo: (info) => { info['id'] = 'SGX'; delete info['tdxModule']; delete info['tdxModuleIdentities']; } }],
    ['platform', 'TCB info of version 2', { tcbInfo: (info) => { asVersion2(info); delete info['tdxModule']; delete info['tdxModuleIdentities']; } }],
    ['platform', 'the QE identity for SGX', { qeIdentity: edit('id', 'QE') }], ['platform', 'the TD QE identity for SGX', { body: 'sgx', qeIdentity: edit('id', 'TD_QE') }],
    ['platform', 'a PCK certificate without the SGX extension', { certificates: { pck: { extensions: [] } } }], ['platform', 'an SGX extension of garbage', { pckFields: { extension: Uint8Array.of(0x30, 1) } }],
    ['platform', 'an SGX extension with bytes behind its TCB', { pckFields: { afterTcb: Uint8Array.of(5, 0) } }],
    ['platform', 'a component of 256', { pckFields: { components: [256] } }], ['platform', 'a short PPID', { pckFields: { ppid: '00' } }], ['platform', 'a short FMSPC', { pckFields: { fmspc: 'a0b0' } }],
    ['qe-report-signature', 'a QE report by a stranger', { signQeWith: stranger }], ['qe-report-data', 'another hash', { qe: { reportData: zeros(64) } }],
    ['qe-identity', 'a debug QE', { qe: { attributes: zeros(16, 0x13) } }], ['qe-identity', 'another signer', { qe: { mrSigner: zeros(32, 5) } }], ['qe-identity', 'another product', { qe: { isvProdId: 1 } }], ['qe-identity', 'another MISCSELECT', { qe: { miscSelect: zeros(4, 1) } }],
    ['qe-identity', 'an identity with bits outside its own mask', { qeIdentity: edit('attributes', '15000000000000000000000000000000') }],
    ['qe-level', 'a QE below every level', { qe: { isvSvn: 0 } }], ['qe-level', 'a QE level with an unknown status', { qeIdentity: edit('tcbLevels.0.tcbStatus', 'Novel') }],
    ['quote-signature', 'a quote by a stranger', { signQuoteWith: stranger }], ['quote-signature', 'a quote by the PCK key', { signQuoteWith: sharedPki().pck }],
    ['tdx-module', 'a module version without identity', { td: { teeTcbSvn: svns(6, 7, 3) } }], ['tdx-module', 'no identities at all', { tcbInfo: remove('tdxModuleIdentities') }], ['tdx-module', 'another MRSIGNERSEAM', { td: { mrSignerSeam: zeros(48, 1) } }],
    ['tdx-module', 'another MRSIGNERSEAM of a TDX 1.0 module', { td: { teeTcbSvn: svns(5, 0, 3), mrSignerSeam: zeros(48, 1) } }],
    ['tdx-module', 'SEAM attributes', { td: { seamAttributes: zeros(8, 1) } }], ['tdx-module', 'SEAM attributes that the identity allows', { td: { seamAttributes: zeros(8, 1) }, tcbInfo: edit('tdxModuleIdentities.0.attributes', '0100000000000000') }],
    ['tdx-module', 'a module SVN below every level', { td: { teeTcbSvn: svns(1, 1, 3) } }], ['tdx-module', 'a module level with another status', { tcbInfo: edit('tdxModuleIdentities.0.tcbLevels.0.tcbStatus', 'SWHardeningNeeded') }],
    ['tcb-level', 'a processor below every level', { pckFields: { components: [0, 1] } }], ['tcb-level', 'a PCE below every level', { pckFields: { pceSvn: 4 } }], ['tcb-level', 'a level with an unknown status', { tcbInfo: edit('tcbLevels.0.tcbStatus', 'Novel') }],
    ['tcb-level', 'a TDX 1.0 module below every level', { td: { teeTcbSvn: svns(4, 0, 3) }, tcbInfo: (info) => { info['tcbLevels'] = [(info['tcbLevels'] as Json[])[0]]; } }],
  ];
  it.each(cases)('judgeDcap: %s refuses %s', (check, _, options) => {
    const outcome = judgeForged(options);
    expect([summary(outcome), outcome.verified, outcome.verdict.expiresAtMs]).toEqual([`fail ${check}`, null, null]);
    // Whatever was not reached says so and never counts as passed.
    expect(named(outcome, 'skip')).toContain('measurement');
    expect(outcome.verdict.checks.filter((one) => one.result !== 'info').length).toBeGreaterThan(20);
  });

  it('judgeDcap: a key that is no point of the curve has signed nothing', () => {
    const { quote, ...rest } = forge();
    const bent = quote.slice();
    bent.fill(1, 48 + 584 + 4 + 64, 48 + 584 + 4 + 128);
    expect(judgeForged({}, { ...rest, quote: bent }).verdict.overall).toBe('fail');
    const p384 = makeKey('p384');
    expect(summary(judgeForged({ certificates: { pck: { key: p384 } } }))).toBe('fail qe-report-signature');
  });
});

describe('INTEL_SGX_ROOT_CA', () => {
  it('INTEL_SGX_ROOT_CA: has the root key id that the network\'s routers pin (WIRE.md section 4)', () => {
    const point = parseX509(INTEL_SGX_ROOT_CA).key.spki.subarray(-65);
    expect(createHash('sha384').update(point).digest('hex')).toBe('46e403bd34f05a3f2817ab9badcaacc7ffc98e0f261008cd30dae936cace18d5dcf58eef31463613de1570d516200993');
  });
});

describe('matchQe and matchPlatform', () => {
  const statusOf = (options: ForgeOptions): string => {
    const { verified } = judgeForged(options);
    return `${verified?.status ?? 'none'} ${verified?.advisories.join(',') ?? ''}`;
  };
  const sgxLevel = (status: string) => edit('tcbLevels.0.tcbStatus', status);
  const cases: readonly [string, string, ForgeOptions][] = [
    ['platform one level down', 'OutOfDate INTEL-SA-01103', { pckFields: { components: [2, 2, 2, 2, 3, 1, 0, 5] } }],
    ['platform at the revoked level', 'Revoked ', { pckFields: { components: [1, 1], pceSvn: 5 } }],
    ['module outdated', 'OutOfDate INTEL-SA-01036', { td: { teeTcbSvn: svns(5, 1, 3) } }], ['module revoked', 'Revoked ', { td: { teeTcbSvn: svns(2, 1, 3) } }],
    ['module outdated on a platform that needs configuration', 'OutOfDateConfigurationNeeded INTEL-SA-01036', { td: { teeTcbSvn: svns(5, 1, 3) }, tcbInfo: sgxLevel('ConfigurationNeeded') }],
    ['QE outdated', 'OutOfDate INTEL-SA-00960', { qe: { isvSvn: 3 } }], ['QE revoked', 'Revoked ', { qe: { isvSvn: 1 } }],
    ['QE outdated, hardening needed', 'OutOfDate INTEL-SA-00960', { qe: { isvSvn: 3 }, tcbInfo: sgxLevel('SWHardeningNeeded') }],
    ['QE outdated, both needed', 'OutOfDateConfigurationNeeded INTEL-SA-00960', { qe: { isvSvn: 3 }, tcbInfo: sgxLevel('ConfigurationAndSWHardeningNeeded') }],
    ['QE outdated, configuration needed and out of date', 'OutOfDateConfigurationNeeded INTEL-SA-00960', { qe: { isvSvn: 3 }, tcbInfo: sgxLevel('OutOfDateConfigurationNeeded') }],
    ['QE level with a status for platforms', 'OutOfDate ', { qeIdentity: edit('tcbLevels.0.tcbStatus', 'ConfigurationNeeded') }],
    ['SGX hardening needed', 'SWHardeningNeeded ', { body: 'sgx', tcbInfo: sgxLevel('SWHardeningNeeded') }],
    ['SGX with QE outdated', 'OutOfDate INTEL-SA-00960', { body: 'sgx', qe: { isvSvn: 3 } }],
    ['components 0 and 1 of a module with a version are not compared', 'UpToDate ', { tcbInfo: edit('tcbLevels.0.tcb.tdxtcbcomponents.0.svn', 99) }],
    ['a level beyond a byte is reached by nothing', 'OutOfDate INTEL-SA-01103', { tcbInfo: edit('tcbLevels.0.tcb.sgxtcbcomponents.3.svn', 258) }],
    ['they are for a TDX 1.0 module', 'OutOfDate INTEL-SA-01103', { td: { teeTcbSvn: svns(6, 0, 3) }, tcbInfo: edit('tcbLevels.0.tcb.tdxtcbcomponents.0.svn', 99) }],
    ['component 2 always is', 'OutOfDate INTEL-SA-01103', { td: { teeTcbSvn: svns(6, 1, 2) } }],
  ];
  it.each(cases)('mergeStatuses: %s is %s', (_, wanted, options) => expect(statusOf(options)).toBe(wanted));

  const outdated = svns(5, 1, 3);
  const relaunch: readonly [string, string, ForgeOptions][] = [
    ['the loaded module is the newest', 'TDRelaunchAdvised INTEL-SA-01036', { td: { teeTcbSvn: outdated } }],
    ['and configuration is needed', 'TDRelaunchAdvisedConfigurationNeeded INTEL-SA-01036', { td: { teeTcbSvn: outdated }, tcbInfo: sgxLevel('ConfigurationNeeded') }],
    ['the loaded module is old too', 'OutOfDate INTEL-SA-01036', { td: { teeTcbSvn: outdated, teeTcbSvn2: outdated } }],
    ['the loaded loader is old', 'OutOfDate INTEL-SA-01036', { td: { teeTcbSvn: outdated, teeTcbSvn2: svns(6, 1, 2) } }],
    ['the loaded module is a TDX 1.0 module of the newest level', 'TDRelaunchAdvised INTEL-SA-01036', { td: { teeTcbSvn: outdated, teeTcbSvn2: svns(5, 0, 3) } }],
    ['the loaded module is an old TDX 1.0 module', 'OutOfDate INTEL-SA-01036', { td: { teeTcbSvn: outdated, teeTcbSvn2: svns(4, 0, 3) } }],
    ['the QE is out of date', 'OutOfDate INTEL-SA-00960,INTEL-SA-01036', { td: { teeTcbSvn: outdated }, qe: { isvSvn: 3 } }],
    ['the processor is out of date', 'OutOfDate INTEL-SA-01036,INTEL-SA-01103', { td: { teeTcbSvn: outdated }, pckFields: { components: [2, 2, 2, 2, 3, 1, 0, 5] } }],
    ['nothing is out of date', 'UpToDate ', {}],
  ];
  it.each(relaunch)('mergeStatuses: TD 1.5, %s: %s', (_, wanted, options) => expect(statusOf({ body: 'td15', ...options })).toBe(wanted));

  it('mergeStatuses: a loaded module without identity or levels is refused', () => {
    expect(summary(judgeForged({ body: 'td15', td: { teeTcbSvn: outdated, teeTcbSvn2: svns(6, 9, 3) } }))).toBe('fail tcb-level');
    const second = { id: 'TDX_02', mrsigner: '00'.repeat(48), attributes: '0000000000000000', attributesMask: 'FFFFFFFFFFFFFFFF', tcbLevels: [] };
    expect(summary(judgeForged({ body: 'td15', td: { teeTcbSvn: outdated, teeTcbSvn2: svns(6, 2, 3) }, tcbInfo: (info) => (info['tdxModuleIdentities'] as Json[]).push(second) }))).toBe('fail tcb-level');
  });

  it('matchPlatform: says since when a better level has existed', () => {
    const { verified } = judgeForged({ qe: { isvSvn: 3 }, td: { teeTcbSvn: outdated } });
    expect(verified?.supersededMs).toBe(Date.UTC(2024, 2, 13));
    expect(judgeForged({ qeIdentity: edit('tcbLevels', [isvLevel(4, '2024-03-13', 'UpToDate')]) }).verified?.supersededMs).toBeNull();
  });
});
