// The FWID in the certificate of a device's signing key: the digest of the firmware that the key was derived for (TCG DICE).
// Hopper writes a composite device id, Blackwell a DiceTcbInfo. Refuses other forms and hashes.
import { contextTag, DerReader, TAG } from '../der.ts';
import { malformed } from '../refusal.ts';
import type { X509 } from '../x509/certificate.ts';

/** Hopper and LS10; Blackwell. */
const OIDS = ['2.23.133.5.4.1', '2.23.133.5.4.1.1'] as const;
const OID_SHA384 = '2.16.840.1.101.3.4.2.2';
const FWID_BYTES = 48;
/** `fwids [6] IMPLICIT SEQUENCE OF FWID` in DiceTcbInfo. */
const FWIDS = contextTag(6, true);

/** SHA-384 of the firmware, or null where the certificate has none. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function fwidOf(certificate: X509): Uint8Array | null {
  const found = OIDS.flatMap((oid) => certificate.extensions.get(oid)?.value ?? []);
  const [value, second] = found;
  if (value === undefined) return null;
  if (second !== undefined) throw malformed('the device certificate has two firmware ids, expected one');
  const input = DerReader.of(value, 'firmware id', value.length);
  const fields = input.nested('firmware id');
  input.end();
  return fields.nextTag === TAG.integer ? compositeId(fields) : tcbInfo(fields);
}

/** `SEQUENCE { version INTEGER, deviceId SubjectPublicKeyInfo, fwid FWID }`. */
function compositeId(fields: DerReader): Uint8Array {
  fields.smallInteger('version');
  fields.element(TAG.sequence, 'device id');
  const fwid = readFwid(fields.nested('FWID'));
  fields.end();
  return fwid;
}

/** DiceTcbInfo: every field is optional and tagged; only `fwids` counts here. */
function tcbInfo(fields: DerReader): Uint8Array {
  let fwid: Uint8Array | null = null;
  while (!fields.done) {
    if (fields.nextTag !== FWIDS) {
      fields.any('field');
      continue;
    }
    if (fwid !== null) throw malformed('the firmware id of the device certificate has two lists, expected one');
    const list = fields.nested('list of FWIDs', FWIDS);
    fwid = readFwid(list.nested('FWID'));
    list.end();
  }
  if (fwid === null) throw malformed('the firmware id of the device certificate has no FWID');
  return fwid;
}

function readFwid(fields: DerReader): Uint8Array {
  const hash = fields.oid('hash');
  const digest = fields.octetString('digest');
  fields.end();
  if (hash !== OID_SHA384 || digest.length !== FWID_BYTES) throw malformed(`the FWID has ${digest.length} bytes of the hash ${hash}, expected SHA-384`);
  return digest;
}
