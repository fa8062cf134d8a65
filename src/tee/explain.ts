// What stands behind each hash and signature of evidence: the exact bytes that go in, where they are in the file, the digest,
// and what it is compared with or which key has signed it. For people who want to check by hand; it judges nothing.
import { createHash, verify } from 'node:crypto';
import { equalBytes, toHex } from '../core/bytes.ts';
import { AttestationError } from '../core/errors.ts';
import { parseCollateral } from './dcap/parse-collateral.ts';
import { parseQuote } from './dcap/parse-quote.ts';
import type { Collateral, SignedText } from './dcap/collateral.ts';
import type { Quote } from './dcap/quote.ts';
import type { DcapPart, EvidenceFile, SnpPart } from './evidence-file.ts';
import { parseSnpCollateral } from './snp/bundle.ts';
import { parseSnpReport } from './snp/parse-report.ts';
import { publicKeyFromRaw } from './tls-keys.ts';
import type { SignatureAlgorithm, SubjectKey } from './x509/algorithms.ts';
import { parseX509 } from './x509/certificate.ts';
import type { X509 } from './x509/certificate.ts';
import { certificatesOfPem } from './x509/pem.ts';
import { verifiesWith } from './x509/signature.ts';

/** Bytes with their name and their offset in the evidence; the offset is null where they come from elsewhere (collateral, text that was decoded). */
export interface Piece {
  readonly what: string;
  readonly offset: number | null;
  readonly bytes: Uint8Array;
}

export interface Step {
  readonly name: string;
  /** `SHA-256`, or what signs: `ECDSA P-256 with SHA-256`. */
  readonly operation: string;
  /** What goes in, one after the other. */
  readonly over: readonly Piece[];
  /** Of all pieces together; null for Ed25519, which hashes inside. */
  readonly digest: Uint8Array | null;
  /** The value that the digest must equal, or the signature; null for a hash that policies and networks list. */
  readonly against: Piece | null;
  /** Who has signed; null for hashes. */
  readonly key: Piece | null;
  /** Null where there is nothing to compare with. */
  readonly holds: boolean | null;
}

