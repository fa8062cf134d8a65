// The JSON bundle of GPU and switch evidence and what is needed to verify it, as `cocoon attest verify` reads it. Refuses
// unknown members, texts out of bounds, and parts that cannot be parsed. Everything in it is untrusted.
import { equalBytes, toHex } from '../../core/bytes.ts';
import { asHex, asObject, asText, fieldOf, listField, textField } from '../dcap/json-reader.ts';
import type { JsonObject } from '../dcap/json-reader.ts';
import { malformed } from '../refusal.ts';
import type { X509 } from '../x509/certificate.ts';
import { MAX_PEM_BYTES, certificatesOfPem } from '../x509/pem.ts';
import { CertificatePool } from './certificate-pool.ts';
import { MAX_OCSP_BYTES, parseOcsp } from './parse-ocsp.ts';
import type { OcspResponse } from './parse-ocsp.ts';
import { parseRim } from './parse-rim.ts';
import type { Rim } from './parse-rim.ts';
import { MAX_EVIDENCE_BYTES, SPDM_NONCE_BYTES } from './parse-spdm.ts';
import { NVIDIA_ARCHITECTURES } from './roots.ts';
import type { NvidiaArchitecture } from './roots.ts';
import { MAX_XML_CHARACTERS } from './xml.ts';

export const MAX_DEVICES = 16;
const MAX_CHAIN = 8;
const MAX_RIMS = 64;
const MAX_OCSP = 256;
const MAX_ID_CHARACTERS = 128;
/** The request's nonce stands behind four bytes of header. */
const NONCE_OFFSET = 4;
/** Four characters of base64 for three bytes, with room for line ends. */
const base64Limit = (bytes: number): number => Math.ceil(bytes / 3) * 4 + 4096;

export interface NvidiaDevice {
  readonly architecture: NvidiaArchitecture;
  /** SPDM request and response; parseSpdm reads them. */
  readonly evidence: Uint8Array;
  /** Leaf first, root last. */
  readonly chain: readonly X509[];
}

export interface NvidiaManifest {
  /** Under which it was fetched, for example `NV_GPU_DRIVER_GH100_550.90.07`; null where nobody says. */
  readonly id: string | null;
  readonly rim: Rim;
}

export interface NvidiaCollateral {
  readonly manifests: readonly NvidiaManifest[];
  readonly ocsp: readonly OcspResponse[];
}

/** What software in the guest says about the driver's mode. It is worth as much as the evidence for the guest. */
export interface SystemMode {
  readonly confidentialComputing: boolean;
  readonly developerTools: boolean;
}

export interface NvidiaBundle {
  readonly devices: readonly NvidiaDevice[];
  readonly collateral: NvidiaCollateral;
  /** Null where the bundle does not say. */
  readonly system: SystemMode | null;
}

/**
 * Reads a bundle:
 * `{ "devices": [{ "arch": "HOPPER", "evidence": "<base64: SPDM>", "certificate": "<base64: PEM chain>", "nonce": "<32 bytes, hex, optional>" }],
 *    "collateral": { "rims": [{ "id": "NV_GPU_…" (optional), "rim": "<XML>" }], "ocsp": [{ "response": "<DER, hex>", "nonce": "<hex, optional>" }] },
 *    "system": { "cc_mode": "on", "dev_tools": "off" } }` (`system` is optional).
 * A device is what NVIDIA's tools write. A nonce of an OCSP request must be repeated by its response. `pool` may be kept and
 * given again, so that known authorities are not verified anew. Throws AttestationError.
 */
export function parseNvidiaBundle(json: unknown, pool: CertificatePool = new CertificatePool()): NvidiaBundle {
  const what = 'the NVIDIA bundle';
  const bundle = asObject(json, what);
  onlyFields(bundle, ['devices', 'collateral', 'system'], what);
  const collateral = asObject(fieldOf(bundle, 'collateral'), `collateral of ${what}`);
  onlyFields(collateral, ['rims', 'ocsp'], `collateral of ${what}`);
  return {
    devices: listField(bundle, 'devices', what, MAX_DEVICES).map((device) => parseDevice(device, pool)),
    collateral: {
      manifests: listField(collateral, 'rims', what, MAX_RIMS).map((manifest) => parseManifest(manifest, pool)),
      ocsp: listField(collateral, 'ocsp', what, MAX_OCSP).map((response) => parseAnswer(response, pool)),
    },
    system: fieldOf(bundle, 'system') === undefined ? null : parseSystem(asObject(fieldOf(bundle, 'system'), `system of ${what}`)),
  };
}

