// Policy files: strict defaults, refusal of every unknown field in every table, the template reads back as what it shows,
// and which differences weaken a policy.
import { describe, expect, it } from '@jest/globals';
import { ConfigError } from '../../src/core/errors.ts';
import { DEFAULT_SGX_POLICY, DEFAULT_TDX_POLICY } from '../../src/tee/dcap/policy.ts';
import { diffPolicies } from '../../src/tee/policy-diff.ts';
import { POLICY_SECTIONS } from '../../src/tee/policy-fields.ts';
import type { PolicyDocument } from '../../src/tee/policy-fields.ts';
import { defaultPolicyDocument, parsePolicy, policyOfDocument } from '../../src/tee/policy-file.ts';
import { policyToml } from '../../src/tee/policy-text.ts';
import { STRICT_NVIDIA_POLICY } from '../../src/tee/nvidia/policy.ts';
import { STRICT_SNP_POLICY } from '../../src/tee/snp/policy.ts';

const parse = (text: string): Promise<PolicyDocument> => parsePolicy(text, 'p');
const refusal = async (text: string): Promise<string> => {
  const error: unknown = await parse(text).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  return error instanceof ConfigError ? error.message : '';
};

const HASH = 'ab'.repeat(32);
const REGISTER = 'cd'.repeat(48);
const FULL = `version = 1
accept = ["tdx", "sev-snp"]
[tdx]
image_hashes = ["${HASH.toUpperCase()}"]
measurements = [{ mr_td = "${REGISTER}", rtmr2 = "${REGISTER}" }]
statuses = ["UpToDate", "OutOfDate"]
advisories = [{ id = "INTEL-SA-00837", until = "2026-12-31T00:00:00Z" }, { id = "INTEL-SA-00828" }]
grace_days = 30
hosts = ["${'01'.repeat(16)}"]
[sgx]
measurements = [{ mr_enclave = "${HASH}" }, { mr_signer = "${HASH}", isv_prod_id = 1, min_isv_svn = 2 }]
[sev-snp]
minimum_tcb = { Genoa = { bootloader = 10, tee = 0, snp = 23, microcode = 84 } }
minimum_firmware = "1.55.40"
required_mitigations = "0x0B"
minimum_abi = "1.51"
measurements = ["${REGISTER}"]
host_data = "${HASH}"
`;

