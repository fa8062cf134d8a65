// Intel's own bundled samples, under Intel's test root, and every real quote by its signatures alone. Third-party files: read
// from ../shared where present. The samples pass their PCK certificate beside the quote, which no quoting enclave in use does:
// it is put into the quote, where no signature covers it.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { equalBytes } from '../../../src/core/bytes.ts';
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import type { DcapOutcome } from '../../../src/tee/dcap/dcap.ts';
import { INTEL_SGX_ROOT_CA } from '../../../src/tee/dcap/intel-root.ts';
import { parseQuote } from '../../../src/tee/dcap/parse-quote.ts';
import { explainEvidence } from '../../../src/tee/explain.ts';
import type { EvidenceFile } from '../../../src/tee/evidence-file.ts';
import { certificatesOfPem } from '../../../src/tee/x509/pem.ts';
import { DEFAULT_TCB_POLICY } from '../../../src/tee/dcap/policy.ts';
import { ANY_IMAGE, sgxPolicy, summary } from './judge.ts';
import { realQuotes, sharedFolder, SKIP_REASON } from './vectors.ts';

const dcap = sharedFolder('dcap');
const real = dcap === null ? it.skip : it;
const HEAD_BYTES = { sgx: 432, tdx: 632 } as const;
const KEY_AND_SIGNATURE_BYTES = 128;
const QE_BYTES = 448;

const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
const u32 = (value: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; };
const pemsOf = (text: string): string[] => text.split(/(?=-----BEGIN)/).filter((part) => part.includes('BEGIN')).map((part) => `${part.trim()}\n`);
/** Leaf first: the samples are not all in this order. */
const ordered = (pems: readonly string[]): string => pems.toSorted((a, b) => Number(/Root CA/.test(new X509Certificate(a).subject)) - Number(/Root CA/.test(new X509Certificate(b).subject))).join('');

/** The signed text of a member and its signature, as they stand in a file. */
function signedText(json: string, member: string): { text: string; signature: string } {
  const start = json.indexOf('{', json.indexOf(`"${member}"`));
  let end = start;
  for (let depth = 0; end < json.length; end += 1) {
    depth += json[end] === '{' ? 1 : json[end] === '}' ? -1 : 0;
    if (depth === 0) break;
  }
  return { text: json.slice(start, end + 1), signature: /"signature"\s*:\s*"([0-9a-fA-F]+)"/.exec(json)?.[1] ?? '' };
}

interface Sample { readonly quote: Uint8Array; readonly collateral: Record<string, unknown>; readonly root: Uint8Array }

function sampleOf(kind: 'sgx' | 'tdx'): Sample {
  const folder = new URL(`intel-qvl-sample-${kind}/`, dcap ?? 'file:///');
  const text = (name: string): string => readFileSync(new URL(name, folder), 'latin1');
  const original = readFileSync(new URL('quote.dat', folder));
  const head = HEAD_BYTES[kind];
  const start = head + 4 + KEY_AND_SIGNATURE_BYTES + (kind === 'tdx' ? 6 : 0);
  const authEnd = start + QE_BYTES + 2 + original.readUInt16LE(start + QE_BYTES);
  const chain = Buffer.from(`${pemsOf(text('pckCert.pem')).join('')}${ordered(pemsOf(text('pckSignChain.pem')))}`);
  const certified = Buffer.concat([original.subarray(start, authEnd), u16(5), u32(chain.length), chain]);
  const nested = kind === 'sgx' ? certified : Buffer.concat([u16(6), u32(certified.length), certified]);
  const data = Buffer.concat([original.subarray(head + 4, head + 4 + KEY_AND_SIGNATURE_BYTES), nested]);
  const [info, identity] = [signedText(text('tcbInfo.json'), 'tcbInfo'), signedText(text('qeIdentity.json'), 'enclaveIdentity')];
  const signers = ordered(pemsOf(text('tcbSignChain.pem')));
  return {
    quote: Buffer.concat([original.subarray(0, head), u32(data.length), data]),
    collateral: {
      pck_crl_issuer_chain: ordered(pemsOf(text('pckSignChain.pem'))), tcb_info_issuer_chain: signers, qe_identity_issuer_chain: signers,
      root_ca_crl: readFileSync(new URL('rootCaCrl.der', folder)).toString('hex'), pck_crl: readFileSync(new URL('intermediateCaCrl.der', folder)).toString('hex'),
      tcb_info: info.text, tcb_info_signature: info.signature, qe_identity: identity.text, qe_identity_signature: identity.signature,
    },
    root: certificatesOfPem(text('trustedRootCaCert.pem'), 'the root', 1)[0] ?? new Uint8Array(0),
  };
}

