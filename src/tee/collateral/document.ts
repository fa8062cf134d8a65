// A document of collateral: how it is asked for, how an answer becomes its content, and when that expires by itself.
// Content is untrusted: it is checked for its form and for being the document that was asked for, so that a cache never
// fills with garbage. Whether anybody should believe it is decided by the verifiers alone.
import { AttestationError } from '../../core/errors.ts';
import { certificatesOfPem } from '../x509/pem.ts';
import { parseX509 } from '../x509/certificate.ts';
import type { X509 } from '../x509/certificate.ts';
import { unusable } from './errors.ts';
import type { HttpAnswer, HttpRequest } from './http.ts';

/** Named texts: PEM, JSON text as it was signed, or hexadecimal. */
export type DocumentContent = Readonly<Record<string, string>>;

export interface DocumentSpec {
  /** Names the document and its file: letters, digits, dot, hyphen and underscore. */
  readonly id: string;
  /** What it is, for a person. */
  readonly what: string;
  readonly request: HttpRequest;
  /** Media types that the service may answer with; an error page has another one. */
  readonly mediaTypes: RegExp;
  /** True for services that want one request at a time (AMD). */
  readonly serial?: boolean;
  /** Content of an answer with status 200. Throws E_COLLATERAL. */
  decode(answer: HttpAnswer): DocumentContent;
  /**
   * Checks content, whether it comes from the network or from a file, and says from when on it must not be used any more
   * (milliseconds since the Unix epoch). Null: it says nothing about its end and must not be kept. Throws E_COLLATERAL.
   */
  expiresAtMs(content: DocumentContent, fetchedAtMs: number): number | null;
}

const ID = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,219}$/;

/** Throws RangeError unless the id can name a file. Ids are made from parsed evidence, which bounds their characters. */
export function checkId(id: string): string {
  if (!ID.test(id)) throw new RangeError(`expected an id of a document, got ${JSON.stringify(id)}`);
  return id;
}

/** Runs a parser of evidence on a document: what it refuses is a document that cannot be used. */
export function parsing<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    throw unusable(`${what}: ${error.message}`, { cause: error });
  }
}

/** A text field of content. Throws E_COLLATERAL when it is absent. */
export function field(content: DocumentContent, name: string, what: string): string {
  const value = content[name];
  if (value === undefined) throw unusable(`${what}: it has no field "${name}"`);
  return value;
}

/** Bytes of a hexadecimal field. Throws E_COLLATERAL. */
export function hexField(content: DocumentContent, name: string, what: string): Uint8Array {
  const value = field(content, name, what);
  if (value.length === 0 || value.length % 2 !== 0 || !/^[0-9a-f]+$/.test(value)) {
    throw unusable(`${what}: its field "${name}" is not lower-case hexadecimal`);
  }
  return new Uint8Array(Buffer.from(value, 'hex'));
}

const PEM_BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----/g;

/**
 * The strict PEM text (64 characters a line) of all certificates in a looser one, as services write them.
 * Throws E_COLLATERAL when there is none or one does not parse.
 */
export function strictPem(text: string, what: string): string {
  const blocks = [...text.matchAll(PEM_BLOCK)];
  if (blocks.length === 0) throw unusable(`${what}: it has no PEM certificate`);
  return blocks.map((block) => pemOf(Buffer.from((block[1] ?? '').replace(/\s/g, ''), 'base64'))).join('');
}

/** PEM of one DER certificate: lines of 64 characters, ending in a line feed. */
export function pemOf(der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  return ['-----BEGIN CERTIFICATE-----', ...(base64.match(/.{1,64}/g) ?? []), '-----END CERTIFICATE-----', ''].join('\n');
}

const MAX_CHAIN = 8;

/** The parsed certificates of a PEM field: between `min` and 8. Throws E_COLLATERAL. */
export function chainField(content: DocumentContent, name: string, what: string, min = 1): X509[] {
  const chain = parsing(what, () => certificatesOfPem(field(content, name, what), name, MAX_CHAIN).map((der) => parseX509(der)));
  if (chain.length < min) throw unusable(`${what}: its field "${name}" has ${chain.length} certificates, expected at least ${min}`);
  return chain;
}

/** The earliest end of validity of some certificates. */
export const earliestEnd = (chain: readonly X509[]): number => Math.min(...chain.map(({ notAfter }) => notAfter));

/** Text of an answer's body. Throws E_COLLATERAL unless it is UTF-8. */
export function textOf(answer: HttpAnswer, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(answer.body);
  } catch (error) {
    throw unusable(`${what}: the answer is not UTF-8 text`, { cause: error });
  }
}

/** A JSON object. Throws E_COLLATERAL. */
export function jsonObject(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unusable(`${what}: it is not JSON`, { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unusable(`${what}: it is not a JSON object`);
  return value as Record<string, unknown>;
}
