// Everything that takes bytes from outside, as targets of the fuzzer: each runs one parser and what is derived from its result
// without any key. Seeds are ours (seeds/, made by make-seeds.mjs) and the project's vectors.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { BitString, Cell } from '@ton/core';
import { equalBytes } from '../../src/core/bytes.ts';
import { CocoonError } from '../../src/core/errors.ts';
import { bondAddKey, bondSlash, bondStorage } from '../../src/chain/cells/bond.ts';
import { parseBoc, STATE_LIMITS } from '../../src/chain/cells/boc.ts';
import { comment } from '../../src/chain/cells/comment.ts';
import { decodeBody } from '../../src/chain/cells/decode.ts';
import { paramsCell } from '../../src/chain/cells/params.ts';
import { clientPayload } from '../../src/chain/cells/proxy-messages.ts';
import { signedReceiptCell } from '../../src/chain/cells/receipt.ts';
import { keyManagerCell, rootStorage, verifiedKeysCell } from '../../src/chain/cells/root-storage.ts';
import { clientStorage, proxyStorage, walletStorage, workerStorage } from '../../src/chain/cells/storage.ts';
import { externalMessage, transferMessage, walletExternalBody, walletRequest } from '../../src/chain/cells/wallet-messages.ts';
import { parseEndpoint, parseProxyText } from '../../src/chain/cells/proxy-text.ts';
import { rootConfigOf } from '../../src/chain/root-config.ts';
import { parsePayment } from '../../src/chain/signed-payment.ts';
import { editJsonObject } from '../../src/openai/json-edit.ts';
import { parseChatRequest, parseTextRequest } from '../../src/openai/requests.ts';
import { createSseParser } from '../../src/openai/sse-parser.ts';
import { decodeKeyRecord } from '../../src/seal/key-record.ts';
import { decodeAnswerReceipt } from '../../src/seal/receipt.ts';
import { parseStrictObject } from '../../src/seal/v1/json.ts';
import { openBytes } from '../../src/seal/v1/text.ts';
import { parseCertificate } from '../../src/tee/certificate-parse.ts';
import { verifyCertificate } from '../../src/tee/certificate-verify.ts';
import { snpAuthorityDocuments, vcekDocument } from '../../src/tee/collateral/amd.ts';
import type { DocumentSpec } from '../../src/tee/collateral/document.ts';
import { dcapDocuments } from '../../src/tee/collateral/intel.ts';
import type { DcapCollateralTexts } from '../../src/tee/collateral/intel.ts';
import { ocspDocument } from '../../src/tee/collateral/ocsp.ts';
import { rimDocument } from '../../src/tee/collateral/rim.ts';
import { readCertificateTable } from '../../src/tee/collect/certificate-table.ts';
import { checkCcelTable } from '../../src/tee/collect/event-log.ts';
import { readQuoteAnswer } from '../../src/tee/collect/quote-service.ts';
import { takeTsmReport } from '../../src/tee/collect/tsm-report.ts';
import { asObject, fieldOf, jsonObjectOf } from '../../src/tee/dcap/json-reader.ts';
import { parseCollateral } from '../../src/tee/dcap/parse-collateral.ts';
import { parsePckFacts } from '../../src/tee/dcap/pck.ts';
import { parseQeIdentity } from '../../src/tee/dcap/parse-qe-identity.ts';
import { parseQuote } from '../../src/tee/dcap/parse-quote.ts';
import { parseTcbInfo } from '../../src/tee/dcap/parse-tcb-info.ts';
import { parseEvidenceFile } from '../../src/tee/evidence-file.ts';
import { judgeEvidence } from '../../src/tee/evidence-file-judge.ts';
import { parseCcel } from '../../src/tee/event-log/ccel.ts';
import { replay } from '../../src/tee/event-log/replay.ts';
import { parseRuntimeLog } from '../../src/tee/event-log/runtime-log.ts';
import { explainEvidence } from '../../src/tee/explain.ts';
import { parseNvidiaBundle } from '../../src/tee/nvidia/bundle.ts';
import { canonicalise } from '../../src/tee/nvidia/c14n.ts';
import { fwidOf } from '../../src/tee/nvidia/fwid.ts';
import { gpuClaimsOf, switchClaimsOf } from '../../src/tee/nvidia/opaque.ts';
import { parseOcsp } from '../../src/tee/nvidia/parse-ocsp.ts';
import { parseRim } from '../../src/tee/nvidia/parse-rim.ts';
import { parseSpdm } from '../../src/tee/nvidia/parse-spdm.ts';
import { parseXml } from '../../src/tee/nvidia/xml.ts';
import { defaultPolicyDocument, parsePolicy, policyOfDocument, withAnyMeasurement } from '../../src/tee/policy-file.ts';
import { policyToml } from '../../src/tee/policy-text.ts';
import { parseSnpBundle } from '../../src/tee/snp/bundle.ts';
import { parseSnpReport } from '../../src/tee/snp/parse-report.ts';
import { snpLaunchDigest } from '../../src/tee/snp/measure.ts';
import { parseOvmf } from '../../src/tee/snp/ovmf.ts';
import { vekFactsOf } from '../../src/tee/snp/vek.ts';
import { statedImageHash } from '../../src/tee/stated-image.ts';
import { mrtdOf } from '../../src/tee/tdvf/mrtd.ts';
import { parseTdvf } from '../../src/tee/tdvf/parse-tdvf.ts';
import { trustRootsOf } from '../../src/tee/trust-roots.ts';
import { parseX509 } from '../../src/tee/x509/certificate.ts';
import { parseCrl } from '../../src/tee/x509/crl.ts';
import { certificatesOfPem } from '../../src/tee/x509/pem.ts';
import { decodeAttestedPeerInfo } from '../../src/wire/attested-peer-info.ts';
import { FrameReader } from '../../src/wire/framing.ts';
import { decodeChallenge, decodeProof } from '../../src/wire/pow.ts';
import { DECLARATIONS, decodeBoxed, encodeBoxed } from '../../src/wire/tl/codec.ts';
import { FakeTsmKernel } from '../fakes/tsm-kernel.ts';
import type { Target } from './engine.ts';

