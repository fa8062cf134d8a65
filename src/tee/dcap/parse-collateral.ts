// Parses DCAP collateral in the QuoteCollateralV3 JSON shape: CRLs as DER in hexadecimal, TCB info and QE
// identity as the raw JSON text that Intel signed, issuer chains as PEM. Refuses other versions and types,
// unknown fields of the outer object, duplicate TCB levels, and everything out of bounds. Nothing is believed here.
import { equalBytes } from '../../core/bytes.ts';
import { malformed } from '../refusal.ts';
import { parseX509 } from '../x509/certificate.ts';
import type { X509 } from '../x509/certificate.ts';
import { MAX_CRL_BYTES, parseCrl } from '../x509/crl.ts';
import { certificatesOfPem, MAX_PEM_BYTES } from '../x509/pem.ts';
import type { Collateral, SignedText } from './collateral.ts';
import { asHex, asObject, fieldOf, hexField, textField } from './json-reader.ts';
import type { JsonObject } from './json-reader.ts';
import { parseQeIdentity } from './parse-qe-identity.ts';
import { parseTcbInfo } from './parse-tcb-info.ts';

export const MAX_SIGNED_TEXT_CHARACTERS = 524_288;
const SIGNATURE_BYTES = 64;
/** Real chains have two or three certificates; the exact number is for the verifier. */
const MAX_CHAIN = 4;
const WHAT = 'the collateral';

const FIELDS = new Set([
  'pck_crl_issuer_chain', 'root_ca_crl', 'pck_crl', 'tcb_info_issuer_chain', 'tcb_info', 'tcb_info_signature',
  'qe_identity_issuer_chain', 'qe_identity', 'qe_identity_signature',
  // Later writers add the PCK chain; it is taken from the quote, so this copy is not read.
  'pck_certificate_chain',
]);

/** Parses collateral from parsed JSON. Throws AttestationError, nothing else. */
export function parseCollateral(json: unknown): Collateral {
  const object = asObject(json, WHAT);
  for (const name of Object.keys(object)) {
    if (!FIELDS.has(name)) throw malformed(`${WHAT} has an unknown field "${name.slice(0, 64)}"`);
  }
  const pckCrlChain = chainField(object, 'pck_crl_issuer_chain', []);
  const tcbInfo = signedText(object, 'tcb_info', parseTcbInfo, pckCrlChain);
  return {
    tcbInfo, pckCrlChain,
    qeIdentity: signedText(object, 'qe_identity', parseQeIdentity, [...pckCrlChain, ...tcbInfo.chain]),
    rootCrl: parseCrl(asHex(fieldOf(object, 'root_ca_crl'), `root_ca_crl of ${WHAT}`, MAX_CRL_BYTES), 'root CRL'),
    pckCrl: parseCrl(asHex(fieldOf(object, 'pck_crl'), `pck_crl of ${WHAT}`, MAX_CRL_BYTES), 'PCK CRL'),
  };
}

function signedText<T>(object: JsonObject, name: string, parse: (text: string) => T, known: readonly X509[]): SignedText<T> {
  const text = Buffer.from(textField(object, name, WHAT, MAX_SIGNED_TEXT_CHARACTERS), 'utf8');
  return {
    // Parsed from the very bytes that the signature covers: text with lone surrogates has other bytes than it seems.
    value: parse(text.toString('utf8')), text,
    signature: hexField(object, `${name}_signature`, WHAT, SIGNATURE_BYTES),
    chain: chainField(object, `${name}_issuer_chain`, known),
  };
}

function chainField(object: JsonObject, name: string, known: readonly X509[]): X509[] {
  return certificateChain(textField(object, name, WHAT, MAX_PEM_BYTES), `${name} of ${WHAT}`, known);
}

/**
 * Parses a PEM chain of at most four certificates, leaf first. A certificate that is one of `known`, byte for byte, is not
 * parsed again. Throws AttestationError.
 */
export function certificateChain(pem: Uint8Array | string, what: string, known: readonly X509[]): X509[] {
  return certificatesOfPem(pem, what, MAX_CHAIN).map((der) => known.find((one) => equalBytes(one.der, der)) ?? parseX509(der));
}
