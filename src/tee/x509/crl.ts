// Certificate revocation lists, version 2 (RFC 5280 section 5): parsed whole, with every revoked serial number.
// Refuses lists without nextUpdate, indirect and delta lists (any critical extension), other algorithms and trailing bytes.
import { toHex } from '../../core/bytes.ts';
import { TAG, contextTag, DerReader } from '../der.ts';
import { malformed, refused } from '../refusal.ts';
import { readSignatureAlgorithm } from './algorithms.ts';
import type { SignatureAlgorithm } from './algorithms.ts';
import { readSerial } from './certificate.ts';
import { readExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { readName } from './names.ts';
import type { Name } from './names.ts';

export const MAX_CRL_BYTES = 1_048_576;
const VERSION_2 = 1;

export interface Crl {
  readonly issuer: Name;
  /** Milliseconds since the Unix epoch, both inclusive. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serial numbers in lower-case hexadecimal, as `serialKey` writes them. */
  readonly revoked: ReadonlySet<string>;
  readonly algorithm: SignatureAlgorithm;
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
}

/** How a serial number (big-endian magnitude) is looked up in `Crl.revoked`. */
export const serialKey = (serial: Uint8Array): string => toHex(serial);

/** Parses one DER CRL of at most MAX_CRL_BYTES. Throws AttestationError, nothing else. */
export function parseCrl(der: Uint8Array, what = 'CRL'): Crl {
  const input = DerReader.of(der, what, MAX_CRL_BYTES);
  const outer = input.nested(what);
  input.end();
  const signedBytes = outer.element(TAG.sequence, `${what} body`).raw;
  const algorithm = readSignatureAlgorithm(outer, 'signature algorithm');
  const signature = outer.bitStringBytes('signature');
  outer.end();
  const body = DerReader.of(signedBytes, `${what} body`, MAX_CRL_BYTES).nested(`${what} body`);
  const version = body.smallInteger('version number');
  if (version !== VERSION_2) throw malformed(`the ${what} has version number ${version}, expected ${VERSION_2} (CRL v2)`);
  const inner = readSignatureAlgorithm(body, 'signature algorithm of the body');
  if (inner !== algorithm) throw malformed(`the ${what} names two signature algorithms, ${inner} and ${algorithm}`);
  const issuer = readName(body, 'issuer');
  const thisUpdate = body.time('this update');
  if (body.nextTag !== TAG.utcTime && body.nextTag !== TAG.generalizedTime) throw malformed(`the ${what} has no next update, expected one`);
  const nextUpdate = body.time('next update');
  if (nextUpdate < thisUpdate) throw malformed(`the next update of the ${what} is before its update`);
  const revoked = readRevoked(body, what);
  const wrapper = body.optionalNested('CRL extensions', contextTag(0, true));
  if (wrapper !== null) {
    refuseCritical(readExtensions(wrapper.nested('CRL extensions'), what), what);
    wrapper.end();
  }
  body.end();
  return { issuer, thisUpdate, nextUpdate, revoked, algorithm, signedBytes, signature };
}

/** `revokedCertificates SEQUENCE OF { serial, date, entry extensions OPTIONAL } OPTIONAL`. Every listed serial counts, whatever the reason. */
function readRevoked(body: DerReader, what: string): Set<string> {
  const revoked = new Set<string>();
  const list = body.optionalNested('revoked certificates', TAG.sequence);
  while (list !== null && !list.done) {
    const entry = list.nested('revoked certificate');
    revoked.add(serialKey(readSerial(entry, what)));
    entry.time('revocation date');
    const extensions = entry.optionalNested('entry extensions', TAG.sequence);
    if (extensions !== null) refuseCritical(readExtensions(extensions, what), what);
    entry.end();
  }
  return revoked;
}

/** Critical extensions change what a list covers: issuing distribution points, deltas, indirect entries. */
function refuseCritical(extensions: ReadonlyMap<string, Extension>, what: string): void {
  for (const [oid, { critical }] of extensions) {
    if (critical) {
      throw refused({
        check: 'critical-extensions', seen: `the critical extension ${oid} in the ${what}`, wanted: 'none',
        meaning: 'the list may not cover what it must cover',
      });
    }
  }
}