const bytesOf = (path: string): Buffer => readFileSync(new URL(path, import.meta.url));

function seedsOf(name: string): Uint8Array[] {
  const folder = new URL(`seeds/${name}/`, import.meta.url);
  return existsSync(folder) ? readdirSync(folder).sort().map((file) => readFileSync(new URL(file, folder))) : [];
}

const text = (input: Uint8Array): string => Buffer.from(input).toString('latin1');
const utf8 = (input: Uint8Array): string => Buffer.from(input).toString('utf8');
const ignored = (attempt: () => unknown): void => {
  try {
    attempt();
  } catch (error) {
    if (!(error instanceof CocoonError)) throw error;
  }
};
const json = (input: Uint8Array): unknown => jsonObjectOf(utf8(input), 'the input', 1 << 24);

const JSON_WORDS = ['{', '}', '[', ']', ':', ',', '"', 'null', 'true', 'false', '0', '-1', '1e400', '\\u0000', '\\ud800', '"__proto__"', '"constructor"', '"length"', '{"a":', '[[[[[[[['];
const DER_WORDS = ['\x30\x82', '\x30\x80', '\x02\x01', '\x06\x03\x55\x1d', '\x04\x82', '\xa0', '\xa3', '\x03\x02\x00', '\x17\x0d', '\x18\x0f', '\x01\x01\xff', '\x05\x00', '\x30\x84\xff\xff\xff\xff', '2611220000Z', '20500101000000Z'];
const XML_WORDS = ['<', '>', '</', '/>', '<!--', '-->', '<![CDATA[', '<?x ?>', '<!DOCTYPE a [<!ENTITY b "c">]>', '&amp;', '&#x0;', '&#65;', '&b;', 'xmlns="', "xmlns:a='", 'xml:id="', '<a>', '</a>', '\r\n', '\t'];
const PEM_WORDS = ['-----BEGIN CERTIFICATE-----\n', '-----END CERTIFICATE-----\n', '\0', '=', '\r\n'];
const SSE_WORDS = ['data: ', 'event: ', '\n\n', '\r', '\r\n', ': ', 'data', '[DONE]', '\xef\xbb\xbf', '\xff', '\xf0\x9f\x98'];
const TOML_WORDS = ['version = 1\n', '[tdx]\n', '[sev-snp]\n', '= ', '"', '"""', "'''", '[', ']', '{ ', ' }', 'true', '0x', 'inf', 'nan', '1979-05-27T07:32:00Z', '\n', '#', '.', '[[a]]\n', '__proto__', 'image_hashes', 'measurements'];

