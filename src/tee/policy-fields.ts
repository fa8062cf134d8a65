// Every field of a policy file: its schema, its strict default, what it means, and which change of it makes a policy
// weaker. The schema, the commented template and the comparison of two policies are all made from this one table.
import { z } from 'zod';

/**
 * How a change of the field is to be judged. `allow`: every further entry lets more pass, and null lets everything pass;
 * `require`: every further entry lets less pass; `permit` and `demand`: a flag that weakens or strengthens when true;
 * `minimum` and `maximum`: bounds, null for none; `permitBits` and `demandBits`: masks of bits; `pin`: one value, null for any;
 * `required`: a word of which "required" is the strictest; `exact`: a value whose changes are neither.
 */
export type FieldRule = 'allow' | 'require' | 'permit' | 'demand' | 'minimum' | 'maximum' | 'permitBits' | 'demandBits' | 'pin' | 'required' | 'exact';

export interface PolicyField<S extends z.ZodType = z.ZodType> {
  readonly schema: S;
  readonly rule: FieldRule;
  /** For the template: one sentence without full stop. */
  readonly comment: string;
}

const MAX_ENTRIES = 4096;

const field = <S extends z.ZodType>(schema: S, rule: FieldRule, comment: string): PolicyField<S> => ({ schema, rule, comment });
const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-fA-F]{${bytes * 2}}$`), `expected ${bytes * 2} hexadecimal digits`).transform((text) => text.toLowerCase());
const list = <S extends z.ZodType>(item: S) => z.array(item).max(MAX_ENTRIES);
const bits = z.string().regex(/^0x[0-9a-fA-F]{1,16}$/, 'expected a text such as "0x30"').transform((text) => `0x${BigInt(text).toString(16)}`);
/** A day that does not exist would be read as one of the next month. */
const isTime = (text: string): boolean => {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text.replace('Z', '.000Z');
};
const time = z.string().refine(isTime, 'expected a time such as 2026-12-31T00:00:00Z');
const days = z.int().min(0).max(3650);
const svn = z.int().min(0).max(255);
const register = hex(48).optional();
const flag = (value: boolean) => z.boolean().default(value);

/** What a family's measurements may be, before defaults. */
const anyMeasurement = field(flag(false), 'permit', 'true: the image is not judged at all');

const tcb = {
  statuses: field(
    list(z.enum([
      'UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded', 'OutOfDate', 'OutOfDateConfigurationNeeded',
      'TDRelaunchAdvised', 'TDRelaunchAdvisedConfigurationNeeded',
    ])).default(['UpToDate']), 'allow', 'TCB statuses by Intel that are accepted; "Revoked" never is',
  ),
  advisories: field(
    list(z.strictObject({ id: z.string().regex(/^INTEL-SA-\d{5}$/, 'expected for example INTEL-SA-00837'), until: time.nullable().default(null) })).default([]),
    'allow', 'advisories that are tolerated with a status other than UpToDate: { id = "INTEL-SA-00837", until = "2026-12-31T00:00:00Z" }',
  ),
  grace_days: field(days.default(0), 'maximum', 'days for which an outdated status that is named above is tolerated after Intel published a better level'),
  min_evaluation_data_number: field(z.int().min(0).max(1_000_000).default(17), 'minimum', 'least tcbEvaluationDataNumber of the collateral'),
  max_collateral_age_days: field(days.nullable().default(null), 'maximum', 'largest age of the collateral in days; without it, its own next update counts'),
  hosts: field(list(hex(16)).nullable().default(null), 'allow', 'platforms that are accepted, by PPID (16 bytes); without it, any genuine one is'),
};

const TDX = {
  image_hashes: field(list(hex(32)).default([]), 'allow', 'image hashes that are accepted, as a root contract lists them (32 bytes)'),
  measurements: field(
    list(z.strictObject({
      mr_td: register, mr_config_id: register, mr_owner: register, mr_owner_config: register,
      rtmr0: register, rtmr1: register, rtmr2: register, rtmr3: register, mr_seam: register,
    }).refine((registers) => Object.keys(registers).length > 0, 'expected at least one register')).default([]),
    'allow', 'or registers that must all match (48 bytes each): { mr_td = "...", rtmr1 = "...", rtmr2 = "..." }',
  ),
  any_measurement: anyMeasurement,
  ...tcb,
  allow_debug: field(flag(false), 'permit', 'true: the host may read and change the memory of the guest'),
  allow_migratable: field(flag(false), 'permit', 'true: a migration TD may move the guest'),
  require_sept_ve_disable: field(flag(true), 'demand', 'false for Azure, whose paravisor handles these exceptions itself'),
  attributes_allowed: field(bits.default('0x80000000c0000000'), 'permitBits', 'further bits of TDATTRIBUTES that may be set'),
  xfam_allowed: field(bits.default('0x6dbe7'), 'permitBits', 'bits of XFAM that may be set'),
  service_tds: field(list(hex(48)).default([]), 'allow', 'measurements of service TDs that are accepted'),
};

const SGX = {
  measurements: field(
    list(z.union([
      z.strictObject({ mr_enclave: hex(32) }),
      z.strictObject({ mr_signer: hex(32), isv_prod_id: z.int().min(0).max(0xffff), min_isv_svn: z.int().min(0).max(0xffff) }),
    ])).default([]), 'allow', 'enclaves: { mr_enclave = "..." } or { mr_signer = "...", isv_prod_id = 1, min_isv_svn = 2 }',
  ),
  any_measurement: anyMeasurement,
  ...tcb,
  allow_debug: field(flag(false), 'permit', 'true: the host may read and change the memory of the enclave'),
  attributes_allowed: field(bits.default('0x485'), 'permitBits', 'bits of ATTRIBUTES besides DEBUG that may be set'),
  min_tcb_info_version: field(z.int().min(2).max(3).default(3), 'minimum', 'least version of the TCB info; 2 accepts collateral in the form that Intel has ended'),
};

const tcbVersion = z.strictObject({ fmc: svn.default(0), bootloader: svn, tee: svn, snp: svn, microcode: svn });

const SEV_SNP = {
  image_hashes: field(list(hex(32)).default([]), 'allow', 'image hashes that are accepted, as a root contract lists them (32 bytes)'),
  measurements: field(list(hex(48)).default([]), 'allow', 'launch digests that are accepted (48 bytes); with image hashes, both must match'),
  any_measurement: anyMeasurement,
  products: field(list(z.enum(['Milan', 'Genoa', 'Turin'])).default(['Genoa', 'Turin']), 'allow', 'processors; the root seed of Milan has been extracted, so its reports can be forged'),
  signers: field(list(z.enum(['VCEK', 'VLEK'])).default(['VCEK']), 'allow', 'kinds of keys that may sign; a VLEK names a cloud provider and no chip'),
  minimum_tcb: field(
    z.strictObject({ Milan: tcbVersion.optional(), Genoa: tcbVersion.optional(), Turin: tcbVersion.optional() }).default({}),
    'minimum', 'least TCB of each product, without which a verdict stays incomplete: { Genoa = { bootloader = 10, tee = 0, snp = 23, microcode = 84 } }',
  ),
  minimum_firmware: field(
    z.string().regex(/^\d{1,3}\.\d{1,3}\.\d{1,3}$/, 'expected for example "1.55.40"').refine((text) => text.split('.').every((part) => Number(part) <= 255), 'expected parts up to 255').nullable().default(null),
    'minimum', 'least firmware, major.minor.build; without it, the TCB decides',
  ),
  required_mitigations: field(bits.default('0x0'), 'demandBits', 'bits that both mitigation vectors must have'),
  allow_debug: field(flag(false), 'permit', 'true: the host may read and change the memory of the guest'),
  allow_migration_agent: field(flag(false), 'permit', 'true: a migration agent may hand the guest to another machine'),
  allow_smt: field(flag(false), 'permit', 'true: sibling threads of others may share the cores of the guest; hosts have SMT on unless it was turned off in their firmware'),
  allow_cxl: field(flag(false), 'permit', 'true: memory of the guest may be on attached devices'),
  required_protections: field(
    list(z.enum(['singleSocket', 'aes256Xts', 'raplDisabled', 'ciphertextHiding', 'pageSwapDisabled'])).default([]),
    'require', 'protections that the guest must demand of its host: singleSocket, aes256Xts, raplDisabled, ciphertextHiding, pageSwapDisabled',
  ),
  minimum_abi: field(
    z.string().regex(/^\d{1,3}\.\d{1,3}$/, 'expected for example "1.51"').refine((text) => text.split('.').every((part) => Number(part) <= 255), 'expected parts up to 255').default('0.0'),
    'minimum', 'least firmware interface that the guest must demand, major.minor',
  ),
  require_alias_check: field(flag(true), 'demand', 'the firmware must have checked memory for aliases'),
  vmpls: field(list(z.int().min(0).max(3)).default([0]), 'allow', 'privilege levels that may have asked for the report'),
  id_key_digests: field(list(hex(48)).nullable().default(null), 'allow', 'digests of ID keys (48 bytes); without it, any or none'),
  author_key_digests: field(list(hex(48)).nullable().default(null), 'allow', 'digests of author keys (48 bytes); without it, any or none'),
  host_data: field(hex(32).nullable().default(null), 'pin', 'HOST_DATA (32 bytes); without it, any'),
  chip_ids: field(list(hex(64)).nullable().default(null), 'allow', 'chips that are accepted (64 bytes); without it, any genuine one is'),
};

const versions = list(z.string().min(1).max(64)).nullable().default(null);

const NVIDIA = {
  gpu_count: field(z.int().min(0).max(16).nullable().default(null), 'exact', 'how many GPUs there must be, without which a verdict on GPUs stays incomplete; with it, GPU evidence must be there'),
  switch_count: field(z.int().min(0).max(16).default(0), 'exact', 'how many switches there must be'),
  modes: field(list(z.enum(['single', 'multi', 'protected-pcie'])).default(['single', 'multi']), 'allow', 'modes of GPUs; "protected-pcie" leaves the links between them in the clear'),
  fwid: field(z.enum(['required', 'when-reported']).default('required'), 'required', '"when-reported" for drivers before 550, which do not report the firmware that holds the signing key'),
  require_system_mode: field(flag(true), 'demand', 'the guest must state that confidential computing is on and developer tools are off'),
  allow_certificate_hold: field(flag(false), 'permit', 'true: a certificate that OCSP calls on hold is accepted'),
  ocsp_max_age_hours: field(z.int().min(1).max(24 * 365).nullable().default(null), 'maximum', 'largest age of OCSP answers in hours; without it, their own next update counts'),
  driver_versions: field(versions, 'allow', 'driver versions that are accepted; without it, any that NVIDIA has a manifest for'),
  vbios_versions: field(versions, 'allow', 'VBIOS versions that are accepted; without it, any that NVIDIA has a manifest for'),
  devices: field(list(z.string().regex(/^[0-9a-f]{2,40}$/, 'expected lower-case hexadecimal digits')).nullable().default(null), 'allow', 'devices that are accepted, by the serial number of their identity certificate; without it, any'),
};

/** Kinds of evidence that a policy can accept. */
export const EVIDENCE_FAMILIES = ['tdx', 'sgx', 'sev-snp', 'nvidia'] as const;
export type PolicyFamily = (typeof EVIDENCE_FAMILIES)[number];

const TOP = {
  accept: field(list(z.enum(EVIDENCE_FAMILIES)).default([...EVIDENCE_FAMILIES]), 'allow', 'kinds of evidence that are accepted'),
};

type Fields = Readonly<Record<string, PolicyField>>;
type ShapeOf<F extends Fields> = { [K in keyof F]: F[K]['schema'] };

function shapeOf<F extends Fields>(fields: F): ShapeOf<F> {
  return Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema])) as ShapeOf<F>;
}

const section = <F extends Fields>(fields: F) => z.strictObject(shapeOf(fields)).prefault({} as never);

/** Sections of a policy file in the order of the template; `''` is the top of the file. */
export const POLICY_SECTIONS: readonly (readonly [name: '' | PolicyFamily, about: string, fields: Fields])[] = [
  ['', '', TOP],
  ['tdx', 'Intel TDX guests', TDX],
  ['sgx', 'Intel SGX enclaves', SGX],
  ['sev-snp', 'AMD SEV-SNP guests', SEV_SNP],
  ['nvidia', 'NVIDIA GPUs and switches', NVIDIA],
];

/** A whole policy file. Absent fields have their strict defaults; unknown ones are an error. */
export const PolicyDocument = z.strictObject({
  version: z.literal(1), ...shapeOf(TOP), tdx: section(TDX), sgx: section(SGX), 'sev-snp': section(SEV_SNP), nvidia: section(NVIDIA),
});
export type PolicyDocument = z.infer<typeof PolicyDocument>;