describe('parsePolicy', () => {
  it('a policy without fields has the strict defaults of every verifier', async () => {
    const document = await parse('version = 1');
    expect(document).toEqual(defaultPolicyDocument());
    expect(policyOfDocument(document, 'p')).toEqual({ dcap: { tdx: DEFAULT_TDX_POLICY, sgx: DEFAULT_SGX_POLICY }, snp: STRICT_SNP_POLICY, nvidia: STRICT_NVIDIA_POLICY });
  });

  it('reads every kind of value, from TOML and from JSON alike', async () => {
    const document = await parse(FULL);
    const { dcap, snp } = policyOfDocument(document, 'p');
    expect(dcap.sgx).toBeNull();
    expect(dcap.tdx).toMatchObject({
      imageHashes: [HASH], measurements: [{ mrTd: REGISTER, rtmr2: REGISTER }],
      tcb: {
        statuses: ['UpToDate', 'OutOfDate'], graceDays: 30, hosts: ['01'.repeat(16)],
        advisories: [{ id: 'INTEL-SA-00837', untilMs: Date.UTC(2026, 11, 31) }, { id: 'INTEL-SA-00828', untilMs: null }],
      },
    });
    expect(snp).toMatchObject({
      minimumTcb: { Genoa: { fmc: 0, bootloader: 10, tee: 0, snp: 23, microcode: 84 } }, minimumFirmware: { major: 1, minor: 55, build: 40 },
      requiredMitigations: 0xbn, minimumAbi: { major: 1, minor: 51 }, measurements: [new Uint8Array(48).fill(0xcd)], imageHashes: null, hostData: new Uint8Array(32).fill(0xab),
    });
    expect(await parse(JSON.stringify(document))).toEqual(document);
  });

  it.each(POLICY_SECTIONS.map(([section]) => section))('an unknown field is an error in section "%s"', async (section) => {
    const text = section === '' ? 'version = 1\nallow_debug = true\n' : `version = 1\n[${section}]\nalow_debug = true\n`;
    expect(await refusal(text)).toContain(`unknown field "${section === '' ? 'allow_debug' : `${section}.alow_debug`}"`);
  });

  it.each([
    ['[tdx]\nmeasurements = [{ mr_td = "' + REGISTER + '", mr = "00" }]', 'unknown field "tdx.measurements.0.mr"'],
    ['[tdx]\nadvisories = [{ id = "INTEL-SA-00837", till = "" }]', 'unknown field "tdx.advisories.0.till"'],
    ['[sev-snp]\nminimum_tcb = { Genua = { bootloader = 1, tee = 0, snp = 0, microcode = 0 } }', 'unknown field "sev-snp.minimum_tcb.Genua"'],
    ['[sev-snp]\nminimum_tcb = { Genoa = { bootloader = 1, tee = 0, snp = 0, microcode = 0, x = 1 } }', 'unknown field "sev-snp.minimum_tcb.Genoa.x"'],
    ['[gpu]\n', 'unknown field "gpu"'],
  ])('an unknown field is an error inside a value: %s', async (text, message) => {
    expect(await refusal(`version = 1\n${text}`)).toContain(message);
  });

  it.each([
    ['', 'version'], ['version = 2', 'version is not 1'], ['{', 'as JSON'], ['version = ', 'as TOML'],
    ['version = 1\naccept = []', 'accepts no kind'], ['version = 1\naccept = ["gpu"]', 'accept.0'],
    ['version = 1\n[tdx]\nstatuses = ["Revoked"]', 'tdx.statuses.0'], ['version = 1\n[tdx]\nallow_debug = "no"', 'tdx.allow_debug'],
    ['version = 1\n[tdx]\nimage_hashes = ["00"]', 'tdx.image_hashes.0'], ['version = 1\n[tdx]\nmeasurements = [{}]', 'at least one register'],
    [`version = 1\n[tdx]\nimage_hashes = ["${'00'.repeat(32)}"]`, 'must never be listed'], [`version = 1\n[sev-snp]\nimage_hashes = ["${'00'.repeat(32)}"]`, 'must never be listed'],
    [`version = 1\n[tdx]\nany_measurement = true\nimage_hashes = ["${HASH}"]`, 'one or the other'],
    [`version = 1\n[sev-snp]\nany_measurement = true\nimage_hashes = ["${HASH}"]`, 'one or the other'],
    ['version = 1\n[sev-snp]\nminimum_firmware = "1.55.400"', 'minimum_firmware'], ['version = 1\n[sev-snp]\nvmpls = [4]', 'vmpls.0'],
    ['version = 1\n[tdx]\nxfam_allowed = "31"', 'xfam_allowed'], ['version = 1\n[tdx]\ngrace_days = -1', 'grace_days'],
    ['version = 1\n[tdx]\nadvisories = [{ id = "INTEL-SA-00837", until = "tomorrow" }]', 'tdx.advisories.0.until'],
    ['version = 1\n[tdx]\nadvisories = [{ id = "INTEL-SA-00837", until = "2026-02-31T00:00:00Z" }]', 'tdx.advisories.0.until'],
    ['version = 1\naccept = ["tdx"]\n[nvidia]\ngpu_count = 8', 'counts GPUs and does not accept'],
  ])('refuses %j', async (text, message) => {
    expect(await refusal(text)).toContain(message);
  });
});

describe('policyToml', () => {
  it('writes a template that reads back as the same policy, with a comment for every field', async () => {
    for (const document of [defaultPolicyDocument(), await parse(FULL)]) {
      const text = policyToml(document);
      expect(await parse(text)).toEqual(document);
      for (const [, , fields] of POLICY_SECTIONS) {
        for (const [name, { comment }] of Object.entries(fields)) expect(text).toMatch(new RegExp(`^# ${comment.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\n(# )?${name} = `, 'm'));
      }
    }
  });
});

