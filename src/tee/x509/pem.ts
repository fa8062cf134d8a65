// PEM texts with certificates (RFC 7468, strict form): lines of 64 base64 characters, LF or CRLF, only empty lines around
// the blocks. Refuses anything else, so that no byte of a text can be changed without being noticed.
import { malformed } from '../refusal.ts';

export const MAX_PEM_BYTES = 65_536;
const LINE_CHARACTERS = 64;
const BEGIN = '-----BEGIN CERTIFICATE-----';
const END = '-----END CERTIFICATE-----';

/**
 * DER of each certificate of a PEM text, in order; at most `maxCertificates`. One NUL byte may follow, as Intel's quoting
 * library writes it. Throws AttestationError E_EVIDENCE_MALFORMED.
 */
export function certificatesOfPem(text: Uint8Array | string, what: string, maxCertificates: number): Uint8Array[] {
  if (text.length > MAX_PEM_BYTES) throw malformed(`${what} has ${text.length} bytes, expected at most ${MAX_PEM_BYTES}`);
  const all = typeof text === 'string' ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('latin1');
  const lines = all.replace(/\0$/, '').replaceAll('\r\n', '\n').split('\n');
  const certificates: Uint8Array[] = [];
  let position = 0;
  while (position < lines.length) {
    if (lines[position] === '') {
      position += 1;
      continue;
    }
    if (certificates.length === maxCertificates) throw malformed(`${what} has more than ${maxCertificates} certificates`);
    if (lines[position] !== BEGIN) throw malformed(`${what}, line ${position + 1}, is not "${BEGIN}"`);
    const end = lines.indexOf(END, position);
    if (end < 0) throw malformed(`${what} ends inside a certificate, expected "${END}"`);
    certificates.push(decode(lines.slice(position + 1, end), what));
    position = end + 1;
  }
  return certificates;
}

function decode(lines: readonly string[], what: string): Uint8Array {
  const last = lines.at(-1) ?? '';
  const even = lines.every((line, index) => line.length === LINE_CHARACTERS || (index === lines.length - 1 && line.length > 0 && line.length < LINE_CHARACTERS));
  const base64 = lines.join('');
  const der = Buffer.from(base64, 'base64');
  // Node's decoder skips what it does not know; writing the bytes again shows whether it skipped anything.
  if (last === '' || !even || der.toString('base64') !== base64) {
    throw malformed(`${what} has a certificate that is not in base64 lines of ${LINE_CHARACTERS} characters`);
  }
  return new Uint8Array(der.buffer, der.byteOffset, der.byteLength);
}
