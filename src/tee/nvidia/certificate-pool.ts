// Certificates that are met several times are parsed once, so that what was found about one (its signature verifies) is
// found once, too. Bounded: beyond its limit a pool still parses and no longer remembers.
import { createHash } from 'node:crypto';
import { parseX509 } from '../x509/certificate.ts';
import type { X509 } from '../x509/certificate.ts';

const MAX_CERTIFICATES = 512;

export class CertificatePool {
  readonly #byDigest = new Map<string, X509>();

  /** As parseX509: throws AttestationError. Equal bytes give the same object. */
  parse(der: Uint8Array, what: string): X509 {
    const digest = createHash('sha256').update(der).digest('hex');
    const known = this.#byDigest.get(digest);
    if (known !== undefined) return known;
    const parsed = parseX509(der, what);
    if (this.#byDigest.size < MAX_CERTIFICATES) this.#byDigest.set(digest, parsed);
    return parsed;
  }
}
