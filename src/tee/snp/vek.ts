// What AMD writes into the certificate of a chip key (VCEK) or of a cloud provider's loaded key (VLEK): extensions under
// 1.3.6.1.4.1.3704.1 (AMD 57230). Refuses missing, repeated or ill-formed ones, and certificates that are both or neither kind.
import { toHex } from '../../core/bytes.ts';
import { TAG, DerReader } from '../der.ts';
import { malformed } from '../refusal.ts';
import type { X509 } from '../x509/certificate.ts';
import type { SnpSigner } from './parse-report.ts';
import { CHIP_ID_BYTES, productOfName } from './products.ts';
import type { SnpProduct, Tcb } from './products.ts';

const AMD = '1.3.6.1.4.1.3704.1';
const OID = {
  structVersion: `${AMD}.1`, product: `${AMD}.2`, hardwareId: `${AMD}.4`, cspId: `${AMD}.5`,
  bootloader: `${AMD}.3.1`, tee: `${AMD}.3.2`, snp: `${AMD}.3.3`, microcode: `${AMD}.3.8`, fmc: `${AMD}.3.9`,
} as const;
/** SPL 4 to 7: parts of the TCB without a use so far. */
const OID_UNUSED_PARTS = [4, 5, 6, 7].map((part) => `${AMD}.3.${part}`);

const MAX_SPL = 255;
const MAX_STRUCT_VERSION = 255;
const MAX_CSP_ID_BYTES = 128;
const ASCII_TEXT = /^[\x20-\x7e]+$/;

/** Who a key belongs to and at which TCB it was derived. */
export interface VekFacts {
  readonly kind: SnpSigner;
  readonly product: SnpProduct;
  /** As written, with stepping. */
  readonly productName: string;
  readonly tcb: Tcb;
  /** Chip id of a VCEK: 64 bytes, 8 on Turin. Null for a VLEK. */
  readonly hardwareId: Uint8Array | null;
  /** Cloud provider of a VLEK. Null for a VCEK. */
  readonly cspId: string | null;
}

/** Reads AMD's extensions. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function vekFactsOf(certificate: X509): VekFacts {
  const version = integer(certificate, OID.structVersion, 'structure version', MAX_STRUCT_VERSION);
  if (version > 1) throw malformed(`the chip key has structure version ${version}, expected 0 or 1`);
  const productName = text(required(certificate, OID.product, 'product name'), 'product name');
  const product = productOfName(productName);
  const part = (oid: string, what: string): number => integer(certificate, oid, what, MAX_SPL);
  for (const oid of OID_UNUSED_PARTS) {
    // Turin's structure may leave them out; where they are, they must say nothing.
    if (product === 'Turin' && !certificate.extensions.has(oid)) continue;
    const value = part(oid, 'unused TCB part');
    if (value !== 0) throw malformed(`the chip key has ${value} in the unused TCB part ${oid}, expected 0`);
  }
  if (product !== 'Turin' && certificate.extensions.has(OID.fmc)) throw malformed(`the chip key of a ${product} has an FMC version, expected none`);
  return {
    ...identityOf(certificate, product),
    product,
    productName,
    tcb: {
      fmc: product === 'Turin' ? part(OID.fmc, 'FMC version') : 0,
      bootloader: part(OID.bootloader, 'boot loader version'), tee: part(OID.tee, 'TEE version'),
      snp: part(OID.snp, 'SNP version'), microcode: part(OID.microcode, 'microcode version'),
    },
  };
}

/** A VCEK names a chip, a VLEK names a cloud provider, and neither names both. */
function identityOf(certificate: X509, product: SnpProduct): Pick<VekFacts, 'kind' | 'hardwareId' | 'cspId'> {
  const hardwareId = certificate.extensions.get(OID.hardwareId)?.value;
  const csp = certificate.extensions.get(OID.cspId)?.value;
  if (hardwareId !== undefined && csp === undefined) {
    const wanted = CHIP_ID_BYTES[product];
    if (hardwareId.length !== wanted) {
      throw malformed(`the chip key of a ${product} has a hardware id of ${hardwareId.length} bytes (${toHex(hardwareId.subarray(0, 8))}…), expected ${wanted}`);
    }
    return { kind: 'VCEK', hardwareId, cspId: null };
  }
  if (hardwareId === undefined && csp !== undefined) {
    if (csp.length > MAX_CSP_ID_BYTES) throw malformed(`the cloud provider's name has ${csp.length} bytes, expected at most ${MAX_CSP_ID_BYTES}`);
    return { kind: 'VLEK', hardwareId: null, cspId: text(csp, 'name of the cloud provider') };
  }
  throw malformed(`the chip key has ${hardwareId === undefined ? 'neither a hardware id nor a cloud provider' : 'both a hardware id and a cloud provider'}, expected one of them`);
}

function required(certificate: X509, oid: string, what: string): Uint8Array {
  const value = certificate.extensions.get(oid)?.value;
  if (value === undefined) throw malformed(`the chip key has no ${what} (extension ${oid})`);
  return value;
}

function integer(certificate: X509, oid: string, what: string, max: number): number {
  const bytes = required(certificate, oid, what);
  const reader = DerReader.of(bytes, what, 8);
  const value = reader.smallInteger(what);
  reader.end();
  if (value > max) throw malformed(`the ${what} of the chip key is ${value}, expected at most ${max}`);
  return value;
}

function text(bytes: Uint8Array, what: string): string {
  const reader = DerReader.of(bytes, what, bytes.length);
  const tag = reader.nextTag === TAG.utf8String ? TAG.utf8String : TAG.ia5String;
  const value = Buffer.from(reader.element(tag, what).content).toString('latin1');
  reader.end();
  if (!ASCII_TEXT.test(value)) throw malformed(`the ${what} in the chip key is not printable ASCII text`);
  return value;
}
