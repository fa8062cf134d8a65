// Every demand of a policy, both ways, and what a verdict is when nothing is demanded.
import { describe, expect, it } from '@jest/globals';
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import { checkDcapPolicy, DEFAULT_SGX_POLICY, DEFAULT_TCB_POLICY, DEFAULT_TDX_POLICY } from '../../../src/tee/dcap/policy.ts';
import type { TcbPolicy } from '../../../src/tee/dcap/policy.ts';
import { FORBIDDEN_IMAGE_HASHES, tdxImageHash } from '../../../src/tee/image-hash.ts';
import { CheckList, earliest, overallOf, refusalOf } from '../../../src/tee/verdict.ts';
import { AttestationError, ConfigError } from '../../../src/core/errors.ts';
import { toHex } from '../../../src/core/bytes.ts';
import { asVersion2, DAY_MS, forge, NOW_MS, svns } from '../../fakes/dcap-forge.ts';
import type { ForgeOptions } from '../../fakes/dcap-forge.ts';
import { ANY_IMAGE, judgeForged, named, sgxPolicy, summary, tdxPolicy } from './judge.ts';

const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);
const bits = (...set: number[]): Uint8Array => {
  const bytes = new Uint8Array(8);
  for (const bit of [28, ...set]) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
  return bytes;
};
const HEX48 = (byte: number): string => toHex(filled(48, byte));
const tcb = (changes: Partial<TcbPolicy>) => tdxPolicy({ tcb: { ...DEFAULT_TCB_POLICY, ...changes } });

