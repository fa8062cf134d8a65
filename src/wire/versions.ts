// Which version of the application protocol two ends speak (WIRE.md section 9.1, WIRE-2026-04.md section 1), and what
// each version adds. The proxy chooses; it refuses with 621 when the ranges do not meet. Numbers 0 to 4 are the
// network's; 5 to 8 are ours: 5 adds cancellation of one request, 6 fresh evidence of attested sides (fresh-attestation.ts), 7 a
// worker's question why it was or was not chosen, 8 requests sealed to one worker (SPEC.md).
// They are only ever chosen when both ends offer them.
import { NetworkError, RemoteError } from '../core/errors.ts';
import { PROTOCOL_VIOLATION } from './remote-codes.ts';

/** Inclusive range of protocol versions. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** What a proxy accepts: everything from the first version on. */
export const PROXY_VERSIONS: VersionRange = { min: 0, max: 8 };
/** What our client offers. The minimum stays at 1, so that proxies which only know 0 to 2 accept it. */
export const CLIENT_VERSIONS: VersionRange = { min: 1, max: 8 };
/** What our worker offers, for the same reason. */
export const WORKER_VERSIONS: VersionRange = { min: 1, max: 8 };

/** What a chosen version allows; each is false where the version is too low. */
export interface Capabilities {
  /** 1: `…Ex` requests and answers with final info, instead of cumulative counters in each answer. */
  readonly exAnswers: boolean;
  /** 2: start and end times in the final info. */
  readonly times: boolean;
  /** 3: `public_key` and `private_key` fields of the `…Ex` requests. */
  readonly promptKeys: boolean;
  /** 4: the worker's description of its machine. */
  readonly machineDescription: boolean;
  /** 5: `client.cancelQuery` and `proxy.cancelQuery`, answered by a final error 653 with what was used until then. */
  readonly cancellation: boolean;
  /** 6: `attest.challenge`, mandatory for every side with evidence. */
  readonly freshAttestation: boolean;
  /** 7: `cocoon.explainChoice` from a worker. */
  readonly choiceExplanation: boolean;
  /** 8: keys of workers, offers of them to clients, `client.runSealed` and `proxy.runSealed`. */
  readonly sealing: boolean;
}

export function capabilitiesOf(version: number): Capabilities {
  return {
    exAnswers: version >= 1,
    times: version >= 2,
    promptKeys: version >= 3,
    machineDescription: version >= 4,
    cancellation: version >= 5,
    freshAttestation: version >= 6,
    choiceExplanation: version >= 7,
    sealing: version >= 8,
  };
}

/** Flag bit of `client.params`, `worker.params` and `proxy.params` that says that version fields are present. */
export const VERSION_FLAG = 2;

interface OfferedVersions {
  readonly flags: number;
  readonly min_proto_version?: number;
  readonly max_proto_version?: number;
}

/** The range in the dialling side's parameters; 0..0 where they carry none. */
export function offeredRange(params: OfferedVersions): VersionRange {
  if ((params.flags & VERSION_FLAG) === 0) return { min: 0, max: 0 };
  return { min: params.min_proto_version ?? 0, max: params.max_proto_version ?? 0 };
}

/** The proxy's choice, min(remote max, own max). Throws RemoteError 621 when the ranges do not meet. */
export function chooseVersion(remote: VersionRange, own: VersionRange): number {
  if (remote.max < own.min || own.max < remote.min) {
    throw new RemoteError(PROTOCOL_VIOLATION, 'cannot choose common protocol version');
  }
  return Math.min(remote.max, own.max);
}

/** The version a proxy's parameters name; 0 where they name none. Throws NetworkError E_PROTOCOL when it was not offered. */
export function acceptedVersion(params: { readonly flags: number; readonly proto_version?: number }, own: VersionRange): number {
  const version = (params.flags & VERSION_FLAG) === 0 ? 0 : (params.proto_version ?? 0);
  if (version < own.min || version > own.max) {
    throw new NetworkError('E_PROTOCOL', `proxy chose protocol version ${version}, offered ${own.min} to ${own.max}`);
  }
  return version;
}
