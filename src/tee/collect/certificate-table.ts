// The certificates that a host passes to its SEV-SNP guest along with a report (GHCB specification 2.03, section 4.1.8.1):
// a table of GUID, offset and length, ended by zeros. Refuses entries outside the table. The certificates are untrusted.
import { isZero, toHex } from '../../core/bytes.ts';
import { AttestationError } from '../../core/errors.ts';
import { pemOf } from '../collateral/document.ts';
import { parseX509 } from '../x509/certificate.ts';
import { collectFailed } from './failure.ts';

const ENTRY_BYTES = 24;
const GUID_BYTES = 16;
const MAX_ENTRIES = 32;
/** GUIDs as their text is read; hosts write the bytes in this order or with the first three groups reversed. */
const GUIDS = { vcek: '63da758de6644564adc5f4b93be8accd', vlek: 'a8074bc2a25a483eaae639c045a0b8a1' } as const;

export interface HostCertificates {
  /** PEM of one certificate each; absent where the host passes none. */
  readonly vcek?: string;
  readonly vlek?: string;
}

/** Reads the table; an empty one has no certificates. Throws ConfigError E_COLLECT. */
export function readCertificateTable(table: Uint8Array): HostCertificates {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const found: { vcek?: string; vlek?: string } = {};
  for (let index = 0, at = 0; at < table.length; index += 1, at += ENTRY_BYTES) {
    if (at + ENTRY_BYTES > table.length || index === MAX_ENTRIES) throw collectFailed(`the host's certificate table of ${table.length} bytes has no end`);
    const guid = table.subarray(at, at + GUID_BYTES);
    const [offset, length] = [view.getUint32(at + GUID_BYTES, true), view.getUint32(at + GUID_BYTES + 4, true)];
    if (isZero(table.subarray(at, at + ENTRY_BYTES))) return found;
    if (offset + length > table.length) throw collectFailed(`the host's certificate table of ${table.length} bytes has an entry at ${offset} of ${length} bytes`);
    const kind = kindOf(guid);
    if (kind === null || length === 0) continue;
    if (found[kind] !== undefined) throw collectFailed(`the host passes two certificates of the kind ${kind.toUpperCase()}`);
    found[kind] = pemOfHost(table.subarray(offset, offset + length), kind);
  }
  return found;
}

function kindOf(guid: Uint8Array): keyof typeof GUIDS | null {
  const reversed = (from: number, to: number): Uint8Array => Uint8Array.from(guid.subarray(from, to)).reverse();
  const texts = [toHex(guid), toHex(Buffer.concat([reversed(0, 4), reversed(4, 6), reversed(6, 8), guid.subarray(8)]))];
  if (texts.includes(GUIDS.vcek)) return 'vcek';
  return texts.includes(GUIDS.vlek) ? 'vlek' : null;
}

function pemOfHost(der: Uint8Array, kind: string): string {
  try {
    parseX509(der, kind.toUpperCase());
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    throw collectFailed(`the ${kind.toUpperCase()} that the host passes is unusable: ${error.message}`, { cause: error });
  }
  return pemOf(der);
}