describe('appraise: TCB', () => {
  const outdated: ForgeOptions = { pckFields: { components: [2, 2, 2, 2, 3, 1, 0, 5] } };
  // The better level was published on 2024-11-13, 414 days before NOW_MS.
  const advisory = { id: 'INTEL-SA-01103', untilMs: null };

  it('appraise: OutOfDate needs the status, every advisory and the grace period', () => {
    const whole = { statuses: ['UpToDate', 'OutOfDate'] as const, advisories: [advisory], graceDays: 414 };
    expect(summary(judgeForged(outdated, { policy: tcb(whole) }))).toBe('pass');
    expect(summary(judgeForged(outdated, { policy: tcb({ ...whole, graceDays: 413 }) }))).toBe('fail tcb-status');
    expect(summary(judgeForged(outdated, { policy: tcb({ ...whole, statuses: ['UpToDate'] }) }))).toBe('fail tcb-status');
    expect(summary(judgeForged(outdated, { policy: tcb({ ...whole, advisories: [] }) }))).toBe('fail advisories');
    expect(summary(judgeForged(outdated, { policy: tcb({ ...whole, advisories: [{ ...advisory, untilMs: NOW_MS }] }) }))).toBe('pass');
    expect(summary(judgeForged(outdated, { policy: tcb({ ...whole, advisories: [{ ...advisory, untilMs: NOW_MS - 1 }] }) }))).toBe('fail advisories');
    expect(summary(judgeForged(outdated))).toBe('fail tcb-status advisories');
  });

  it('appraise: the verdict expires with the grace period, the advisory or the age that it rests on', () => {
    const whole = { statuses: ['OutOfDate'] as const, advisories: [advisory], graceDays: 420 };
    const end = (changes: Partial<TcbPolicy>): number | null => judgeForged(outdated, { policy: tcb({ ...whole, ...changes }) }).verdict.expiresAtMs;
    expect(end({})).toBe(Date.UTC(2024, 10, 13) + 420 * DAY_MS);
    expect(end({ graceDays: 500 })).toBe(NOW_MS + 29 * DAY_MS);
    expect(end({ advisories: [{ ...advisory, untilMs: NOW_MS + 5 }] })).toBe(NOW_MS + 5);
    expect(end({ maxCollateralAgeDays: 2 })).toBe(NOW_MS + DAY_MS);
  });

  it('appraise: a policy without UpToDate refuses UpToDate', () => expect(summary(judgeForged({}, { policy: tcb({ statuses: [] }) }))).toBe('fail tcb-status'));

  it('appraise: no policy accepts Revoked', () => {
    const everything = ['UpToDate', 'OutOfDate', 'Revoked'] as unknown as TcbPolicy['statuses'];
    expect(named(judgeForged({ qe: { isvSvn: 1 } }, { policy: tcb({ statuses: everything, graceDays: 100_000 }) }), 'fail')).toEqual(['tcb-status']);
  });

  it('appraise: a relaunch is an outdated status too', () => {
    const options: ForgeOptions = { body: 'td15', td: { teeTcbSvn: svns(5, 1, 3) } };
    const advisories = [{ id: 'INTEL-SA-01036', untilMs: null }];
    expect(summary(judgeForged(options, { policy: tcb({ statuses: ['TDRelaunchAdvised'], advisories, graceDays: 414 }) }))).toBe('pass');
    expect(summary(judgeForged(options, { policy: tcb({ statuses: ['TDRelaunchAdvised'], advisories }) }))).toBe('fail tcb-status');
  });

  it('appraise: minimum evaluation number, of both texts', () => {
    expect(summary(judgeForged({}, { policy: tcb({ minEvaluationDataNumber: 18 }) }))).toBe('pass');
    expect(summary(judgeForged({}, { policy: tcb({ minEvaluationDataNumber: 19 }) }))).toBe('fail evaluation-number');
    for (const older of [{ tcbInfo: (info: Record<string, unknown>) => { info['tcbEvaluationDataNumber'] = 16; } }, { qeIdentity: (identity: Record<string, unknown>) => { identity['tcbEvaluationDataNumber'] = 16; } }]) {
      expect(summary(judgeForged(older))).toBe('fail evaluation-number');
    }
  });

  it('appraise: age of the collateral', () => {
    expect(summary(judgeForged({}, { policy: tcb({ maxCollateralAgeDays: 1 }) }))).toBe('pass');
    expect(summary(judgeForged({}, { policy: tcb({ maxCollateralAgeDays: 1 }), nowMs: NOW_MS + 1000 }))).toBe('fail collateral-age');
  });

  it('appraise: age of the list of revoked platforms, which is issued anew as often, and not of the root\'s', () => {
    const older = { thisUpdate: NOW_MS - 2 * DAY_MS };
    expect(summary(judgeForged({ pckCrl: older }, { policy: tcb({ maxCollateralAgeDays: 1 }) }))).toBe('fail collateral-age');
    expect(summary(judgeForged({ pckCrl: older }, { policy: tcb({ maxCollateralAgeDays: 2 }) }))).toBe('pass');
    expect(judgeForged({ pckCrl: older }, { policy: tcb({ maxCollateralAgeDays: 5 }) }).verdict.expiresAtMs).toBe(NOW_MS + 3 * DAY_MS);
    expect(summary(judgeForged({ rootCrl: older }, { policy: tcb({ maxCollateralAgeDays: 1 }) }))).toBe('pass');
  });

  it('appraise: allow-list of hosts', () => {
    expect(summary(judgeForged({}, { policy: tcb({ hosts: ['00112233445566778899aabbccddeeff'] }) }))).toBe('pass');
    expect(summary(judgeForged({}, { policy: tcb({ hosts: [] }) }))).toBe('fail host');
  });

  it('appraise: a kind that the policy does not accept', () => {
    expect(summary(judgeForged({ body: 'sgx' }, { policy: tdxPolicy({}) }))).toBe('fail evidence-kind');
    expect(summary(judgeForged({}, { policy: sgxPolicy({}) }))).toBe('fail evidence-kind');
  });
});

