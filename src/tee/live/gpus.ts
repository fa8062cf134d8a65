// Judges the GPUs that come with fresh evidence of their machine (fresh-attestation.ts): devices as NVIDIA's tools write them,
// asked with the nonce of this connection, manifests and OCSP answers from the collateral at hand. Where the policy counts no
// GPUs, those that are shown must be genuine, and their number is a fact for the reader.
import type { Clock } from '../../core/clock.ts';
import { assembleGpuCollateral, rimIdsOf } from '../collateral/gpu.ts';
import { fieldOf, jsonObjectOf, listField } from '../dcap/json-reader.ts';
import { MAX_GPUS_BYTES } from '../fresh-attestation.ts';
import { MAX_DEVICES, parseDevice, parseNvidiaBundle } from '../nvidia/bundle.ts';
import type { NvidiaDevice } from '../nvidia/bundle.ts';
import { judgeNvidia } from '../nvidia/judge.ts';
import type { NvidiaPolicy } from '../nvidia/policy.ts';
import { kindOf } from '../nvidia/roots.ts';
import type { NvidiaRoots } from '../nvidia/roots.ts';
import { malformed, refused } from '../refusal.ts';
import { refusalOf } from '../verdict.ts';
import type { Verdict } from '../verdict.ts';
import { verdictKey } from '../verdict-cache.ts';
import type { HeldCollateral } from './held-collateral.ts';

export interface GpuQuestion {
  /** `gpus` of a fresh answer, not empty. */
  readonly gpus: Uint8Array;
  /** That every device must have been asked with, 32 bytes. */
  readonly nonce: Uint8Array;
}

export interface GpuPorts {
  readonly held: HeldCollateral;
  readonly clock: Clock;
  /** Null: the policy accepts no GPUs. */
  readonly policy: NvidiaPolicy | null;
  readonly roots: NvidiaRoots | undefined;
  /** Runs work that holds the event loop for milliseconds. */
  turn<T>(work: () => T): Promise<T>;
}

/** A verdict that is a pass. Throws AttestationError, or as HeldCollateral.get. */
export async function judgeGpus({ gpus, nonce }: GpuQuestion, { held, clock, policy, roots, turn }: GpuPorts, signal: AbortSignal): Promise<Verdict> {
  if (policy === null) {
    throw refused({ check: 'gpu-evidence', seen: 'NVIDIA devices', wanted: 'a kind that the policy accepts', meaning: 'the policy is for machines without GPUs' });
  }
  const { bundle, devices } = await turn(() => parseDevices(gpus));
  const { value } = await held.get(questionOf(devices), (source) => assembleGpuCollateral(source, devices), signal);
  return turn(() => {
    const gpuCount = policy.gpuCount ?? devices.filter(({ architecture }) => kindOf(architecture) === 'gpu').length;
    const { verdict } = judgeNvidia({
      ...parseNvidiaBundle({ ...bundle, collateral: value }), policy: { ...policy, gpuCount }, nowMs: clock.now(), nonce, ...(roots !== undefined && { roots }),
    });
    const refusal = refusalOf(verdict);
    if (refusal !== null) throw refusal;
    return verdict;
  });
}

function parseDevices(gpus: Uint8Array) {
  const what = 'the fresh GPU evidence';
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(gpus);
  } catch (cause) {
    throw malformed(`${what} is not UTF-8 text`, cause);
  }
  const bundle = jsonObjectOf(text, what, MAX_GPUS_BYTES);
  // The peer has no say in what NVIDIA states about its devices.
  if (fieldOf(bundle, 'collateral') !== undefined) throw malformed(`${what} has the member "collateral", expected devices and system only`);
  const devices = listField(bundle, 'devices', what, MAX_DEVICES).map((device) => parseDevice(device));
  if (devices.length === 0) throw malformed(`${what} has no devices, expected at least one`);
  return { bundle, devices };
}

/** Devices with the same chains and versions need the same documents. */
function questionOf(devices: readonly NvidiaDevice[]): string {
  const parts = devices.map((device) => verdictKey(rimIdsOf(device).join(' '), ...device.chain.slice(1).map(({ der }) => der)));
  return `nvidia ${parts.join(' ')}`;
}
