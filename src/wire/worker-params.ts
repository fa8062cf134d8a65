// The parameters that a worker announces, checked (WIRE.md section 10, step 1). Refuses what is out of range, with the
// protocol's codes and texts where it has them.
import { RemoteError } from '../core/errors.ts';
import { BASE_FLAG } from './peer-info-codec.ts';
import { ERROR, PROTOCOL_VIOLATION } from './remote-codes.ts';
import type { WorkerParams } from './tl/types.ts';
import { chooseVersion, offeredRange } from './versions.ts';
import type { VersionRange } from './versions.ts';

/** Prices are below this, in thousandths. */
const COEFFICIENT_LIMIT = 1_000_000_000;

/** What a worker says in `worker.connectToProxy`, after the checks that need no port. */
export interface WorkerHello {
  readonly ownerAddress: string;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  /** Price in thousandths. */
  readonly coefficient: number;
  readonly proxyCount: number;
  readonly maxActiveRequests: number;
  readonly version: number;
  /** JSON text of the worker about its machine, not verified; null where none was sent. */
  readonly machineDescription: string | null;
}

export interface WorkerParamsRules {
  readonly isTest: boolean;
  readonly versions: VersionRange;
  /** Throws RemoteError when this full model name is not allowed. */
  checkModel(model: string): void;
}

/** The checks of WIRE.md section 10 step 1, in its order. Throws RemoteError. */
export function checkParams(params: WorkerParams, rules: WorkerParamsRules): WorkerHello {
  const refuse = (text: string): never => {
    throw new RemoteError(PROTOCOL_VIOLATION, text);
  };
  if ((params.flags & BASE_FLAG) === 0) throw new RemoteError(ERROR, 'too old worker');
  if (params.is_test !== rules.isTest) throw new RemoteError(ERROR, 'test mode mismatch');
  if (params.model === '') refuse('model is empty, expected a name');
  const coefficient = checkCoefficient(params.coefficient);
  const maxActiveRequests = params.max_active_requests ?? 0;
  const proxyCount = params.proxy_cnt ?? 0;
  if (maxActiveRequests < 1) refuse(`max_active_requests is ${maxActiveRequests}, expected at least 1`);
  if (proxyCount < 1) refuse(`proxy_cnt is ${proxyCount}, expected at least 1`);
  rules.checkModel(params.model);
  const version = chooseVersion(offeredRange(params), rules.versions);
  return {
    ownerAddress: params.worker_owner_address, model: params.model, coefficient, proxyCount, maxActiveRequests, version,
    machineDescription: params.machine_description_json ?? null,
  };
}

/** Throws RemoteError 621 outside 0 to 10^9 − 1. */
export function checkCoefficient(coefficient: number): number {
  if (coefficient < 0 || coefficient >= COEFFICIENT_LIMIT) {
    throw new RemoteError(PROTOCOL_VIOLATION, `coefficient is ${coefficient}, expected 0 to ${COEFFICIENT_LIMIT - 1}`);
  }
  return coefficient;
}
