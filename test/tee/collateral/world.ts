// What the collateral tests share: a scripted server, a clock that only moves when somebody sleeps, a cache in a fresh folder,
// and the answers that Intel would give for the synthetic platform.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { ErrorCode } from '../../../src/core/codes.ts';
import { CocoonError } from '../../../src/core/errors.ts';
import type { Log } from '../../../src/core/log.ts';
import type { DcapCollateralTexts, DcapQuestion } from '../../../src/tee/collateral/intel.ts';
import { createCollateralSource } from '../../../src/tee/collateral/source.ts';
import type { CollateralSource, CollateralSourceOptions } from '../../../src/tee/collateral/source.ts';
import { CollateralServer } from '../../fakes/collateral-server.ts';
import type { ScriptedAnswer } from '../../fakes/collateral-server.ts';
import { jsonVector } from '../vectors.ts';

export class World {
  readonly server: CollateralServer;
  readonly folder: string;
  nowMs: number;
  /** Every wait that was asked for, in milliseconds. */
  readonly slept: number[] = [];
  readonly warnings: string[] = [];

  private constructor(server: CollateralServer, folder: string, nowMs: number) {
    this.server = server;
    this.folder = folder;
    this.nowMs = nowMs;
  }

  static async start(nowMs: number): Promise<World> {
    return new World(await CollateralServer.start(), await mkdtemp(join(tmpdir(), 'cocoon-collateral-')), nowMs);
  }

  async close(): Promise<void> {
    await this.server.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  get cacheFolder(): string {
    return join(this.folder, 'cache');
  }

  source(options: Partial<CollateralSourceOptions> = {}): CollateralSource {
    const log: Log = { debug() {}, info() {}, error() {}, warn: (message) => { this.warnings.push(message); } };
    return createCollateralSource({
      cacheFolder: this.cacheFolder, http: this.server.http, clock: { now: () => this.nowMs }, log,
      sleep: async (ms) => { this.slept.push(ms); this.nowMs += ms; }, ...options,
    });
  }
}

interface SyntheticCase {
  readonly now: number;
  readonly quote_hex: string;
  readonly collateral: DcapCollateralTexts;
}

export const CASE = jsonVector('attestation/tdx-synthetic/valid_v4.json') as SyntheticCase;
export const CASE_NOW_MS = CASE.now * 1000;
export const QUESTION: DcapQuestion = { tee: 'tdx', fmspc: 'a0b0c0d0e0f0', ca: 'platform' };

const API = 'https://api.trustedservices.intel.com';
export const URLS = {
  tcb: `${API}/tdx/certification/v4/tcb?fmspc=A0B0C0D0E0F0&update=standard`,
  qe: `${API}/tdx/certification/v4/qe/identity?update=standard`,
  pckCrl: `${API}/sgx/certification/v4/pckcrl?ca=platform&encoding=der`,
  rootCrl: 'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der',
} as const;

const json = (name: string, chainHeader: string, text: string, signature: string, chain: string): ScriptedAnswer => ({
  headers: { 'content-type': 'application/json', [chainHeader]: encodeURIComponent(chain) }, body: `{"${name}":${text},"signature":"${signature}"}`,
});
const { collateral } = CASE;

export const ANSWERS = {
  tcb: json('tcbInfo', 'TCB-Info-Issuer-Chain', collateral.tcb_info, collateral.tcb_info_signature, collateral.tcb_info_issuer_chain),
  qe: json('enclaveIdentity', 'SGX-Enclave-Identity-Issuer-Chain', collateral.qe_identity, collateral.qe_identity_signature, collateral.qe_identity_issuer_chain),
  pckCrl: {
    headers: { 'content-type': 'application/pkix-crl', 'SGX-PCK-CRL-Issuer-Chain': encodeURIComponent(collateral.pck_crl_issuer_chain) },
    body: Buffer.from(collateral.pck_crl, 'hex'),
  },
  rootCrl: { headers: { 'content-type': 'application/octet-stream' }, body: Buffer.from(collateral.root_ca_crl, 'hex') },
} as const satisfies Record<string, ScriptedAnswer>;

/** Scripts the four answers of Intel. */
export function scriptIntel(server: CollateralServer): void {
  for (const name of ['tcb', 'qe', 'pckCrl', 'rootCrl'] as const) server.on(URLS[name], ANSWERS[name]);
}

/** Runs `action`, which must reject with this code and a message that matches; returns the error. */
export async function expectCode(action: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<CocoonError> {
  const error: unknown = await action.then(() => undefined, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(CocoonError);
  if (!(error instanceof CocoonError)) throw new TypeError('not a CocoonError');
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  return error;
}
