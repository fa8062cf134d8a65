// Distinguished names (RFC 5280 section 4.1.2.4): names are chained by their bytes, and only the common name is ever read,
// to tell the roles of certificates apart. Refuses more parts than any real name has and two common names.
import { TAG, DerReader } from '../der.ts';
import { malformed } from '../refusal.ts';

const MAX_NAME_BYTES = 4096;
const MAX_NAME_PARTS = 32;
const OID_COMMON_NAME = '2.5.4.3';

export interface Name {
  /** The whole DER Name: what is compared. */
  readonly raw: Uint8Array;
  /** Text of the common name, empty where there is none. Bytes that are not UTF-8 become U+FFFD. */
  readonly commonName: string;
}

/** Reads the next Name. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function readName(reader: DerReader, what: string): Name {
  const { raw } = reader.element(TAG.sequence, what);
  const parts = DerReader.of(raw, what, MAX_NAME_BYTES).nested(what);
  let commonName: string | null = null;
  let count = 0;
  while (!parts.done) {
    const part = parts.nested(`${what} part`, TAG.set);
    do {
      count += 1;
      if (count > MAX_NAME_PARTS) throw malformed(`the ${what} has more than ${MAX_NAME_PARTS} parts`);
      const attribute = part.nested(`${what} attribute`);
      const oid = attribute.oid(`${what} attribute type`);
      const { content } = attribute.any(`${what} attribute value`);
      attribute.end();
      if (oid !== OID_COMMON_NAME) continue;
      if (commonName !== null) throw malformed(`the ${what} has two common names, expected at most one`);
      commonName = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8');
    } while (!part.done);
  }
  return { raw, commonName: commonName ?? '' };
}
