// The TLS identity of a running process: one key for its life, and a certificate that is made anew when half of its
// validity has passed (certificates live for a day, WIRE.md section 3). Evidence is collected for each certificate; the same
// key answers challenges for fresh evidence (fresh-attestation.ts).
import type { Clock } from '../core/clock.ts';
import { DEFAULT_LIFETIME_MS, makeCertificate } from './certificate-make.ts';
import { generateTlsKeys } from './tls-keys.ts';
import type { CertificateEvidence } from './certificate-evidence.ts';
import type { MadeCertificate } from './certificate-make.ts';
import type { Attester } from './fresh-attestation.ts';

/** A certificate and, where this side has evidence, what answers challenges for its key. */
export interface AttestedCertificate extends MadeCertificate {
  readonly attest?: Attester;
}

/** Clocks of peers may be behind this one by this much. */
const SKEW_MS = 5 * 60_000;
/** Longest delay that Node's timers take. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface TlsIdentitySource {
  /** Raw Ed25519 public key, 32 bytes; stays the same. */
  readonly publicKey: Uint8Array;
  /** The certificate for connections made now. */
  current(): AttestedCertificate;
  /** Ends the renewal. */
  close(): void;
}

/** Makes a key and its first certificate. `onError` hears of a renewal that failed; the old certificate serves until it expires. */
export async function createTlsIdentity(options: {
  readonly clock: Clock;
  evidence(publicKey: Uint8Array): CertificateEvidence | Promise<CertificateEvidence>;
  /** Makes what answers challenges for the key; left out where this side has no evidence. */
  attester?(publicKey: Uint8Array): Attester;
  readonly lifetimeMs?: number;
  onError?(error: unknown): void;
}): Promise<TlsIdentitySource> {
  const { clock, lifetimeMs = DEFAULT_LIFETIME_MS } = options;
  const keys = generateTlsKeys();
  const attest = options.attester?.(keys.publicKey);
  const make = async (): Promise<AttestedCertificate> => ({
    ...makeCertificate({ keys, evidence: await options.evidence(keys.publicKey), notBefore: clock.now() - SKEW_MS, lifetimeMs: lifetimeMs + SKEW_MS }),
    ...(attest !== undefined && { attest }),
  });
  let certificate = await make();
  const timer = setInterval(() => {
    make().then((made) => { certificate = made; }, (error: unknown) => options.onError?.(error));
  }, Math.min(lifetimeMs / 2, MAX_TIMER_MS));
  timer.unref();
  return { publicKey: keys.publicKey, current: () => certificate, close: () => clearInterval(timer) };
}
