// Every file of the third-party attestation vectors is accounted for: which test runs it, or why none does. Where the vectors
// lie beside the repository, a file that is not in this list fails the test.
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { SKIP_REASON } from './dcap/vectors.ts';

const folder = new URL('../../../shared/attestation/vectors/', import.meta.url);

/** Patterns of names below the folder, and the test that judges them as their manifest says. */
const RUN: readonly (readonly [pattern: RegExp, test: string])[] = [
  [/^tdx-synthetic\//, 'dcap/vectors.test.ts: every case of the manifest by the check that must refuse it; dcap/differential.test.ts'],
  [/^dcap\/MANIFEST\.json$|^dcap\/.*\.collateral-.*\.json$/, 'dcap/vectors.test.ts: every case at three times inside its window, and none outside'],
  [/^dcap\/.*\.quote\.bin$/, 'dcap/vectors.test.ts; dcap/intel-samples.test.ts: all signatures up to Intel\'s root, also without collateral'],
  [/^dcap\/intel-qvl-sample-(sgx|tdx)\//, 'dcap/intel-samples.test.ts: signatures hold; UpToDate (SGX), refused for its module (TDX)'],
  [/^snp\/(?!azure).*\.(report\.bin|vek\.der)$|^snp\/roots\/(?!.*asvk)/, 'snp/vectors.test.ts: every report under AMD\'s roots, and under those of other generations'],
  [/^snp\/roots\/.*asvk\.der$/, 'x509/x509.test.ts: signed by its root; no report signed by a VLEK is among the vectors, generated ones are in snp/judge.test.ts'],
  [/^snp\/.*\.NEG-.*\.der$/, 'snp/vectors.test.ts: chip keys that no authority has signed'],
  [/^snp\/azure-hcl-report\.bin$/, 'snp/vectors.test.ts: the report in Azure\'s envelope, and the claims that its report data is the hash of'],
  [/^nvidia\/h100-.*\.json$/, 'nvidia/vectors.test.ts: chain, signature, nonce, firmware id and measurements, and each negative'],
  [/^nvidia\/rim\//, 'nvidia/vectors.test.ts: the signature of every manifest, as xmlsec1 says'],
  [/^nvidia\/expected\/(?!hopperClaims)/, 'nvidia/vectors.test.ts: published parses and claims'],
  [/^ccel\/.*(ccel|CCEL).*\.bin$|^ccel\/trustee-.*_out\.json$/, 'event-log/event-log.test.ts: read to the end, replayed into quotes and reports, compared with published parses'],
  [/^ccel\/(dstack-attestation-with-rtmr3-eventlog|confdotai-live1\.tdreport)\.bin$/, 'event-log/event-log.test.ts'],
  [/^ratls\//, 'certificate-parse.test.ts: refused, because their keys are not Ed25519'],
];

/** Files that no test judges. */
const NOT_RUN: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^INDEX\.md$/, 'the manifest for people'],
  [/^snp\/.*-x25519\.txt$/, 'a note'],
  [/^nvidia\/roots\//, 'the pinned roots, by their keys (nvidia/roots.ts)'],
  [/^nvidia\/(nras_gpu_x5c_chain|nvattest-output-h100-dstack|expected\/hopperClaimsv3_decoded)\.json$/, 'answers of NVIDIA\'s remote service about evidence; evidence is judged here without it'],
  [/^nvidia\/policies\//, 'policies of another program, in its language'],
  [/^ccel\/google-cos113\.nonce\.bin$|^ccel\/google\.tdreport\.bin$/, 'a nonce without its quote; a report whose registers are all zero, of no log among these'],
];

const path = fileURLToPath(folder);
const names = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => relative(path, join(entry.parentPath ?? entry.path, entry.name))) : [];
const run = names.length > 0 ? it : it.skip;

describe(names.length > 0 ? 'third-party attestation vectors' : `third-party attestation vectors: ${SKIP_REASON}`, () => {
  run('every file is run, or said not to be and why', () => {
    const place = (name: string): number => [...RUN, ...NOT_RUN].filter(([pattern]) => pattern.test(name)).length;
    expect(names.filter((name) => place(name) !== 1)).toEqual([]);
    expect(names.length).toBeGreaterThan(150);
  });

  run('no line of the list is about files that are not there', () => {
    expect([...RUN, ...NOT_RUN].filter(([pattern]) => !names.some((name) => pattern.test(name))).map(([, text]) => text)).toEqual([]);
  });
});