const fileOf = (quote: Uint8Array): EvidenceFile => ({ form: 'quote', certificate: null, collection: null, gpu: null, cpu: { kind: 'dcap', quote, collateral: undefined, reportData: null } });
const failed = ({ verdict }: DcapOutcome): string[] => verdict.checks.filter(({ result }) => result === 'fail').map(({ name, seen }) => `${name}: ${seen}`);

describe(dcap === null ? `Intel's samples: ${SKIP_REASON}` : 'Intel\'s samples', () => {
  // Manifest: Intel's library says OK. Its collateral has TCB info of version 2 and evaluation numbers 3 and 0.
  real('SGX: Intel\'s result is UpToDate; the strict policy refuses the old form and the old evaluation number', () => {
    const { quote, collateral, root } = sampleOf('sgx');
    expect(explainEvidence(fileOf(quote)).filter(({ holds }) => holds !== true)).toEqual([]);
    const outcome = judgeDcap({ quote, collateral, root, policy: ANY_IMAGE, nowMs: Date.UTC(2020, 0, 1) });
    expect([outcome.verified?.status, outcome.verified?.advisories, outcome.verified?.tcbInfoVersion]).toEqual(['UpToDate', [], 2]);
    expect(failed(outcome)).toEqual(['evaluation-number: 0', 'tcb-info-version: 2']);
    const asIntel = sgxPolicy({ minTcbInfoVersion: 2, tcb: { ...DEFAULT_TCB_POLICY, minEvaluationDataNumber: 0 } });
    expect(summary(judgeDcap({ quote, collateral, root, policy: asIntel, nowMs: Date.UTC(2020, 0, 1) }))).toBe('pass');
    // The signature covers the text as it stands in the file.
    const reformatted = { ...collateral, tcb_info: JSON.stringify(JSON.parse(String(collateral['tcb_info'])), null, 1) };
    expect(summary(judgeDcap({ quote, collateral: reformatted, root, policy: asIntel, nowMs: Date.UTC(2020, 0, 1) }))).toBe('fail tcb-info-signature');
  });

  // Manifest: Intel's library ends with STATUS_TDX_MODULE_MISMATCH.
  real('TDX: every signature holds; refused for its module', () => {
    const { quote, collateral, root } = sampleOf('tdx');
    expect(explainEvidence(fileOf(quote)).filter(({ name, holds }) => holds !== true && name !== 'image hash')).toEqual([]);
    expect(failed(judgeDcap({ quote, collateral, root, policy: ANY_IMAGE, nowMs: Date.UTC(2022, 0, 1) }))).toEqual([expect.stringContaining('tdx-module: a TDX module TDX_C1, expected one of no identities')]);
  });

  real('neither is trusted without its root, nor with the PCK certificate beside it', () => {
    for (const kind of ['sgx', 'tdx'] as const) {
      const { quote, collateral } = sampleOf(kind);
      expect(judgeDcap({ quote, collateral, policy: ANY_IMAGE, nowMs: Date.UTC(2022, 0, 1) }).verdict.overall).toBe('fail');
    }
    expect(() => parseQuote(readFileSync(new URL('intel-qvl-sample-sgx/quote.dat', dcap ?? 'file:///')))).toThrow(/PCK certification data of type 1/);
  });
});

describe(dcap === null ? `real quotes: ${SKIP_REASON}` : 'real quotes', () => {
  real('every signature of every real quote holds, up to Intel\'s root, also where there is no collateral', () => {
    for (const { name, bytes } of realQuotes) {
      const steps = explainEvidence(fileOf(bytes)).filter(({ name: step }) => step !== 'image hash');
      expect([name, steps.length, steps.filter(({ holds }) => holds !== true)]).toEqual([name, 6, []]);
      const root = certificatesOfPem(parseQuote(bytes).pckChain, 'the chain', 4).at(-1);
      expect([name, root !== undefined && equalBytes(root, INTEL_SGX_ROOT_CA)]).toEqual([name, true]);
    }
  });
});