describe('diffPolicies', () => {
  const effects = async (before: string, after: string): Promise<Record<string, string>> =>
    Object.fromEntries(diffPolicies(await parse(`version = 1\n${before}`), await parse(`version = 1\n${after}`)).map(({ field, effect }) => [field, effect]));

  it('no difference between a policy and its template', async () => {
    expect(diffPolicies(await parse(FULL), await parse(policyToml(await parse(FULL))))).toEqual([]);
  });

  it.each([
    ['accept = ["tdx"]', '', { accept: 'weaker' }],
    ['', '[tdx]\nallow_debug = true', { 'tdx.allow_debug': 'weaker' }],
    ['', '[tdx]\nrequire_sept_ve_disable = false', { 'tdx.require_sept_ve_disable': 'weaker' }],
    ['', '[tdx]\nmin_evaluation_data_number = 16\nmax_collateral_age_days = 5', { 'tdx.min_evaluation_data_number': 'weaker', 'tdx.max_collateral_age_days': 'stronger' }],
    ['', '[tdx]\ngrace_days = 3\nxfam_allowed = "0x3"', { 'tdx.grace_days': 'weaker', 'tdx.xfam_allowed': 'stronger' }],
    [`[tdx]\nimage_hashes = ["${HASH}"]`, `[tdx]\nimage_hashes = ["${'ee'.repeat(32)}"]`, { 'tdx.image_hashes': 'other' }],
    ['', `[tdx]\nhosts = ["${'01'.repeat(16)}"]`, { 'tdx.hosts': 'stronger' }],
    ['', '[sev-snp]\nproducts = ["Milan", "Genoa", "Turin"]', { 'sev-snp.products': 'weaker' }],
    ['', '[sev-snp]\nrequired_protections = ["singleSocket"]\nrequired_mitigations = "0x1"', { 'sev-snp.required_mitigations': 'stronger', 'sev-snp.required_protections': 'stronger' }],
    ['[sev-snp]\nminimum_firmware = "1.55.40"\nminimum_abi = "1.51"', '[sev-snp]\nminimum_firmware = "1.9.99"', { 'sev-snp.minimum_firmware': 'weaker', 'sev-snp.minimum_abi': 'weaker' }],
    [
      '[sev-snp]\nminimum_tcb = { Genoa = { bootloader = 10, tee = 0, snp = 23, microcode = 84 } }',
      '[sev-snp]\nminimum_tcb = { Genoa = { bootloader = 9, tee = 0, snp = 24, microcode = 84 } }', { 'sev-snp.minimum_tcb': 'other' },
    ],
    ['', '[sev-snp]\nminimum_tcb = { Turin = { bootloader = 0, tee = 0, snp = 0, microcode = 0 } }', { 'sev-snp.minimum_tcb': 'stronger' }],
    ['', '[nvidia]\ngpu_count = 1\nocsp_max_age_hours = 24', { 'nvidia.gpu_count': 'other', 'nvidia.ocsp_max_age_hours': 'stronger' }],
    [`[sev-snp]\nhost_data = "${HASH}"`, '', { 'sev-snp.host_data': 'weaker' }],
    ['', '[nvidia]\nfwid = "when-reported"', { 'nvidia.fwid': 'weaker' }],
    // With both lists both must match; where only one is left, it alone decides.
    [`[sev-snp]\nmeasurements = ["${REGISTER}"]\nimage_hashes = ["${HASH}"]`, `[sev-snp]\nimage_hashes = ["${HASH}"]`, { 'sev-snp.measurements': 'weaker' }],
    [`[sev-snp]\nmeasurements = ["${REGISTER}"]\nimage_hashes = ["${HASH}"]`, `[sev-snp]\nmeasurements = ["${REGISTER}"]`, { 'sev-snp.image_hashes': 'weaker' }],
    ['[sev-snp]\nany_measurement = true', `[sev-snp]\nimage_hashes = ["${HASH}"]`, { 'sev-snp.any_measurement': 'stronger', 'sev-snp.image_hashes': 'stronger' }],
    ['[tdx]\nany_measurement = true', `[tdx]\nimage_hashes = ["${HASH}"]`, { 'tdx.any_measurement': 'stronger', 'tdx.image_hashes': 'stronger' }],
    ['', `[sev-snp]\nimage_hashes = ["${HASH}"]`, { 'sev-snp.image_hashes': 'weaker' }],
  ])('%j to %j', async (before, after, wanted) => {
    expect(await effects(before, after)).toEqual(wanted);
    const back = Object.fromEntries(Object.entries(wanted).map(([field, effect]) => [field, effect === 'weaker' ? 'stronger' : effect === 'stronger' ? 'weaker' : effect]));
    expect(await effects(after, before)).toEqual(back);
  });
});
