// Policies: what a peer must prove before anything is said to it (WIRE.md section 4, WIRE-2026-04.md section 7.5).
// Unlike the C++ programs, an empty allow-list admits nobody, evidence cannot be absent under `tee`, and fakes need a flag.
// Allow-lists are fixed, or the live lists of a root contract.
// Refuses policies that could not be meant: hashes of nothing in an allow-list, wrong sizes, fakes without the flag.
import { toHex } from '../core/bytes.ts';
import { ConfigError } from '../core/errors.ts';
import { FORBIDDEN_IMAGE_HASHES, IMAGE_HASH_BYTES } from './image-hash.ts';
import type { Role } from './peer.ts';
import { checkLocalNetwork } from './simulated.ts';
import type { LocalNetwork } from './simulated.ts';

/** Image hashes that a network allows for one role, 32 bytes each. Empty: every peer is refused. */
export interface AllowedHashes {
  readonly imageHashes: readonly Uint8Array[];
  /** Names this state of the lists: another one after every change of the root contract. */
  readonly generation: string;
}

/** The lists of a network that may change while connections last. */
export interface ImageLists {
  /** Throws NetworkError when nobody knows what is allowed now. */
  allowed(role: Role): AllowedHashes;
  /** Calls `listener` after each change. Returns how to stop listening. */
  onChange(listener: () => void): () => void;
}

/** Who is expected at the other end and which images may run there. */
export interface ExpectedImage {
  readonly role: Role;
  readonly imageHashes: readonly Uint8Array[] | ImageLists;
}

const isLive = (lists: ExpectedImage['imageHashes']): lists is ImageLists => 'allowed' in lists;

/** What is allowed now. Throws as ImageLists.allowed. */
export const allowedNow = ({ imageHashes, role }: ExpectedImage): AllowedHashes =>
  (isLive(imageHashes) ? imageHashes.allowed(role) : { imageHashes, generation: '' });

/** As ImageLists.onChange; fixed lists never change. */
export const onListChange = ({ imageHashes }: ExpectedImage, listener: () => void): (() => void) =>
  (isLive(imageHashes) ? imageHashes.onChange(listener) : () => undefined);

/** For a proxy's client port: a certificate is required, evidence is not looked at. */
export interface AnyPolicy {
  readonly kind: 'any';
}

/** For interoperability tests against the C++ test mode: proves nothing at all. */
export interface FakeTdxPolicy {
  readonly kind: 'fake_tdx';
  /** The explicit flag, to be set from a flag of the user and from nothing else. */
  readonly acceptFakeEvidence: true;
}

/** Families of evidence of real hardware. */
export const TEE_FAMILIES = ['tdx', 'sev-snp'] as const;
export type TeeFamily = (typeof TEE_FAMILIES)[number];

/** Real hardware: Intel TDX or AMD SEV-SNP. */
export interface TeePolicy extends ExpectedImage {
  readonly kind: 'tee';
  /** Which of them this role may show. Default: each. */
  readonly families?: readonly TeeFamily[];
}

/** One local network: its simulated evidence and no other evidence. */
export interface SimulatedPolicy extends ExpectedImage {
  readonly kind: 'simulated';
  readonly network: LocalNetwork;
}

export type Policy = AnyPolicy | FakeTdxPolicy | TeePolicy | SimulatedPolicy;
export type PolicyKind = Policy['kind'];

/** The names that both generations of the C++ router use, and ours. */
const KIND_BY_NAME = new Map<string, PolicyKind>([
  ['any', 'any'], ['fake_tdx', 'fake_tdx'], ['fake_tee', 'fake_tdx'], ['tdx', 'tee'], ['tee', 'tee'], ['simulated', 'simulated'],
]);

/** Kind of a policy name of a configuration. Throws ConfigError E_CONFIG. */
export function policyKindOf(name: string): PolicyKind {
  const kind = KIND_BY_NAME.get(name);
  if (kind === undefined) throw new ConfigError('E_CONFIG', `unknown attestation policy "${name}", expected one of ${[...KIND_BY_NAME.keys()].join(', ')}`);
  return kind;
}

/** Throws ConfigError E_CONFIG when the policy could not be meant. */
export function checkPolicy(policy: Policy): void {
  switch (policy.kind) {
    case 'any': return;
    case 'fake_tdx':
      if (!policy.acceptFakeEvidence) {
        throw new ConfigError('E_CONFIG', 'the attestation policy fake_tdx accepts evidence that anybody can make, expected the explicit flag for it');
      }
      return;
    case 'simulated':
      checkImageHashes(policy);
      try {
        checkLocalNetwork(policy.network);
      } catch (cause) {
        throw new ConfigError('E_CONFIG', `the local network of the attestation policy is unusable: ${String(cause)}`, { cause });
      }
      return;
    case 'tee':
      checkImageHashes(policy);
  }
}

/** Live lists are not under the user's control: what stands for nothing in them is refused where it is met (appraise.ts). */
function checkImageHashes({ imageHashes, role }: ExpectedImage): void {
  if (isLive(imageHashes)) return;
  for (const imageHash of imageHashes) {
    if (imageHash.length !== IMAGE_HASH_BYTES) {
      throw new ConfigError('E_CONFIG', `the allowed image hash ${toHex(imageHash)} of a ${role} has ${imageHash.length} bytes, expected ${IMAGE_HASH_BYTES}`);
    }
    const meaning = FORBIDDEN_IMAGE_HASHES.get(toHex(imageHash));
    if (meaning !== undefined) {
      throw new ConfigError('E_CONFIG', `the allowed image hash ${toHex(imageHash)} of a ${role} must never be listed: it stands for ${meaning}`, {
        hint: 'Remove it from the list: whoever presents it has measured nothing.',
      });
    }
  }
}