/** Chunks whose lengths are the bits of the input's first byte: the same bytes in other pieces. */
function* chunks(input: Uint8Array): Generator<Uint8Array> {
  const step = 1 + ((input[0] ?? 0) % 13);
  for (let at = 0; at < input.length; at += step) yield input.subarray(at, at + step);
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`not true any more: ${what}`);
}

const NOW_MS = Date.UTC(2026, 10, 22, 12);
const POLICY = policyOfDocument(withAnyMeasurement(defaultPolicyDocument()), 'fuzzed');
const JUDGE = { fetched: {}, policy: POLICY, nowMs: NOW_MS, nonce: null, local: null, images: null, anySimulatedImage: false } as const;
const KERNEL = { sleep: async (): Promise<void> => undefined, log: { debug() {}, info() {}, warn() {}, error() {} }, timeoutMs: 60_000 };

const SESSIONS = ['client-runner.c2s', 'client-runner.s2c', 'worker-runner.c2s', 'worker-runner.s2c'].map((name) => bytesOf(`../vectors/wire/sessions/${name}.bin`));
const MAX_TL_SEEDS = 60;
const TL_SEEDS = [
  ...SESSIONS.flatMap((session) => framesOf(session)).slice(0, MAX_TL_SEEDS),
  ...DECLARATIONS.map(({ id }) => shortest(id)),
];

/** Zeros behind a constructor id: as many as the constructor takes, or 64 where zeros do not do. */
function shortest(id: number): Uint8Array {
  for (let length = 4; length <= 512; length += 4) {
    const bytes = Buffer.alloc(length);
    bytes.writeUInt32LE(id >>> 0);
    try {
      decodeBoxed(bytes);
      return bytes;
    } catch (error) {
      if (!(error instanceof CocoonError)) throw error;
    }
  }
  const bytes = Buffer.alloc(64);
  bytes.writeUInt32LE(id >>> 0);
  return bytes;
}

/** Frames of a recorded stream, up to where something else than frames comes. */
function framesOf(session: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const reader = new FrameReader();
  ignored(() => {
    for (let at = 0; at < session.length; at += 512) frames.push(...reader.push(session.subarray(at, at + 512)));
  });
  return frames;
}

const BOC_TEXTS = ['messages', 'storage', 'params', 'unit_root'].map((name) => utf8(bytesOf(`../vectors/onchain/${name}.json`))).join('');
const BOCS = [...new Set([...BOC_TEXTS.matchAll(/"(b5ee9c72[0-9a-f]+)"/g)].map(([, found]) => found ?? ''))].filter(({ length }) => length < 8000).map((found) => Buffer.from(found, 'hex'));
const PAYMENTS = [...utf8(bytesOf('../vectors/wire/onchain/signed_payments.json')).matchAll(/"(b5ee9c72[0-9a-fA-F]+)"/g)].map(([, found]) => Buffer.from(found ?? '', 'hex'));
const LOADERS: readonly ((cell: Cell) => unknown)[] = [
  rootConfigOf, decodeBody,
  ...[paramsCell, rootStorage, keyManagerCell, verifiedKeysCell, proxyStorage, clientStorage, workerStorage, walletStorage, bondStorage, bondSlash, bondAddKey, clientPayload, signedReceiptCell, externalMessage, transferMessage, walletExternalBody, walletRequest, comment]
    .map((codec) => (cell: Cell) => codec.load(cell)),
];
const PEER_INFOS = [...utf8(bytesOf('../vectors/wire/attested/attested_peer_info.json')).matchAll(/"([0-9a-f]{64,})"/g)].map(([, found]) => Buffer.from(found ?? '', 'hex'));

