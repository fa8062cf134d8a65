// The SGX extensions of a PCK certificate (Intel SGX PCK certificate specification 1.5, section 1.3.5): which platform it is
// and which TCB its key stands for. Refuses missing and duplicate fields and values of another size.
import { malformed } from '../refusal.ts';
import { DerReader } from '../der.ts';
import type { X509 } from '../x509/certificate.ts';

const OID_SGX = '1.2.840.113741.1.13.1';
const OID_TCB = `${OID_SGX}.2`;
const COMPONENTS = 16;
const PCESVN_FIELD = 17;
const CPUSVN_FIELD = 18;
const MAX_FIELDS = 32;

export interface PckFacts {
  /** Platform provisioning id, 16 bytes: the same for the life of the processor. */
  readonly ppid: Uint8Array;
  /** 6 bytes. */
  readonly fmspc: Uint8Array;
  /** 2 bytes. */
  readonly pceId: Uint8Array;
  /** 16 SVNs of 0 to 255. */
  readonly components: readonly number[];
  readonly pceSvn: number;
  /** 16 bytes; null in certificates of the Processor CA. */
  readonly platformInstanceId: Uint8Array | null;
}

/** Throws AttestationError E_EVIDENCE_MALFORMED. */
export function parsePckFacts(certificate: X509): PckFacts {
  const extension = certificate.extensions.get(OID_SGX);
  if (extension === undefined) throw malformed(`the PCK certificate has no SGX extension (${OID_SGX})`);
  const fields = readFields(DerReader.of(extension.value, 'the SGX extension', extension.value.length), 'SGX extension');
  const tcb = field(fields, OID_TCB);
  const tcbFields = readFields(tcb, 'TCB');
  const components = Array.from({ length: COMPONENTS }, (_, index) => svn(field(tcbFields, `${OID_TCB}.${index + 1}`), `component ${index + 1}`, 0xff));
  const pceSvn = svn(field(tcbFields, `${OID_TCB}.${PCESVN_FIELD}`), 'PCESVN', 0xffff);
  octets(field(tcbFields, `${OID_TCB}.${CPUSVN_FIELD}`), 'CPUSVN', COMPONENTS);
  const instance = fields.get(`${OID_SGX}.6`);
  return {
    ppid: octets(field(fields, `${OID_SGX}.1`), 'PPID', 16), pceId: octets(field(fields, `${OID_SGX}.3`), 'PCEID', 2),
    fmspc: octets(field(fields, `${OID_SGX}.4`), 'FMSPC', 6), components, pceSvn,
    platformInstanceId: instance === undefined ? null : octets(instance, 'platform instance id', 16),
  };
}

/** `SEQUENCE OF SEQUENCE { OID, value }`: a reader that stands before each value, by OID. */
function readFields(input: DerReader, what: string): Map<string, DerReader> {
  const list = input.nested(what);
  input.end();
  const fields = new Map<string, DerReader>();
  while (!list.done) {
    if (fields.size === MAX_FIELDS) throw malformed(`the ${what} has more than ${MAX_FIELDS} fields`);
    const entry = list.nested(`field of the ${what}`);
    const oid = entry.oid(`field id of the ${what}`);
    if (fields.has(oid)) throw malformed(`the ${what} has the field ${oid} twice`);
    fields.set(oid, entry);
  }
  return fields;
}

function field(fields: ReadonlyMap<string, DerReader>, oid: string): DerReader {
  const reader = fields.get(oid);
  if (reader === undefined) throw malformed(`the SGX extension of the PCK certificate has no field ${oid}`);
  return reader;
}

function svn(reader: DerReader, what: string, max: number): number {
  const value = reader.smallInteger(what);
  if (value > max) throw malformed(`${what} of the PCK certificate is ${value}, expected at most ${max}`);
  reader.end();
  return value;
}

function octets(reader: DerReader, what: string, length: number): Uint8Array {
  const bytes = reader.octetString(what);
  reader.end();
  if (bytes.length !== length) throw malformed(`${what} of the PCK certificate has ${bytes.length} bytes, expected ${length}`);
  return bytes;
}
