// Machines with evidence under roots of our own, and the collateral of their manufacturers: what tests of connections between
// attested peers stand on. A clock that a test sets, services that it can stop, and quotes made for any report data.
import { createHash } from 'node:crypto';
import { NetworkError } from '../../src/core/errors.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import type { DocumentContent } from '../../src/tee/collateral/document.ts';
import type { DcapCollateralTexts } from '../../src/tee/collateral/intel.ts';
import type { CollateralSource } from '../../src/tee/collateral/source.ts';
import { gpuNonceOf } from '../../src/tee/collect/freshness.ts';
import { parseQuote } from '../../src/tee/dcap/parse-quote.ts';
import { freshReportData } from '../../src/tee/fresh-attestation.ts';
import type { Attester, FreshEvidence } from '../../src/tee/fresh-attestation.ts';
import type { FreshnessRule } from '../../src/tee/freshness.ts';
import { sevImageHash, tdxImageHash } from '../../src/tee/image-hash.ts';
import { EvidenceJudge } from '../../src/tee/live/judge.ts';
import { livePolicyOf } from '../../src/tee/live/live-policy.ts';
import { createVerifyHardware } from '../../src/tee/live/verify-hardware.ts';
import type { Role, VerifyPeer } from '../../src/tee/peer.ts';
import type { ImageLists, TeeFamily } from '../../src/tee/policy.ts';
import { PolicyDocument } from '../../src/tee/policy-fields.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import type { TlsIdentitySource } from '../../src/tee/tls-identity.ts';
import { forge } from './dcap-forge.ts';
import type { ForgeOptions } from './dcap-forge.ts';
import { DRIVER_RIM, FORGED_ROOTS, forgeDevice, forgeOcsp, forgeRim, PKI, VBIOS_RIM } from './nvidia-forge.ts';
import type { DeviceForgery } from './nvidia-forge.ts';
import { AUTHORITIES, forgeCollateral, forgeReport, GOOD_TCB, MEASUREMENT, rootsOf } from './snp-forge.ts';
import type { SnpForgery } from './snp-forge.ts';

/** Documents by id, as the services would give them. */
export class Shelf implements CollateralSource {
  readonly #documents = new Map<string, DocumentContent>();
  /** Ids that were asked for, one list a call. */
  readonly asked: string[][] = [];
  /** False: nobody answers. */
  up = true;
  /** Every answer waits for it. */
  held: Promise<unknown> = Promise.resolve();

  put(id: string, content: DocumentContent): void {
    this.#documents.set(id, content);
  }

  intel(forged: { readonly collateral: object }, fmspc = 'a0b0c0d0e0f0'): void {
    const texts = forged.collateral as DcapCollateralTexts;
    this.put(`intel-tdx-tcb-info-${fmspc}-standard`, { text: texts.tcb_info, signature: texts.tcb_info_signature, issuer_chain: texts.tcb_info_issuer_chain });
    this.put('intel-tdx-qe-identity-standard', { text: texts.qe_identity, signature: texts.qe_identity_signature, issuer_chain: texts.qe_identity_issuer_chain });
    this.put('intel-pck-crl-platform', { crl: texts.pck_crl, issuer_chain: texts.pck_crl_issuer_chain });
    this.put('intel-root-crl', { crl: texts.root_ca_crl });
  }

  amd(forgery: SnpForgery = {}): void {
    const { cert_chain, crl } = forgeCollateral(forgery);
    this.put('amd-vcek-genoa-cert-chain', { cert_chain });
    this.put('amd-vcek-genoa-crl', { crl });
  }

  nvidia(): void {
    this.put('nvidia-rim-NV_GPU_DRIVER_GH100_580.10.02', { rim: forgeRim(DRIVER_RIM) });
    this.put('nvidia-rim-NV_GPU_VBIOS_1010_0200_882_96005E0001', { rim: forgeRim(VBIOS_RIM) });
    for (const [der, issuer] of [[PKI.provisioner.der, PKI.deviceCa], [PKI.deviceCa.der, PKI.deviceRoot], [PKI.rimSigner.der, PKI.rimCa], [PKI.rimCa.der, PKI.rimRoot]] as const) this.ocsp(der, issuer);
  }

  ocsp(der: Uint8Array, issuer: Parameters<typeof forgeOcsp>[1]): void {
    const nonce = new Uint8Array(32).fill(7);
    const id = createHash('sha256').update(der).update(issuer.der).digest('hex').slice(0, 40);
    this.put(`nvidia-ocsp-${id}`, { response: Buffer.from(forgeOcsp(der, issuer, { nonce })).toString('hex'), nonce: Buffer.from(nonce).toString('hex') });
  }

  async get(specs: Parameters<CollateralSource['get']>[0]): Promise<DocumentContent[]> {
    this.asked.push(specs.map(({ id }) => id));
    await this.held;
    return specs.map(({ id, what }) => {
      const content = this.up ? this.#documents.get(id) : undefined;
      if (content === undefined) throw new NetworkError('E_COLLATERAL', `cannot get ${what}: the service gives no answer`);
      return content;
    });
  }

  async export(): Promise<void> {
    throw new Error('not in these tests');
  }
}

/** Lists that a test changes. */
export class Lists implements ImageLists {
  readonly #listeners = new Set<() => void>();
  hashes: Record<Role, Uint8Array[]>;
  generation = 1;

  constructor(hashes: Record<Role, Uint8Array[]>) {
    this.hashes = hashes;
  }

