// Where the DCAP vectors are: ours in the repository, third-party ones beside it where they are present.
import { existsSync, readFileSync } from 'node:fs';

const root = new URL('../../../', import.meta.url);
const synthetic = new URL('test/vectors/attestation/tdx-synthetic/', root);
const shared = new URL('../shared/attestation/vectors/', root);

const jsonOf = (url: URL): unknown => JSON.parse(readFileSync(url, 'utf8'));

export interface SyntheticCase { readonly file: string; readonly expect: string; readonly oracle: string; readonly phala_js_0_3_9: string }
export const syntheticCases = (jsonOf(new URL('MANIFEST.json', synthetic)) as { cases: SyntheticCase[] }).cases;
export const syntheticRoot = new Uint8Array(readFileSync(new URL('root_ca.der', synthetic)));

export interface Evidence { readonly quote: Uint8Array; readonly collateral: Record<string, unknown>; readonly nowMs: number }
export function syntheticEvidence(file: string): Evidence {
  const { quote_hex, collateral, now } = jsonOf(new URL(file, synthetic)) as { quote_hex: string; collateral: Record<string, unknown>; now: number };
  return { quote: new Uint8Array(Buffer.from(quote_hex, 'hex')), collateral, nowMs: now * 1000 };
}

export interface RealExpectation { readonly intelSemantics: string; readonly flags: string; readonly tdxModule?: string | null; readonly qe?: string; readonly tcbDate?: string; readonly advisories?: readonly string[] }
export interface RealCase extends Evidence { readonly name: string; readonly validFromMs: number; readonly validToMs: number; readonly expect: RealExpectation }

interface ManifestCase { readonly collateral: string; readonly validFrom: number; readonly validTo: number; readonly now: number; readonly expect: RealExpectation }
interface ManifestEntry { readonly name: string; readonly quote: string; readonly version: number; readonly fmspc: string; readonly cases: readonly ManifestCase[] }

/** Folder of third-party vectors of a kind, or null where it is absent. */
export function sharedFolder(kind: string): URL | null {
  const url = new URL(`${kind}/`, shared);
  return existsSync(url) ? url : null;
}

const dcap = sharedFolder('dcap');
export const realQuotes = dcap === null ? [] : (jsonOf(new URL('MANIFEST.json', dcap)) as ManifestEntry[])
  .map((entry) => ({ ...entry, bytes: new Uint8Array(readFileSync(new URL(entry.quote, dcap))) }));

/** Every case of the manifest of real quotes; empty where they are absent. */
export const realCases: readonly RealCase[] = realQuotes.flatMap(({ name, bytes, cases }) => cases.map((one) => ({
  name: `${name} with ${one.collateral.split('.')[1] ?? ''}`, quote: bytes, collateral: jsonOf(new URL(one.collateral, dcap ?? shared)) as Record<string, unknown>,
  nowMs: one.now * 1000, validFromMs: one.validFrom * 1000, validToMs: one.validTo * 1000, expect: one.expect,
})));

export const SKIP_REASON = 'third-party vectors are not beside the repository';
