// Reference integrity manifests of NVIDIA's RIM service: signed SWID tags (XML), by their id. Refuses a manifest under another
// id than the one asked for, and texts without certificates. The signature is for the verifier.
import { certificatesOfPem } from '../x509/pem.ts';
import { parseX509 } from '../x509/certificate.ts';
import type { X509 } from '../x509/certificate.ts';
import { earliestEnd, field, jsonObject, parsing, pemOf, textOf } from './document.ts';
import type { DocumentSpec } from './document.ts';
import { unusable } from './errors.ts';
import { DEFAULT_SERVICES } from './service-url.ts';

/** A manifest names no end; after this time the service is asked whether there is another one under the same id. */
const MAX_AGE_MS = 30 * 24 * 60 * 60 * 1000;
const MAX_ANSWER_BYTES = 2 * 1024 * 1024;
const MAX_CERTIFICATES = 8;
const RIM_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$/;
const CERTIFICATE = /<(?:[A-Za-z0-9]+:)?X509Certificate>([A-Za-z0-9+/=\s]+)<\//g;

/** The manifest with this id, for example `NV_GPU_DRIVER_GH100_550.90.07`. Throws RangeError on an id of another form. */
export function rimDocument(rimId: string): DocumentSpec {
  if (!RIM_ID.test(rimId)) throw new RangeError(`expected the id of a RIM, got ${JSON.stringify(rimId.slice(0, 64))}`);
  const what = `RIM ${rimId}`;
  return {
    id: `nvidia-rim-${rimId}`, what, mediaTypes: /^application\/json\b/i,
    request: { url: `${DEFAULT_SERVICES.nvidiaRim}/${rimId}`, method: 'GET', headers: { accept: 'application/json' }, maxBytes: MAX_ANSWER_BYTES },
    decode(answer) {
      const json = jsonObject(textOf(answer, what), what);
      if (json['id'] !== rimId) throw unusable(`${what}: the answer has the id ${JSON.stringify(json['id'])?.slice(0, 64)}`);
      const rim = json['rim'];
      // One class for all of it: a pattern with two ways to read white space takes hours for a megabyte of it.
      if (typeof rim !== 'string' || !/^[A-Za-z0-9+/=\s]+$/.test(rim)) throw unusable(`${what}: the answer has no manifest in base64`);
      return { rim: textOf({ ...answer, body: Buffer.from(rim, 'base64') }, what) };
    },
    expiresAtMs(content, fetchedAtMs) {
      const rim = field(content, 'rim', what);
      if (!/^\uFEFF?\s*</.test(rim) || !rim.includes('SoftwareIdentity')) throw unusable(`${what}: the manifest is no SWID tag`);
      return Math.min(earliestEnd(signersOfRim(rim, what)), fetchedAtMs + MAX_AGE_MS);
    },
  };
}

/** The certificates in a manifest's signature, leaf first, to ask OCSP about; they are believed by nobody. Throws E_COLLATERAL. */
export function signersOfRim(rim: string, what: string): X509[] {
  const blocks = [...rim.matchAll(CERTIFICATE)].map((match) => (match[1] ?? '').replace(/\s/g, ''));
  if (blocks.length === 0 || blocks.length > MAX_CERTIFICATES) {
    throw unusable(`${what}: the manifest has ${blocks.length} certificates, expected 1 to ${MAX_CERTIFICATES}`);
  }
  const pem = blocks.map((block) => pemOf(Buffer.from(block, 'base64'))).join('');
  return parsing(what, () => certificatesOfPem(pem, what, MAX_CERTIFICATES).map((der) => parseX509(der)));
}