  allowed(role: Role) {
    return { imageHashes: this.hashes[role], generation: String(this.generation) };
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(hashes: Partial<Record<Role, Uint8Array[]>> = {}): void {
    this.hashes = { ...this.hashes, ...hashes };
    this.generation += 1;
    for (const listener of this.#listeners) listener();
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

/** A machine: evidence for any report data, and how it answers challenges. */
export interface TestMachine {
  readonly imageHash: Uint8Array;
  fresh(reportData: Uint8Array): FreshEvidence;
  /** Null: none. */
  gpus(nonce: Uint8Array, publicKey: Uint8Array): Uint8Array;
}

export function tdxMachine(options: ForgeOptions = {}): TestMachine {
  const quote = (reportData: Uint8Array): Uint8Array => forge({ ...options, td: { ...options.td, reportData } }).quote;
  const { body } = parseQuote(quote(new Uint8Array(64)));
  if (body.tee !== 'tdx') throw new TypeError('expected a TDX guest');
  return { imageHash: tdxImageHash(body.report), fresh: (reportData) => ({ family: 'tdx', quote: quote(reportData) }), gpus: () => new Uint8Array(0) };
}

export function snpMachine(forgery: SnpForgery = {}, shelf: Shelf | null = null, devices: readonly DeviceForgery[] = []): TestMachine {
  const { vek } = forgeCollateral(forgery);
  return {
    imageHash: sevImageHash(MEASUREMENT),
    fresh: (reportData) => ({ family: 'sev-snp', report: forgeReport({ ...forgery, patches: [[80, reportData], ...forgery.patches ?? []] }), vek: Buffer.from(vek) }),
    gpus(nonce, publicKey) {
      if (devices.length === 0) return new Uint8Array(0);
      const forged = devices.map((device) => forgeDevice({ nonce: gpuNonceOf(nonce, publicKey), ...device }));
      for (const { certificate } of forged) {
        const second = Buffer.from(certificate, 'base64').toString().split('-----END CERTIFICATE-----')[1]?.replace('-----BEGIN CERTIFICATE-----', '') ?? '';
        shelf?.ocsp(new Uint8Array(Buffer.from(second, 'base64')), PKI.provisioner);
      }
      return Buffer.from(JSON.stringify({ devices: forged, system: { cc_mode: 'on', dev_tools: 'off' } }));
    },
  };
}

export function certificateEvidence(fresh: FreshEvidence, publicKey: Uint8Array): CertificateEvidence {
  switch (fresh.family) {
    case 'tdx': return fresh;
    case 'simulated': return fresh;
    case 'sev-snp': return { family: 'sev-snp', report: fresh.report, reportData: reportDataOf(publicKey), vcekPem: fresh.vek };
  }
}

/** Answers as the specification says. */
export const attesterOf = (machine: TestMachine, publicKey: Uint8Array): Attester => async (question) => {
  const gpus = machine.gpus(question.nonce, publicKey);
  return { evidence: machine.fresh(freshReportData({ ...question, publicKey }, gpus)), gpus };
};

export interface IdentityOptions {
  /** Null: a certificate without evidence. */
  readonly machine: TestMachine | null;
  readonly nowMs: () => number;
  /** In place of the machine's own for the certificate. */
  readonly evidence?: (publicKey: Uint8Array) => CertificateEvidence;
  /** In place of the machine's own; null: answers no challenge. */
  readonly attester?: ((publicKey: Uint8Array) => Attester) | null;
}

export async function hardwareIdentity({ machine, nowMs, evidence, attester }: IdentityOptions): Promise<TlsIdentitySource> {
  const own = machine === null ? undefined : (publicKey: Uint8Array) => attesterOf(machine, publicKey);
  const answers = attester === null ? undefined : attester ?? own;
  const identity = await createTlsIdentity({
    clock: { now: nowMs }, ...(answers !== undefined && { attester: answers }),
    evidence: evidence ?? ((publicKey) => (machine === null ? { family: 'none' } : certificateEvidence(machine.fresh(reportDataOf(publicKey)), publicKey))),
  });
  identity.close();
  return identity;
}

export interface VerifierOptions {
  readonly shelf: Shelf;
  readonly lists: ImageLists;
  readonly nowMs: () => number;
  /** Fields of a policy file. */
  readonly policy?: object;
  readonly freshness?: FreshnessRule;
  readonly families?: readonly TeeFamily[];
  readonly maxAgeMs?: number;
}

/** A policy under which the genuine SEV-SNP machine passes. */
export const SNP_POLICY = { 'sev-snp': { minimum_tcb: GOOD_TCB } };

/** Judges by the roots of the forges. */
export function verifier({ shelf, lists, nowMs, policy = {}, freshness, families, maxAgeMs }: VerifierOptions): { judge: EvidenceJudge; verify(role: Role): VerifyPeer } {
  const clock = { now: nowMs };
  const judge = new EvidenceJudge({
    clock, source: shelf, policy: livePolicyOf(PolicyDocument.parse({ version: 1, ...policy }), 'test'),
    roots: { intel: forge().root, amd: rootsOf(AUTHORITIES, 'Genoa'), nvidia: FORGED_ROOTS },
  });
  return {
    judge,
    verify: (role) => createVerifyHardware(
      { kind: 'tee', role, imageHashes: lists, ...(families !== undefined && { families }) },
      { clock, judge, ...(freshness !== undefined && { freshness }), ...(maxAgeMs !== undefined && { maxAgeMs }) },
    ),
  };
}