describe('appraise: attributes', () => {
  const td = (tdAttributes: Uint8Array): ForgeOptions => ({ td: { tdAttributes } });
  it.each([0, 1, 2, 3, 4, 5, 6, 7])('appraise: TDATTRIBUTES bit %d of the debug group is refused, and accepted by name', (bit) => {
    expect(summary(judgeForged(td(bits(bit))))).toBe('fail td-debug');
    expect(summary(judgeForged(td(bits(bit)), { policy: tdxPolicy({ allowDebug: true }) }))).toBe('pass');
  });

  it('appraise: every other bit is refused unless the policy lists it', () => {
    for (let bit = 8; bit < 64; bit += 1) {
      if (bit === 28) continue;
      const check = bit === 29 ? 'td-migratable' : 'td-attributes';
      const allowed = [30, 31, 63].includes(bit);
      expect([bit, summary(judgeForged(td(bits(bit))))]).toEqual([bit, allowed ? 'pass' : `fail ${check}`]);
    }
    expect(summary(judgeForged(td(bits(29)), { policy: tdxPolicy({ allowMigratable: true }) }))).toBe('pass');
    expect(summary(judgeForged(td(bits(27)), { policy: tdxPolicy({ attributesAllowed: 1n << 27n }) }))).toBe('pass');
    expect(summary(judgeForged(td(bits(63)), { policy: tdxPolicy({ attributesAllowed: 0n }) }))).toBe('fail td-attributes');
  });

  it('appraise: SEPT_VE_DISABLE', () => {
    expect(summary(judgeForged(td(new Uint8Array(8))))).toBe('fail td-sept-ve');
    expect(summary(judgeForged(td(new Uint8Array(8)), { policy: tdxPolicy({ requireSeptVeDisable: false }) }))).toBe('pass');
  });

  it('appraise: XFAM', () => {
    const xfam = (value: bigint): ForgeOptions => ({ td: { xfam: Uint8Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n)) } });
    for (const good of [3n, 0x6dbe7n]) expect(summary(judgeForged(xfam(good)))).toBe('pass');
    for (const bad of [0n, 1n, 2n, 0x13n, 0x403n, 1n << 63n]) expect(summary(judgeForged(xfam(bad)))).toBe('fail td-xfam');
    expect(summary(judgeForged(xfam(0x103n), { policy: tdxPolicy({ xfamAllowed: 3n }) }))).toBe('fail td-xfam');
  });

  it('appraise: service TD', () => {
    const options: ForgeOptions = { body: 'td15', td: { mrServiceTd: filled(48, 9) } };
    expect(summary(judgeForged(options))).toBe('fail service-td');
    expect(summary(judgeForged(options, { policy: tdxPolicy({ serviceTds: [HEX48(9)] }) }))).toBe('pass');
  });

  it('appraise: enclave attributes', () => {
    const enclave = (first: number, second = 0): ForgeOptions => ({ body: 'sgx', enclave: { attributes: Uint8Array.from([first, second, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]) } });
    for (const good of [enclave(5), enclave(1), enclave(0x85), enclave(5, 4)]) expect(summary(judgeForged(good))).toBe('pass');
    expect(summary(judgeForged(enclave(7)))).toBe('fail enclave-debug');
    expect(summary(judgeForged(enclave(7), { policy: sgxPolicy({ allowDebug: true }) }))).toBe('pass');
    for (const bad of [enclave(0x15), enclave(0x25), enclave(0x0d), enclave(5, 0x80)]) expect(summary(judgeForged(bad))).toBe('fail enclave-attributes');
    expect(summary(judgeForged(enclave(0x15), { policy: sgxPolicy({ attributesAllowed: 0x15n }) }))).toBe('pass');
  });
});

describe('appraise: version of the TCB info', () => {
  const old: ForgeOptions = { body: 'sgx', tcbInfo: asVersion2 };
  it('appraise: version 2 is refused, and accepted by a policy that says so', () => {
    expect(summary(judgeForged(old))).toBe('fail tcb-info-version');
    expect(summary(judgeForged(old, { policy: sgxPolicy({ minTcbInfoVersion: 2 }) }))).toBe('pass');
    expect(named(judgeForged({ body: 'sgx' }), 'pass')).toContain('tcb-info-version');
    expect(judgeForged().verdict.checks.map(({ name }) => name)).not.toContain('tcb-info-version');
  });

  it('appraise: levels of version 2 are matched like those of version 3', () => {
    const policy = sgxPolicy({ minTcbInfoVersion: 2 });
    for (const components of [[2, 2, 2, 2, 3, 1, 0, 5], [3, 3, 2, 2, 4, 1, 0, 4], [1, 1], [3, 3, 2, 2, 4, 1, 1, 5, 9]]) {
      const at = (options: ForgeOptions): unknown => {
        const { verified } = judgeForged({ ...options, pckFields: { components } }, { policy });
        return [verified?.status, verified?.advisories, verified?.supersededMs];
      };
      expect(at(old)).toEqual(at({ body: 'sgx' }));
    }
  });
});

