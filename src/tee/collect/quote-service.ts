// Messages of Intel's quote generation service (qgs_msg_lib.h, version 1): a TDREPORT goes to the host over a vsock, a quote
// comes back. Refuses answers of another version, type or length, errors, and anything left over. The host is not trusted:
// whoever uses the quote checks that it is about his report data.
import { AttestationError } from '../../core/errors.ts';
import { MAX_QUOTE_BYTES } from '../certificate-evidence.ts';
import { ByteReader } from '../dcap/byte-reader.ts';
import { malformed } from '../refusal.ts';
import { collectFailed } from './failure.ts';

export const TDREPORT_BYTES = 1024;
/** Where the host listens: the context id of every host, and the port unless /etc/tdx-attest.conf says another. */
export const HOST_CID = 2;
export const DEFAULT_QUOTE_PORT = 4050;

const HEADER_BYTES = 16;
const SIZES_BYTES = 8;
const LENGTH_BYTES = 4;
const MAJOR = 1;
const QUOTE_REQUEST = 0;
const QUOTE_RESPONSE = 1;
const MAX_ID_BYTES = 1024;
const MAX_PORT = 0xffff_fffe;

/** Minor versions in use, the newer one first. A service knows one of them and refuses the other. */
export const QUOTE_MINORS = [1, 0] as const;

/** A request for a quote over a report of 1024 bytes, with its length in front. */
export function quoteRequest(report: Uint8Array, minor: number): Uint8Array {
  if (report.length !== TDREPORT_BYTES) throw new RangeError(`expected a report of ${TDREPORT_BYTES} bytes, got ${report.length}`);
  const size = HEADER_BYTES + SIZES_BYTES + report.length;
  const message = Buffer.alloc(LENGTH_BYTES + size);
  message.writeUInt32BE(size, 0);
  message.writeUInt16LE(MAJOR, 4);
  message.writeUInt16LE(minor, 6);
  message.writeUInt32LE(QUOTE_REQUEST, 8);
  message.writeUInt32LE(size, 12);
  // The error code is zero in a request; then the sizes of the report and of a list of ids, which is empty.
  message.writeUInt32LE(report.length, 20);
  message.set(report, 28);
  return message;
}

/** What the service says: a quote, or its error code. */
export type QuoteAnswer = { readonly quote: Uint8Array } | { readonly error: number };

/** Reads an answer with its length in front. Throws ConfigError E_COLLECT. */
export function readQuoteAnswer(message: Uint8Array): QuoteAnswer {
  try {
    return parseAnswer(message);
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    throw collectFailed(`the host's quote service gave an answer that cannot be read: ${error.message}`, { cause: error });
  }
}

function parseAnswer(message: Uint8Array): QuoteAnswer {
  const reader = new ByteReader(message, 'the answer of the quote service');
  const prefix = reader.bytes(LENGTH_BYTES, 'length');
  const stated = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getUint32(0);
  if (stated !== message.length - LENGTH_BYTES) throw malformed(`the answer of the quote service states ${stated} bytes, and has ${message.length - LENGTH_BYTES}`);
  const [major, minor, type, size, error] = [reader.u16('major version'), reader.u16('minor version'), reader.u32('type'), reader.u32('size'), reader.u32('error')];
  if (major !== MAJOR || !QUOTE_MINORS.some((known) => known === minor)) throw malformed(`the answer of the quote service has version ${major}.${minor}, expected 1.0 or 1.1`);
  if (type !== QUOTE_RESPONSE || size !== stated) throw malformed(`the answer of the quote service has type ${type} and size ${size}, expected ${QUOTE_RESPONSE} and ${stated}`);
  if (error !== 0) return { error };
  const [idBytes, quoteBytes] = [reader.u32('size of the id'), reader.u32('size of the quote')];
  if (idBytes > MAX_ID_BYTES || quoteBytes === 0 || quoteBytes > MAX_QUOTE_BYTES) throw malformed(`the answer of the quote service has a quote of ${quoteBytes} bytes and an id of ${idBytes}, expected at most ${MAX_QUOTE_BYTES} and ${MAX_ID_BYTES}`);
  reader.bytes(idBytes, 'id');
  const quote = reader.bytes(quoteBytes, 'quote');
  reader.end();
  return { quote: quote.slice() };
}

/** The port of /etc/tdx-attest.conf, the configuration file of Intel's own library; the usual one where the text has none. */
export function quotePortOf(text: string): number {
  const stated = /^\s*port\s*=\s*(\d{1,10})\s*$/m.exec(text)?.[1];
  const port = stated === undefined ? DEFAULT_QUOTE_PORT : Number(stated);
  if (port > MAX_PORT) throw collectFailed(`the port in /etc/tdx-attest.conf is ${port}, expected at most ${MAX_PORT}`);
  return port;
}