/** One device as NVIDIA's tools write it. Throws AttestationError. */
export function parseDevice(json: unknown, pool: CertificatePool = new CertificatePool()): NvidiaDevice {
  const what = 'a device of the NVIDIA bundle';
  const device = asObject(json, what);
  onlyFields(device, ['arch', 'nonce', 'evidence', 'certificate'], what);
  const arch = textField(device, 'arch', what, 16);
  const architecture = NVIDIA_ARCHITECTURES.find((candidate) => candidate === arch);
  if (architecture === undefined) throw malformed(`${what} has the architecture ${JSON.stringify(arch)}, expected ${NVIDIA_ARCHITECTURES.join(', ')}`);
  const evidence = base64Field(device, 'evidence', what, MAX_EVIDENCE_BYTES);
  requireStatedNonce(device, evidence, what);
  const pem = base64Field(device, 'certificate', what, MAX_PEM_BYTES);
  return { architecture, evidence, chain: certificatesOfPem(pem, 'device certificates', MAX_CHAIN).map((der) => pool.parse(der, 'device certificate')) };
}

function requireStatedNonce(device: JsonObject, evidence: Uint8Array, what: string): void {
  const nonce = fieldOf(device, 'nonce');
  if (nonce === undefined || nonce === null) return;
  const stated = asHex(nonce, `nonce of ${what}`, SPDM_NONCE_BYTES);
  if (!equalBytes(stated, evidence.subarray(NONCE_OFFSET, NONCE_OFFSET + SPDM_NONCE_BYTES))) {
    throw malformed(`${what} states the nonce ${toHex(stated)}, and its evidence has another one`);
  }
}

function parseManifest(json: unknown, pool: CertificatePool): NvidiaManifest {
  const what = 'a manifest of the NVIDIA bundle';
  const manifest = asObject(json, what);
  onlyFields(manifest, ['id', 'rim'], what);
  const id = fieldOf(manifest, 'id');
  return { id: id === undefined ? null : asText(id, `id of ${what}`, MAX_ID_CHARACTERS), rim: parseRim(textField(manifest, 'rim', what, MAX_XML_CHARACTERS), pool) };
}

function parseAnswer(json: unknown, pool: CertificatePool): OcspResponse {
  const what = 'an OCSP answer of the NVIDIA bundle';
  const answer = asObject(json, what);
  onlyFields(answer, ['response', 'nonce'], what);
  const response = parseOcsp(asHex(fieldOf(answer, 'response'), `response of ${what}`, MAX_OCSP_BYTES), pool);
  const nonce = fieldOf(answer, 'nonce');
  if (nonce === undefined) return response;
  const asked = asHex(nonce, `nonce of ${what}`, SPDM_NONCE_BYTES);
  if (response.nonce === null || !equalBytes(response.nonce, asked)) throw malformed(`${what} answers another request than the one with the nonce ${toHex(asked)}`);
  return response;
}

function parseSystem(system: JsonObject): SystemMode {
  const what = 'system of the NVIDIA bundle';
  onlyFields(system, ['cc_mode', 'dev_tools'], what);
  const isOn = (name: string): boolean => {
    const value = textField(system, name, what, 8);
    if (value !== 'on' && value !== 'off') throw malformed(`${name} of ${what} is ${JSON.stringify(value)}, expected "on" or "off"`);
    return value === 'on';
  };
  return { confidentialComputing: isOn('cc_mode'), developerTools: isOn('dev_tools') };
}

function base64Field(object: JsonObject, name: string, what: string, maxBytes: number): Uint8Array {
  const text = textField(object, name, what, base64Limit(maxBytes));
  const decoded = Buffer.from(text, 'base64');
  if (text === '' || decoded.toString('base64') !== text || decoded.length > maxBytes) throw malformed(`${name} of ${what} is not base64 of at most ${maxBytes} bytes`);
  return new Uint8Array(decoded);
}

/** A member with a misspelt name would otherwise count as absent. */
function onlyFields(object: JsonObject, known: readonly string[], what: string): void {
  const unknown = Object.keys(object).find((name) => !known.includes(name));
  if (unknown !== undefined) throw malformed(`${what} has the unknown member ${JSON.stringify(unknown.slice(0, 32))}, expected ${known.join(', ')}`);
}