const DCAP_TEXTS = (JSON.parse(utf8(bytesOf('../vectors/attestation/tdx-synthetic/valid_v4.json'))) as { collateral: DcapCollateralTexts }).collateral;
const DCAP_FMSPC = parseTcbInfo(DCAP_TEXTS.tcb_info).fmspc.reduce((digits, byte) => digits + byte.toString(16).padStart(2, '0'), '');
/** As the service answers for TCB info, QE identity, the PCK list and the root's. */
const DCAP_BODIES = [
  Buffer.from(`{"tcbInfo":${DCAP_TEXTS.tcb_info},"signature":"${DCAP_TEXTS.tcb_info_signature}"}`), Buffer.from(`{"enclaveIdentity":${DCAP_TEXTS.qe_identity},"signature":"${DCAP_TEXTS.qe_identity_signature}"}`),
  Buffer.from(DCAP_TEXTS.pck_crl, 'hex'), Buffer.from(DCAP_TEXTS.root_ca_crl),
];

const SEALED = [...utf8(bytesOf('../vectors/seal/seal.json')).matchAll(/"([0-9a-f]{200,6000})"/g)].map(([, found]) => Buffer.from(found ?? '', 'hex')).slice(0, 40);

/** Everything that services are asked for, one kind each, and an answer to it; input is the kind's number, then the answer's body. */
const [SUBJECT, ISSUER] = certificatesOfPem(DCAP_TEXTS.tcb_info_issuer_chain, 'chain', 2).map((der) => parseX509(der));
if (SUBJECT === undefined || ISSUER === undefined) throw new Error('no chain in the vector');
const DOCUMENTS: readonly (readonly [spec: DocumentSpec, body: Uint8Array])[] = [
  ...dcapDocuments({ tee: 'tdx', fmspc: DCAP_FMSPC, ca: 'platform' }).map((spec, index) => [spec, DCAP_BODIES[index] ?? Buffer.alloc(0)] as const),
  ...snpAuthorityDocuments({ product: 'Genoa', signer: 'VCEK' }).map((spec, index) => [spec, index === 0 ? Buffer.from(DCAP_TEXTS.tcb_info_issuer_chain) : Buffer.from(DCAP_TEXTS.root_ca_crl, 'hex')] as const),
  [vcekDocument({ product: 'Genoa', signer: 'VCEK', chipId: new Uint8Array(64).fill(1), tcb: { fmc: 0, bootloader: 1, tee: 0, snp: 1, microcode: 1 } }), seedsOf('vek')[0] ?? Buffer.alloc(0)],
  [rimDocument('NV_GPU_DRIVER_GH100_1.2'), Buffer.from(JSON.stringify({ id: 'NV_GPU_DRIVER_GH100_1.2', rim: Buffer.from(seedsOf('rim')[0] ?? []).toString('base64') }))],
  [ocspDocument(SUBJECT, ISSUER, new Uint8Array(32)), seedsOf('ocsp')[0] ?? Buffer.alloc(0)],
];
/** The headers with chains that Intel's service sends; their text is outside of what is fuzzed. */
const CHAIN_HEADERS = new Map(['tcb-info-issuer-chain', 'sgx-enclave-identity-issuer-chain', 'sgx-pck-crl-issuer-chain'].map((name) => [name, encodeURIComponent(DCAP_TEXTS.tcb_info_issuer_chain)]));