describe('appraise: measurements', () => {
  it('appraise: a policy without measurements leaves the verdict incomplete, and says what is missing', () => {
    for (const options of [{}, { body: 'sgx' as const }]) {
      const outcome = judgeForged(options, { policy: { tdx: DEFAULT_TDX_POLICY, sgx: DEFAULT_SGX_POLICY } });
      expect([outcome.verdict.overall, named(outcome, 'skip')]).toEqual(['incomplete', ['measurement']]);
      expect(refusalOf(outcome.verdict)?.message).toContain('skipped');
    }
  });

  it('appraise: any measurement is a waived check, visible and not required', () => {
    const { verdict } = judgeForged();
    expect(verdict.checks.find(({ name }) => name === 'measurement')).toMatchObject({ result: 'skip', required: false });
  });

  it.each(['mrTd', 'mrConfigId', 'mrOwner', 'mrOwnerConfig', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3', 'mrSeam'] as const)('appraise: %s', (register) => {
    const policy = tdxPolicy({ anyMeasurement: false, measurements: [{ [register]: HEX48(0x77) }] });
    expect(summary(judgeForged({ td: { [register]: filled(48, 0x77) } }, { policy }))).toBe('pass');
    expect(summary(judgeForged({}, { policy }))).toBe('fail measurement');
  });

  it('appraise: every named register of one alternative must match', () => {
    const mixed = tdxPolicy({ anyMeasurement: false, measurements: [{ mrTd: HEX48(0x21), rtmr0: HEX48(0x99) }, { mrTd: HEX48(0x98) }] });
    expect(summary(judgeForged({}, { policy: mixed }))).toBe('fail measurement');
    expect(summary(judgeForged({}, { policy: tdxPolicy({ anyMeasurement: false, measurements: [{ mrTd: HEX48(0x98) }, { mrTd: HEX48(0x21), rtmr0: HEX48(0x22) }] }) }))).toBe('pass');
  });

  it('appraise: image hash', () => {
    const { quote } = judgeForged();
    const hash = quote?.body.tee === 'tdx' ? toHex(tdxImageHash(quote.body.report)) : '';
    expect(summary(judgeForged({}, { policy: tdxPolicy({ anyMeasurement: false, imageHashes: [hash] }) }))).toBe('pass');
    expect(summary(judgeForged({}, { policy: tdxPolicy({ anyMeasurement: false, imageHashes: ['11'.repeat(32)] }) }))).toBe('fail measurement');
  });

  it('appraise: a TD that measured nothing is refused whatever the policy', () => {
    const nothing = Object.fromEntries(['mrTd', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3'].map((name) => [name, new Uint8Array(48)]));
    expect(summary(judgeForged({ td: nothing }))).toBe('fail measurement');
  });

  it('appraise: enclave by measurement or by signer, product and version', () => {
    const own = (measurement: Parameters<typeof sgxPolicy>[0]['measurements']) => sgxPolicy({ anyMeasurement: false, measurements: measurement ?? [] });
    const signer = { mrSigner: '32'.repeat(32), isvProdId: 7, minIsvSvn: 3 };
    for (const good of [{ mrEnclave: '31'.repeat(32) }, signer]) expect(summary(judgeForged({ body: 'sgx' }, { policy: own([good]) }))).toBe('pass');
    for (const bad of [{ mrEnclave: '32'.repeat(32) }, { ...signer, isvProdId: 8 }, { ...signer, minIsvSvn: 4 }, { ...signer, mrSigner: '33'.repeat(32) }]) {
      expect(summary(judgeForged({ body: 'sgx' }, { policy: own([bad]) }))).toBe('fail measurement');
    }
  });
});

describe('appraise: report data', () => {
  it('appraise: exact report data and nonce', () => {
    expect(summary(judgeForged({}, { binding: { reportData: filled(64, 0x26) } }))).toBe('pass');
    expect(summary(judgeForged({}, { binding: { reportData: filled(64, 0x27) } }))).toBe('fail report-data');
    const nonce = filled(32, 5);
    const reportData = new Uint8Array(64);
    reportData.set(nonce);
    expect(summary(judgeForged({ td: { reportData } }, { binding: { nonce } }))).toBe('pass');
    for (const other of [filled(32, 6), filled(31, 5), filled(33, 5), new Uint8Array(0), filled(65, 5)]) {
      expect(summary(judgeForged({ td: { reportData } }, { binding: { nonce: other } }))).toBe('fail nonce');
    }
  });

  it('appraise: without either the value is shown and decides nothing', () => expect(named(judgeForged(), 'info')).toContain('report-data'));
});

describe('judgeDcap: the verdict itself', () => {
  it('judgeDcap: shows a replaced root, and not Intel\'s own', () => {
    expect(named(judgeForged(), 'info')).toContain('trust-root');
    expect(named(judgeDcap({ ...forge(), root: undefined as never, policy: ANY_IMAGE }), 'info')).not.toContain('trust-root');
  });

  it('judgeDcap: every check has a name of its own, something seen and something wanted', () => {
    for (const body of ['sgx', 'td10', 'td15'] as const) {
      const { verdict } = judgeForged({ body });
      expect(new Set(verdict.checks.map(({ name }) => name)).size).toBe(verdict.checks.length);
      for (const check of verdict.checks) {
        expect([check.name, check.seen.length > 0, check.wanted.length > 0 || check.result === 'info', check.meaning.length > 0]).toEqual([check.name, true, true, true]);
        expect([check.name, check.meaning.endsWith('.')]).toEqual([check.name, false]);
      }
    }
  });

  it('overallOf: fail before incomplete before pass, and nothing required is incomplete', () => {
    const text = { name: 'a', seen: 's', wanted: 'w', meaning: 'm' };
    const list = new CheckList();
    expect(overallOf([])).toBe('incomplete');
    list.info('i', 's', 'm');
    list.waive(text);
    expect(list.verdict(null).overall).toBe('incomplete');
    list.check(true, text);
    expect([list.verdict(5), list.failed]).toMatchObject([{ overall: 'pass', expiresAtMs: 5 }, false]);
    list.skipMissing(['a', 'b']);
    expect(list.verdict(null).overall).toBe('incomplete');
    list.check(false, text);
    expect([list.verdict(null).overall, list.failed]).toEqual(['fail', true]);
  });

  it('CheckList.attempt: records refusals and lets bugs through', () => {
    const list = new CheckList();
    const text = { name: 'a', seen: String, wanted: 'w', meaning: 'm' };
    expect(list.attempt(text, () => 7)).toBe(7);
    expect(() => list.attempt(text, () => { throw new RangeError('bug'); })).toThrow(RangeError);
    expect(list.attempt(text, () => { throw new AttestationError('E_EVIDENCE_REFUSED', 'peer refused by the check "x": got y, expected z; why'); })).toBeUndefined();
    expect(list.verdict(null).checks.map(({ result, seen }) => [result, seen])).toEqual([['pass', '7'], ['fail', 'y, expected z; why']]);
  });

  it('refusalOf: null for a pass, else the first failure with its check', () => {
    expect(refusalOf(judgeForged().verdict)).toBeNull();
    expect(refusalOf(judgeForged({ td: { tdAttributes: bits(0) } }).verdict)?.message).toMatch(/check "td-debug": got TDATTRIBUTES 0x10000001, expected/);
    expect(refusalOf({ overall: 'incomplete', checks: [], expiresAtMs: null })).toBeInstanceOf(AttestationError);
  });

  it('earliest: refuses what is no time', () => {
    expect(earliest(3, 1, 2)).toBe(1);
    for (const bad of [[], [NaN], [1, NaN], [-Infinity]]) expect(() => earliest(...bad)).toThrow(RangeError);
  });
});

describe('checkDcapPolicy', () => {
  it('checkDcapPolicy: refuses hashes of nothing, empty measurements and contradictions', () => {
    expect(() => checkDcapPolicy({ tdx: DEFAULT_TDX_POLICY, sgx: DEFAULT_SGX_POLICY })).not.toThrow();
    for (const hash of FORBIDDEN_IMAGE_HASHES.keys()) expect(() => checkDcapPolicy({ tdx: { ...DEFAULT_TDX_POLICY, imageHashes: [hash] }, sgx: null })).toThrow(ConfigError);
    expect(() => checkDcapPolicy({ tdx: { ...DEFAULT_TDX_POLICY, measurements: [{}] }, sgx: null })).toThrow(/without any register/);
    expect(() => checkDcapPolicy(tdxPolicy({ imageHashes: ['11'.repeat(32)] }))).toThrow(/one or the other/);
    expect(() => checkDcapPolicy(sgxPolicy({ measurements: [{ mrEnclave: '11'.repeat(32) }] }))).toThrow(/one or the other/);
  });
});

