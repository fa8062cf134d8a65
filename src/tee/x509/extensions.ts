// Extensions of certificates and CRLs (RFC 5280 sections 4.2, 5.2 and 5.3): a list of bounded length without duplicates,
// and the content of the two that decide what a certificate may be used for.
import { TAG, DerReader } from '../der.ts';
import { malformed } from '../refusal.ts';

export const OID_BASIC_CONSTRAINTS = '2.5.29.19';
export const OID_KEY_USAGE = '2.5.29.15';

const MAX_EXTENSIONS = 32;
const MAX_PATH_LENGTH_BYTES = 2;

export interface Extension {
  readonly critical: boolean;
  /** Content of the OCTET STRING. */
  readonly value: Uint8Array;
}

/** Reads all of a list of extensions, by dotted OID. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function readExtensions(list: DerReader, what: string): Map<string, Extension> {
  const extensions = new Map<string, Extension>();
  while (!list.done) {
    if (extensions.size === MAX_EXTENSIONS) throw malformed(`the ${what} has more than ${MAX_EXTENSIONS} extensions`);
    const entry = list.nested('extension');
    const oid = entry.oid('extension id');
    const critical = entry.optionalTrue('extension critical flag');
    const value = entry.octetString('extension value');
    entry.end();
    if (extensions.has(oid)) throw malformed(`the ${what} has the extension ${oid} twice, expected at most once`);
    extensions.set(oid, { critical, value });
  }
  return extensions;
}

export interface BasicConstraints {
  readonly isCa: boolean;
  /** How many CA certificates may follow below; null for any number. */
  readonly pathLength: number | null;
}

/** `SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }`; a path length needs cA. */
export function parseBasicConstraints(value: Uint8Array): BasicConstraints {
  const input = DerReader.of(value, 'basic constraints', value.length);
  const fields = input.nested('basic constraints');
  input.end();
  const isCa = fields.optionalTrue('CA flag');
  let pathLength: number | null = null;
  if (fields.nextTag === TAG.integer) {
    if (!isCa) throw malformed('the basic constraints have a path length without the CA flag');
    pathLength = fields.unsigned('path length', MAX_PATH_LENGTH_BYTES).reduce((length, byte) => length * 256 + byte, 0);
  }
  fields.end();
  return { isCa, pathLength };
}

/** Bits of KeyUsage as RFC 5280 section 4.2.1.3 numbers them. */
export const KEY_USAGE = { digitalSignature: 0, keyCertSign: 5, crlSign: 6 } as const;

/** The set bits of a KeyUsage BIT STRING. */
export function parseKeyUsage(value: Uint8Array): ReadonlySet<number> {
  const input = DerReader.of(value, 'key usage', value.length);
  const { bytes } = input.bitString('key usage');
  input.end();
  if (bytes.length > 2) throw malformed(`the key usage has ${bytes.length} bytes, expected at most 2`);
  const bits = new Set<number>();
  bytes.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit += 1) if ((byte & (0x80 >> bit)) !== 0) bits.add(index * 8 + bit);
  });
  return bits;
}