export const TARGETS: readonly Target[] = [
  {
    name: 'quote', files: ['tee/dcap/parse-quote', 'tee/dcap/byte-reader'], seeds: seedsOf('quote'),
    run(input) {
      const quote = parseQuote(input);
      for (const der of certificatesOfPem(quote.pckChain, 'the PCK chain', 4)) parseX509(der);
    },
  },
  { name: 'tcb-info', files: ['tee/dcap/parse-tcb-info', 'tee/dcap/parse-levels', 'tee/dcap/json-reader'], seeds: seedsOf('tcb-info'), words: JSON_WORDS, run: (input) => parseTcbInfo(utf8(input)) },
  { name: 'qe-identity', files: ['tee/dcap/parse-qe-identity', 'tee/dcap/parse-levels', 'tee/dcap/json-reader'], seeds: seedsOf('qe-identity'), words: JSON_WORDS, run: (input) => parseQeIdentity(utf8(input)) },
  { name: 'collateral', files: ['tee/dcap/parse-collateral', 'tee/x509/pem'], seeds: seedsOf('collateral'), words: [...JSON_WORDS, ...PEM_WORDS], run: (input) => parseCollateral(json(input)) },
  {
    name: 'x509', files: ['tee/x509', 'tee/der', 'tee/dcap/pck', 'tee/nvidia/fwid'], seeds: seedsOf('x509'), words: DER_WORDS, maxBytes: 4096,
    run(input) {
      const certificate = parseX509(input);
      ignored(() => parsePckFacts(certificate));
      ignored(() => fwidOf(certificate));
    },
  },
  { name: 'vek', files: ['tee/snp/vek', 'tee/snp/products', 'tee/der'], seeds: seedsOf('vek'), words: DER_WORDS, maxBytes: 4096, run: (input) => vekFactsOf(parseX509(input)) },
  { name: 'crl', files: ['tee/x509/crl', 'tee/x509/algorithms', 'tee/der'], seeds: seedsOf('crl'), words: DER_WORDS, run: (input) => parseCrl(input) },
  { name: 'snp-report', files: ['tee/snp/parse-report', 'tee/snp/products'], seeds: seedsOf('snp-report'), maxBytes: 2048, run: (input) => parseSnpReport(input) },
  { name: 'snp-bundle', files: ['tee/snp/bundle', 'tee/x509/pem'], seeds: seedsOf('snp-bundle'), words: [...JSON_WORDS, ...PEM_WORDS], run: (input) => parseSnpBundle(json(input)) },
  {
    name: 'spdm', files: ['tee/nvidia/parse-spdm', 'tee/nvidia/opaque'], seeds: seedsOf('spdm'), maxBytes: 70_000,
    run(input) {
      const { opaque } = parseSpdm(input);
      ignored(() => gpuClaimsOf(opaque));
      ignored(() => switchClaimsOf(opaque));
    },
  },
  { name: 'rim', files: ['tee/nvidia/parse-rim', 'tee/nvidia/xml', 'tee/nvidia/c14n'], seeds: seedsOf('rim'), words: XML_WORDS, maxBytes: 32_768, run: (input) => parseRim(text(input)) },
  {
    name: 'xml', files: ['tee/nvidia/xml', 'tee/nvidia/c14n'], seeds: seedsOf('xml'), words: XML_WORDS, maxBytes: 8192,
    run(input) {
      const element = parseXml(utf8(input), 'the input');
      const canonical = canonicalise(element, 'inclusive');
      must(equalBytes(canonicalise(parseXml(utf8(canonical), 'canonical text'), 'inclusive'), canonical), 'canonical text is its own canonical text');
    },
  },
  { name: 'ocsp', files: ['tee/nvidia/parse-ocsp', 'tee/der'], seeds: seedsOf('ocsp'), words: DER_WORDS, maxBytes: 8192, run: (input) => parseOcsp(input) },
  { name: 'nvidia-bundle', files: ['tee/nvidia/bundle'], seeds: seedsOf('nvidia-bundle'), words: JSON_WORDS, run: (input) => parseNvidiaBundle(json(input)) },
  { name: 'ccel', files: ['tee/event-log/ccel', 'tee/event-log/replay'], seeds: seedsOf('ccel'), maxBytes: 65_536, run: (input) => replay(parseCcel(input)) },
  { name: 'runtime-log', files: ['tee/event-log/runtime-log'], seeds: seedsOf('runtime-log'), words: JSON_WORDS, run: (input) => replay(parseRuntimeLog(utf8(input))) },
  {
    name: 'certificate', files: ['tee/certificate-parse', 'tee/certificate-evidence', 'tee/certificate-standard', 'tee/der'], words: DER_WORDS, maxBytes: 50_000,
    seeds: [...seedsOf('certificate'), bytesOf('../vectors/wire/cert/worker_cert.der'), bytesOf('../vectors/wire/cert/plain_cert.der')],
    run: (input) => verifyCertificate(parseCertificate(input), NOW_MS),
  },
  {
    name: 'policy', files: ['tee/policy-file', 'tee/policy-text'], seeds: seedsOf('policy'), words: [...TOML_WORDS, ...JSON_WORDS], maxBytes: 8192,
    async run(input) {
      const policy = await parsePolicy(utf8(input), 'fuzzed');
      must(JSON.stringify(await parsePolicy(policyToml(policy), 'written')) === JSON.stringify(policy), 'a policy that is written is read back as it is');
    },
  },
  { name: 'trust-roots', files: ['tee/trust-roots', 'tee/x509/pem'], seeds: seedsOf('trust-roots'), words: [...PEM_WORDS, ...DER_WORDS], maxBytes: 8192, run: (input) => trustRootsOf(input) },
  {
    name: 'evidence-file', files: ['tee/evidence-file', 'tee/explain', 'tee/stated-image'], words: [...JSON_WORDS, ...PEM_WORDS, ...DER_WORDS],
    seeds: [...seedsOf('evidence-file'), ...seedsOf('quote'), ...seedsOf('snp-report').slice(0, 2), ...seedsOf('certificate'), ...seedsOf('nvidia-bundle')],
    run(input) {
      const file = parseEvidenceFile(input);
      // Judging never throws: whatever is wrong is a failed check.
      const verdict = (() => {
        try {
          return judgeEvidence({ ...JUDGE, file });
        } catch (error) {
          throw new Error(`judging threw ${error instanceof Error ? error.message : String(error)}`, { cause: error });
        }
      })();
      must(verdict.overall !== 'pass', 'nothing here is signed by a manufacturer');
      ignored(() => explainEvidence(file));
      ignored(() => (file.cpu === null ? null : statedImageHash(file.cpu)));
    },
  },
  {
    // Firmware may name 64 MiB of memory, which is measured page by page.
    name: 'firmware', files: ['tee/firmware-table', 'tee/snp/ovmf', 'tee/tdvf'], seeds: seedsOf('firmware'), maxBytes: 16_384, maxMs: 4000,
    run(input) {
      ignored(() => mrtdOf(parseTdvf(input)));
      ignored(() => snpLaunchDigest({ firmware: parseOvmf(input), firmwareDigest: new Uint8Array(48), boot: null, vcpus: 1, vcpuSignature: 0 }));
    },
  },
  {
    name: 'quote-answer', files: ['tee/collect/quote-service'], seeds: [Buffer.concat([Buffer.from('0000001c01000100010000001c000000000000000000000004000000', 'hex'), Buffer.from('quot')]), Buffer.from('0000001001000000010000001000000006200100', 'hex')],
    maxBytes: 2048,
    run(input) {
      const answer = readQuoteAnswer(input);
      must('quote' in answer ? answer.quote.length > 0 && answer.quote.length < input.length : answer.error !== 0, 'an answer is a quote or an error');
    },
  },
  { name: 'certificate-table', files: ['tee/collect/certificate-table'], seeds: seedsOf('certificate-table'), maxBytes: 8192, run: (input) => readCertificateTable(input) },
  { name: 'ccel-table', files: ['tee/collect/event-log'], seeds: seedsOf('ccel-table'), maxBytes: 128, run: (input) => checkCcelTable(input) },
  {
    name: 'tsm-report', files: ['tee/collect/tsm-report'], seeds: [Buffer.from('\x01\x00report'), Buffer.from('\x03\x02x')], maxBytes: 40_000,
    // The first byte says what the kernel does otherwise than it should, the rest is its answer.
    async run(input) {
      const [fault = 0] = input;
      const provider = (fault & 1) === 0 ? 'tdx_guest' : 'sev_guest';
      const kernel = new FakeTsmKernel({ provider: (fault & 2) === 0 ? provider : text(input.subarray(1, 9)), answer: () => input.subarray(1), auxblob: input.subarray(1) });
      if ((fault & 4) !== 0) kernel.fail('outblob', 'EBUSY', 'EINTR');
      if ((fault & 8) !== 0) kernel.fail('inblob', 'EIO');
      if ((fault & 16) !== 0) kernel.fail('generation', 'EAGAIN');
      if ((fault & 32) !== 0) kernel.onStep = (step, entry) => { if (step === 'outblob' && entry !== undefined) entry.generation += 1; };
      await takeTsmReport({ provider, inblob: new Uint8Array(64), ...((fault & 64) !== 0 && { privlevel: 1 }) }, { ...KERNEL, kernel });
    },
  },
  {
    name: 'tl', files: ['wire/tl/reader', 'wire/tl/compile', 'wire/tl/codec'], seeds: TL_SEEDS, maxBytes: 8192,
    run(input) {
      const object = decodeBoxed(input);
      must(equalBytes(encodeBoxed(decodeBoxed(encodeBoxed(object))), encodeBoxed(object)), 'an object that is written is read back as it is');
    },
  },
  {
    name: 'framing', files: ['wire/framing'], seeds: SESSIONS.map((session) => session.subarray(0, 4096)), maxBytes: 16_384,
    run(input) {
      const [whole, pieces] = [new FrameReader(), new FrameReader()];
      const frames = (() => {
        try {
          return whole.push(input);
        } catch (error) {
          if (!(error instanceof CocoonError)) throw error;
          return null;
        }
      })();
      const parts: Uint8Array[] = [];
      let failed = false;
      for (const chunk of chunks(input)) {
        try {
          parts.push(...pieces.push(chunk));
        } catch (error) {
          if (!(error instanceof CocoonError)) throw error;
          failed = true;
          break;
        }
      }
      must(failed === (frames === null) && (frames === null || (frames.length === parts.length && frames.every((frame, index) => equalBytes(frame, parts[index] ?? new Uint8Array(0))))), 'frames do not depend on the pieces in which they come');
    },
  },
  { name: 'peer-info', files: ['wire/attested-peer-info'], seeds: PEER_INFOS, maxBytes: 20_000, run: (input) => decodeAttestedPeerInfo(input) },
  {
    name: 'proof-of-work', files: ['wire/pow'], seeds: [Buffer.alloc(24), Buffer.alloc(12)], maxBytes: 64,
    run(input) {
      ignored(() => decodeChallenge(input));
      ignored(() => decodeProof(input));
    },
  },
  {
    name: 'cells', files: ['chain/cells', 'chain/root-config'], seeds: BOCS, maxBytes: 4096,
    run(input) {
      const cell = parseBoc(input, 'fuzzed', STATE_LIMITS);
      for (const load of LOADERS) ignored(() => load(cell));
    },
  },
  // Any cell: its bits and how many more of the input are cells below it.
  {
    name: 'cell-bits', files: ['chain/cells', 'chain/root-config'], seeds: BOCS.slice(0, 40).map((boc) => bytesOfCell(Cell.fromBoc(boc)[0])), maxBytes: 2048,
    run(input) {
      const cell = cellOfBytes(input);
      for (const load of LOADERS) ignored(() => load(cell));
    },
  },
  { name: 'payment', files: ['chain/signed-payment', 'chain/cells/signed'], seeds: PAYMENTS, maxBytes: 2048, run: (input) => parsePayment(input) },
  {
    name: 'proxy-text', files: ['chain/cells/proxy-text'], seeds: [Buffer.from('127.0.0.1:8888 [::1]:8889'), Buffer.from('proxy.example.org:1')], words: ['[', ']', ':', ' ', '::', '0', '65536', '%'], maxBytes: 256,
    run(input) {
      parseProxyText(utf8(input));
      parseEndpoint(text(input));
    },
  },
  {
    name: 'sse', files: ['openai/sse-parser'], seeds: [Buffer.from('data: {"a":1}\n\nevent: x\ndata: y\r\n\r\n: comment\n\n'), Buffer.from('data: [DONE]\n\n')], words: SSE_WORDS, maxBytes: 8192,
    run(input) {
      const read = (pieces: Iterable<Uint8Array>): string => {
        const parser = createSseParser({ maxEventLength: 512 });
        const events: unknown[] = [];
        ignored(() => {
          for (const piece of pieces) events.push(...parser.push(piece));
          parser.end();
        });
        return JSON.stringify(events);
      };
      // Bytes that are refused may be refused after some events or before them.
      const [all, some] = [read([input]), read(chunks(input))];
      must(all === some || some.startsWith(all.slice(0, -1)), 'events do not depend on the pieces in which they come');
    },
  },
  {
    name: 'documents', files: ['tee/collateral/document', 'tee/collateral/intel', 'tee/collateral/amd', 'tee/collateral/rim', 'tee/collateral/ocsp'], maxBytes: 200_000,
    seeds: DOCUMENTS.map(([, body], index) => Buffer.concat([Uint8Array.of(index), body])),
    words: [...PEM_WORDS, '-----BEGIN X509 CRL-----', '-----END X509 CRL-----', '{"tcbInfo":{', '"signature":"', '"nextUpdate":"', '"rim":"', 'X509Certificate>', '</', ' ', '\n', '=='],
    run(input) {
      const [spec] = DOCUMENTS[(input[0] ?? 0) % DOCUMENTS.length] ?? [];
      if (spec === undefined) return;
      ignored(() => {
        const content = spec.decode({ status: 200, headers: CHAIN_HEADERS, body: input.subarray(1) });
        must(Object.values(content).every((value) => typeof value === 'string'), 'the content of a document is texts');
        spec.expiresAtMs(content, NOW_MS);
      });
    },
  },
  {
    name: 'seal', files: ['seal/key-record', 'seal/receipt', 'seal/encoding', 'seal/v1/json', 'seal/v1/text'], seeds: [...SEALED, Buffer.from('{"a":{"b":[1,"c",{"d":null}]}}')], words: JSON_WORDS, maxBytes: 8192,
    run(input) {
      ignored(() => decodeKeyRecord(input));
      ignored(() => decodeAnswerReceipt(input));
      ignored(() => openBytes(new Uint8Array(32), input));
      ignored(() => parseStrictObject(input));
    },
  },
  {
    name: 'requests', files: ['openai/requests', 'openai/json-edit'], words: [...JSON_WORDS, '"messages"', '"role"', '"content"', '"model"', '"stream"', '"max_tokens"'], maxBytes: 4096,
    seeds: [Buffer.from('{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"max_tokens":5,"temperature":0.5,"stop":["a"]}'), Buffer.from('{"model":"m","prompt":"p"}')],
    run(input) {
      ignored(() => parseChatRequest(input));
      ignored(() => parseTextRequest(input));
      ignored(() => editJsonObject(utf8(input), { remove: ['model'], set: { a: 1 } }));
      asObject(json(input), 'x');
      fieldOf(asObject(json(input), 'x'), 'a');
    },
  },
];

