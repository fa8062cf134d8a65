// A policy as a TOML or JSON file: text to document to what the verifiers take. Every security field has a strict default
// (policy-fields.ts). Refuses unknown fields, values of another form, other versions, and policies that could not be meant.
import type { z } from 'zod';
import { fromHex } from '../core/bytes.ts';
import { ConfigError } from '../core/errors.ts';
import { FORBIDDEN_IMAGE_HASHES } from './image-hash.ts';
import { checkDcapPolicy } from './dcap/policy.ts';
import type { DcapPolicy, SgxMeasurement, TcbPolicy, TdxMeasurement } from './dcap/policy.ts';
import type { NvidiaPolicy } from './nvidia/policy.ts';
import { PolicyDocument } from './policy-fields.ts';
import type { PolicyFamily } from './policy-fields.ts';
import type { SnpFirmware } from './snp/parse-report.ts';
import type { SnpPolicy } from './snp/policy.ts';
import type { SnpProduct, Tcb } from './snp/products.ts';

export const MAX_POLICY_BYTES = 1024 * 1024;

/** What the verifiers of all families are given. */
export interface AttestationPolicy {
  readonly dcap: DcapPolicy;
  /** Null refuses the kind of evidence. */
  readonly snp: SnpPolicy | null;
  /** Null refuses the kind of evidence. */
  readonly nvidia: NvidiaPolicy | null;
}

/** The document of a policy without any field: every default. */
export const defaultPolicyDocument = (): PolicyDocument => PolicyDocument.parse({ version: 1 });