type Hash = 'sha256' | 'sha384' | 'sha512';
const HASH_NAME: Readonly<Record<Hash, string>> = { sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' };
const ZEROS: Piece = { what: '64 zero bytes in place of the report data', offset: null, bytes: new Uint8Array(64) };
const MAX_CHAIN = 4;

/** Places pieces within `container`; null where a view is of other memory. */
const placer = (container: Uint8Array) => (what: string, bytes: Uint8Array): Piece => {
  const start = bytes.byteOffset - container.byteOffset;
  const inside = bytes.buffer === container.buffer && start >= 0 && start + bytes.length <= container.length;
  return { what, offset: inside ? start : null, bytes };
};
const elsewhere = (what: string, bytes: Uint8Array): Piece => ({ what, offset: null, bytes });

function hashStep(name: string, hash: Hash, over: readonly Piece[], against: Piece | null): Step {
  const digest = new Uint8Array(over.reduce((sum, { bytes }) => sum.update(bytes), createHash(hash)).digest());
  return { name, operation: HASH_NAME[hash], over, digest, against, key: null, holds: against === null ? null : equalBytes(digest, against.bytes) };
}

const OPERATION: Readonly<Record<SignatureAlgorithm, readonly [name: string, hash: Hash]>> = {
  'ecdsa-sha256': ['ECDSA with SHA-256', 'sha256'], 'ecdsa-sha384': ['ECDSA with SHA-384', 'sha384'], 'rsa-pss-sha384': ['RSA-PSS with SHA-384', 'sha384'],
};

interface Signed {
  readonly over: Piece;
  readonly signature: Piece;
  readonly key: SubjectKey;
  readonly signer: Piece;
  readonly algorithm: SignatureAlgorithm;
  readonly raw?: boolean;
}

function signatureStep(name: string, { over, signature, key, signer, algorithm, raw = false }: Signed): Step {
  const [operation, hash] = OPERATION[algorithm];
  return {
    name, operation, over: [over], digest: new Uint8Array(createHash(hash).update(over.bytes).digest()), against: signature, key: signer,
    holds: verifiesWith(key, algorithm, over.bytes, signature.bytes, raw ? 'ieee-p1363' : 'der'),
  };
}

function issuedStep(certificate: X509, issuer: X509): Step {
  return signatureStep(`certificate "${certificate.subject.commonName}"`, {
    over: elsewhere('its body', certificate.signedBytes), signature: elsewhere('its signature', certificate.signature), key: issuer.key,
    signer: elsewhere(`public key of "${issuer.subject.commonName}"`, issuer.key.spki), algorithm: certificate.algorithm,
  });
}

/** Each certificate by the next one, and the last by itself. */
const chainSteps = (chain: readonly X509[]): Step[] => chain.map((certificate, index) => issuedStep(certificate, chain[index + 1] ?? certificate));

/** All steps, in the order in which they build on one another. Throws AttestationError for evidence that cannot be read. */
export function explainEvidence({ certificate, cpu }: EvidenceFile): Step[] {
  const steps: Step[] = [];
  if (certificate !== null) {
    const at = placer(certificate.der);
    steps.push({
      name: 'certificate', operation: 'Ed25519', over: [at('body of the certificate', certificate.signedBytes)], digest: null,
      against: at('its signature', certificate.signature), key: at('its own public key', certificate.publicKey), holds: verifiesSelf(certificate),
    });
  }
  if (cpu?.kind === 'dcap') steps.push(...quoteSteps(cpu.quote, collateralOf(cpu.collateral)));
  if (cpu?.kind === 'sev-snp') steps.push(...reportSteps(cpu));
  if (certificate !== null && cpu !== null && (cpu.kind === 'dcap' || cpu.kind === 'sev-snp')) {
    steps.push(hashStep('key binding', 'sha512', [placer(certificate.der)('public key of the certificate', certificate.publicKey)], elsewhere('report data of the evidence', reportDataIn(cpu))));
  }
  return steps;
}

function verifiesSelf({ signedBytes, signature, publicKey }: NonNullable<EvidenceFile['certificate']>): boolean {
  try {
    return verify(null, signedBytes, publicKeyFromRaw(publicKey), signature);
  } catch {
    return false;
  }
}

const reportDataIn = (cpu: DcapPart | SnpPart): Uint8Array => (cpu.kind === 'dcap' ? parseQuote(cpu.quote).body.report.reportData : parseSnpReport(cpu.report).reportData);

/** Null where there is none or it cannot be read: its steps are left out then, and `attest verify` says why. */
function collateralOf(json: unknown): Collateral | null {
  try {
    return json === undefined ? null : parseCollateral(json);
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    return null;
  }
}

function quoteSteps(bytes: Uint8Array, collateral: Collateral | null): Step[] {
  const quote = parseQuote(bytes);
  const at = placer(bytes);
  const { body, attestationKey, qeReport, qeAuthData } = quote;
  const chain = certificatesOfPem(quote.pckChain, 'the PCK chain', MAX_CHAIN).map((der) => parseX509(der));
  const [leaf] = chain;
  const vouched = qeReport.reportData.subarray(0, 32);
  return [
    signatureStep('quote signature', { over: at('header and body', quote.signedBytes), signature: at('quote signature', quote.signature), key: attestationSubject(quote), signer: at('attestation key', attestationKey), algorithm: 'ecdsa-sha256', raw: true }),
    hashStep('attestation key', 'sha256', [at('attestation key', attestationKey), at('QE authentication data', qeAuthData)], at('first half of the REPORTDATA of the QE report', vouched)),
    ...(leaf === undefined ? [] : [signatureStep('QE report signature', {
      over: at('QE report', qeReport.raw), signature: at('QE report signature', quote.qeReportSignature), key: leaf.key, signer: elsewhere(`public key of "${leaf.subject.commonName}"`, leaf.key.spki), algorithm: 'ecdsa-sha256', raw: true,
    })]),
    ...chainSteps(chain),
    ...(collateral === null ? [] : [
      textStep('TCB info', collateral.tcbInfo), textStep('QE identity', collateral.qeIdentity), ...chainSteps(collateral.tcbInfo.chain).slice(0, 1), ...crlSteps(collateral),
    ]),
    ...(body.tee === 'sgx' ? [] : [hashStep('image hash', 'sha256', [
      ...(['mrTd', 'mrConfigId', 'mrOwner', 'mrOwnerConfig', 'rtmr0', 'rtmr1', 'rtmr2', 'rtmr3'] as const).map((name) => at(name.toUpperCase(), body.report[name])), ZEROS,
    ], null)]),
  ];
}

/** SubjectPublicKeyInfo of a P-256 key up to the two coordinates. */
const P256_SPKI_PREFIX = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const attestationSubject = ({ attestationKey }: Quote): SubjectKey => ({ kind: 'p256', spki: Buffer.concat([P256_SPKI_PREFIX, attestationKey]) });

function textStep(what: string, { text, signature, chain }: SignedText<unknown>): Step {
  const [signer] = chain;
  const over = elsewhere(`${what} as text`, text);
  if (signer === undefined) return hashStep(what, 'sha256', [over], null);
  return signatureStep(what, { over, signature: elsewhere('its signature', signature), key: signer.key, signer: elsewhere(`public key of "${signer.subject.commonName}"`, signer.key.spki), algorithm: 'ecdsa-sha256', raw: true });
}

function crlSteps({ pckCrl, pckCrlChain, rootCrl }: Collateral): Step[] {
  const [authority, root] = pckCrlChain;
  return [['PCK CRL', pckCrl, authority], ['root CRL', rootCrl, root]].flatMap((entry) => {
    const [name, crl, issuer] = entry as [string, Collateral['pckCrl'], X509 | undefined];
    return issuer === undefined ? [] : [crlStep(name, crl, issuer)];
  });
}

const crlStep = (name: string, crl: Collateral['pckCrl'], issuer: X509): Step => signatureStep(name, {
  over: elsewhere('its body', crl.signedBytes), signature: elsewhere('its signature', crl.signature), key: issuer.key,
  signer: elsewhere(`public key of "${issuer.subject.commonName}"`, issuer.key.spki), algorithm: crl.algorithm,
});

function reportSteps({ report: bytes, collateral: texts }: SnpPart): Step[] {
  const report = parseSnpReport(bytes);
  const at = placer(bytes);
  const image = hashStep('image hash', 'sha256', [at('MEASUREMENT', report.measurement), ZEROS], null);
  if (texts === null) return [image];
  const { vek, ask, ark, crl } = parseSnpCollateral(texts);
  return [
    signatureStep('report signature', {
      over: at('report without signature', report.signedBytes), signature: elsewhere('R and S at 672 and 744, big-endian', report.signature), key: vek.key,
      signer: elsewhere(`public key of "${vek.subject.commonName}"`, vek.key.spki), algorithm: 'ecdsa-sha384', raw: true,
    }),
    ...chainSteps([vek, ask, ark]), crlStep('CRL', crl, ark), image,
  ];
}

/** For the JSON document: everything in hexadecimal. */
export function stepData(step: Step) {
  const piece = ({ what, offset, bytes }: Piece) => ({ what, offset, length: bytes.length, hex: toHex(bytes) });
  return {
    name: step.name, operation: step.operation, over: step.over.map(piece), digest: step.digest === null ? null : toHex(step.digest),
    against: step.against === null ? null : piece(step.against), key: step.key === null ? null : piece(step.key), holds: step.holds,
  };
}