/** A cell of the input: a byte for the number of references (2 bits) and bits (in bytes), then its bytes, then the cells below. */
function cellOfBytes(input: Uint8Array): Cell {
  let at = 0;
  let cells = 0;
  const next = (depth: number): Cell => {
    cells += 1;
    const head = input[at] ?? 0;
    const length = Math.min((input[at + 1] ?? 0) % 128, Math.max(0, input.length - at - 2));
    const bits = Buffer.from(input.subarray(at + 2, at + 2 + length));
    at += 2 + length;
    const references = depth > 6 || cells > 64 || at >= input.length ? 0 : head % 5;
    const cut = Math.max(0, length * 8 - (head >> 4) % 8);
    return new Cell({ bits: new BitString(bits, 0, cut), refs: Array.from({ length: references }, () => next(depth + 1)) });
  };
  return next(0);
}

function bytesOfCell(cell: Cell | undefined): Uint8Array {
  if (cell === undefined) return new Uint8Array(0);
  const length = Math.floor(cell.bits.length / 8);
  const bits = cell.bits.subbuffer(0, length * 8) ?? Buffer.alloc(0);
  return Buffer.concat([Uint8Array.of(cell.refs.length, length % 128), bits.subarray(0, length % 128), ...cell.refs.map(bytesOfCell)]);
}