/** Parses the text of a policy file; `name` is for messages. JSON where it begins with a brace, else TOML. Throws ConfigError E_CONFIG. */
export async function parsePolicy(text: string, name: string): Promise<PolicyDocument> {
  const json = /^\s*\{/.test(text);
  let tree: unknown;
  try {
    tree = json ? JSON.parse(text) : (await import('smol-toml')).parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new ConfigError('E_CONFIG', `cannot read the policy "${name}" as ${json ? 'JSON' : 'TOML'}: ${reason}`, { cause });
  }
  const parsed = PolicyDocument.safeParse(tree);
  if (!parsed.success) throw new ConfigError('E_CONFIG', `cannot use the policy "${name}": ${problemOf(parsed.error)}`, { hint: 'run `cocoon attest policy show` to see every field' });
  policyOfDocument(parsed.data, name);
  return parsed.data;
}

function problemOf({ issues }: z.ZodError): string {
  const [first] = issues;
  if (first === undefined) return 'it does not follow the schema';
  const path = first.path.map(String).join('.');
  const unknown = first.code === 'unrecognized_keys' ? first.keys[0] : undefined;
  if (unknown !== undefined) return `unknown field "${[...(path === '' ? [] : [path]), unknown].join('.').slice(0, 80)}"`;
  if (path === 'version') return 'version is not 1, expected version = 1';
  return `${path === '' ? 'the whole' : path} is not as expected: ${first.message.slice(0, 200).replace(/^[A-Z]/, (letter) => letter.toLowerCase())}`;
}

/** What the verifiers take. Throws ConfigError E_CONFIG for a policy that could not be meant; `name` is for messages. */
export function policyOfDocument(document: PolicyDocument, name: string): AttestationPolicy {
  const { accept } = document;
  if (accept.length === 0) throw new ConfigError('E_CONFIG', `the policy "${name}" accepts no kind of evidence, expected at least one`);
  const accepts = (family: PolicyFamily): boolean => accept.includes(family);
  const policy: AttestationPolicy = {
    dcap: { tdx: accepts('tdx') ? tdxPolicy(document.tdx) : null, sgx: accepts('sgx') ? sgxPolicy(document.sgx) : null },
    snp: accepts('sev-snp') ? snpPolicy(document['sev-snp']) : null,
    nvidia: accepts('nvidia') ? nvidiaPolicy(document.nvidia) : null,
  };
  checkDcapPolicy(policy.dcap);
  checkSnp(document['sev-snp']);
  if ((document.nvidia.gpu_count ?? 0) > 0 && !accepts('nvidia')) {
    throw new ConfigError('E_CONFIG', `the policy "${name}" counts GPUs and does not accept their evidence, expected "nvidia" in accept or no gpu_count`, {
      hint: 'without it, machines would pass that show no GPU at all',
    });
  }
  return policy;
}

/** The policy with an image that is not judged, in every family. Throws ConfigError later where it names measurements. */
export function withAnyMeasurement(document: PolicyDocument): PolicyDocument {
  const any = { any_measurement: true };
  return { ...document, tdx: { ...document.tdx, ...any }, sgx: { ...document.sgx, ...any }, 'sev-snp': { ...document['sev-snp'], ...any } };
}

/**
 * The policy with the images of a network and no others. Enclaves are no members of a network. An empty list would leave the
 * image unjudged: the check against the network's own list (evidence-file-judge.ts) refuses it.
 */
export function withAllowedImages(document: PolicyDocument, images: { readonly proxy: readonly string[]; readonly worker: readonly string[] }): PolicyDocument {
  const hashes = [...new Set([...images.proxy, ...images.worker])].filter((hash) => !FORBIDDEN_IMAGE_HASHES.has(hash));
  const only = { image_hashes: hashes, measurements: [], any_measurement: hashes.length === 0 };
  return { ...document, accept: document.accept.filter((family) => family !== 'sgx'), tdx: { ...document.tdx, ...only }, 'sev-snp': { ...document['sev-snp'], ...only } };
}

function tcbPolicy(part: PolicyDocument['tdx'] | PolicyDocument['sgx']): TcbPolicy {
  return {
    statuses: part.statuses,
    advisories: part.advisories.map(({ id, until }) => ({ id, untilMs: until === null ? null : Date.parse(until) })),
    graceDays: part.grace_days, minEvaluationDataNumber: part.min_evaluation_data_number,
    maxCollateralAgeDays: part.max_collateral_age_days, hosts: part.hosts,
  };
}

/** Names of the registers in a file and in a policy. */
export const REGISTER_NAMES = [
  ['mr_td', 'mrTd'], ['mr_config_id', 'mrConfigId'], ['mr_owner', 'mrOwner'], ['mr_owner_config', 'mrOwnerConfig'],
  ['rtmr0', 'rtmr0'], ['rtmr1', 'rtmr1'], ['rtmr2', 'rtmr2'], ['rtmr3', 'rtmr3'], ['mr_seam', 'mrSeam'],
] as const;

function tdxPolicy(part: PolicyDocument['tdx']): DcapPolicy['tdx'] {
  const measurementOf = (registers: PolicyDocument['tdx']['measurements'][number]): TdxMeasurement =>
    Object.fromEntries(REGISTER_NAMES.flatMap(([from, to]) => (registers[from] === undefined ? [] : [[to, registers[from]]])));
  return {
    tcb: tcbPolicy(part), measurements: part.measurements.map(measurementOf), imageHashes: part.image_hashes, anyMeasurement: part.any_measurement,
    allowDebug: part.allow_debug, allowMigratable: part.allow_migratable, requireSeptVeDisable: part.require_sept_ve_disable,
    attributesAllowed: BigInt(part.attributes_allowed), xfamAllowed: BigInt(part.xfam_allowed), serviceTds: part.service_tds,
  };
}

function sgxPolicy(part: PolicyDocument['sgx']): DcapPolicy['sgx'] {
  const measurementOf = (wanted: PolicyDocument['sgx']['measurements'][number]): SgxMeasurement => ('mr_enclave' in wanted
    ? { mrEnclave: wanted.mr_enclave }
    : { mrSigner: wanted.mr_signer, isvProdId: wanted.isv_prod_id, minIsvSvn: wanted.min_isv_svn });
  return {
    tcb: tcbPolicy(part), measurements: part.measurements.map(measurementOf), anyMeasurement: part.any_measurement,
    allowDebug: part.allow_debug, attributesAllowed: BigInt(part.attributes_allowed), minTcbInfoVersion: part.min_tcb_info_version,
  };
}

function snpPolicy(part: PolicyDocument['sev-snp']): SnpPolicy {
  const bytes = (texts: readonly string[]): Uint8Array[] => texts.map(fromHex);
  /** An empty list names nothing, so that the check stays unmade and the verdict incomplete. */
  const named = (texts: readonly string[]): Uint8Array[] | null => (texts.length === 0 ? null : bytes(texts));
  const [major = 0, minor = 0] = part.minimum_abi.split('.').map(Number);
  const minimumTcb: Partial<Record<SnpProduct, Tcb>> = {};
  for (const product of ['Milan', 'Genoa', 'Turin'] as const) {
    const tcb = part.minimum_tcb[product];
    if (tcb !== undefined) minimumTcb[product] = tcb;
  }
  return {
    products: part.products, signers: part.signers, minimumTcb,
    minimumFirmware: part.minimum_firmware === null ? null : firmwareOf(part.minimum_firmware), requiredMitigations: BigInt(part.required_mitigations),
    allowDebug: part.allow_debug, allowMigrationAgent: part.allow_migration_agent, allowSmt: part.allow_smt, allowCxl: part.allow_cxl,
    requiredProtections: part.required_protections, minimumAbi: { major, minor }, requireAliasCheck: part.require_alias_check, vmpls: part.vmpls,
    idKeyDigests: part.id_key_digests === null ? null : bytes(part.id_key_digests),
    authorKeyDigests: part.author_key_digests === null ? null : bytes(part.author_key_digests),
    hostData: part.host_data === null ? null : fromHex(part.host_data), chipIds: part.chip_ids === null ? null : bytes(part.chip_ids),
    measurements: named(part.measurements), imageHashes: named(part.image_hashes), anyMeasurement: part.any_measurement,
  };
}

const HOUR_MS = 3_600_000;

function nvidiaPolicy(part: PolicyDocument['nvidia']): NvidiaPolicy {
  return {
    gpuCount: part.gpu_count, switchCount: part.switch_count, modes: part.modes, fwid: part.fwid, requireSystemMode: part.require_system_mode,
    allowCertificateHold: part.allow_certificate_hold, ocspMaxAgeMs: part.ocsp_max_age_hours === null ? null : part.ocsp_max_age_hours * HOUR_MS,
    driverVersions: part.driver_versions, vbiosVersions: part.vbios_versions, devices: part.devices,
  };
}

function firmwareOf(text: string): SnpFirmware {
  const [major = 0, minor = 0, build = 0] = text.split('.').map(Number);
  return { major, minor, build };
}

function checkSnp({ image_hashes: hashes, measurements, any_measurement: any }: PolicyDocument['sev-snp']): void {
  for (const hash of hashes) {
    const nothing = FORBIDDEN_IMAGE_HASHES.get(hash);
    if (nothing !== undefined) throw new ConfigError('E_CONFIG', `the image hash ${hash} must never be listed: it stands for ${nothing}`);
  }
  if (any && hashes.length + measurements.length > 0) {
    throw new ConfigError('E_CONFIG', 'the SEV-SNP policy names measurements and accepts any, expected one or the other');
  }
}
