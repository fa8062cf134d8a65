// Appraises genuine evidence against a policy: is it bound to this TLS key, is it the expected role, is the image allowed
// (WIRE.md section 4, "Runner checks"). Refuses hashes of nothing and an empty allow-list.
import { equalBytes, toHex } from '../core/bytes.ts';
import type { VerifiedEvidence } from './evidence.ts';
import { FORBIDDEN_IMAGE_HASHES } from './image-hash.ts';
import type { PassedCheck } from './peer.ts';
import { allowedNow } from './policy.ts';
import type { ExpectedImage } from './policy.ts';
import { refused } from './refusal.ts';
import { reportDataOf } from './report-data.ts';

/** Throws AttestationError unless the report data is SHA-512 of the certificate's key (32 bytes). */
export function appraiseKeyBinding(evidence: Pick<VerifiedEvidence, 'reportData'>, publicKey: Uint8Array): PassedCheck {
  const wanted = reportDataOf(publicKey);
  if (!equalBytes(evidence.reportData, wanted)) {
    throw refused({
      check: 'key-binding', seen: `report data ${toHex(evidence.reportData)}`, wanted: `SHA-512 of the TLS key, ${toHex(wanted)}`,
      meaning: 'the evidence was made for another key and may have been copied from another machine',
    });
  }
  return { name: 'key-binding', detail: `report data is SHA-512 of the TLS key ${toHex(publicKey)}` };
}

/** Throws AttestationError when the evidence states another role than the expected one. */
export function appraiseRole(evidence: Pick<VerifiedEvidence, 'role'>, expected: ExpectedImage): PassedCheck {
  if (evidence.role !== undefined && evidence.role !== expected.role) {
    throw refused({
      check: 'role', seen: `evidence of a ${evidence.role}`, wanted: `a ${expected.role}`,
      meaning: 'a program of one role must not stand in for the other',
      hint: 'Check that the address and port are those of the right program.',
    });
  }
  return { name: 'role', detail: evidence.role === undefined ? `${expected.role}, by its image` : expected.role };
}

/** Throws AttestationError unless the image hash is one of those allowed now, and always for a hash of nothing; else as ImageLists.allowed. */
export function appraiseImage({ imageHash }: Pick<VerifiedEvidence, 'imageHash'>, expected: ExpectedImage): PassedCheck {
  const { role } = expected;
  const seen = `image hash ${toHex(imageHash)}`;
  const nothing = FORBIDDEN_IMAGE_HASHES.get(toHex(imageHash));
  if (nothing !== undefined) {
    throw refused({ check: 'image', seen, wanted: 'the hash of a measured image', meaning: `it stands for ${nothing}` });
  }
  const { imageHashes } = allowedNow(expected);
  if (imageHashes.length === 0) {
    throw refused({
      check: 'image', seen, wanted: `an image that the network allows for a ${role}`, meaning: 'the list of allowed images is empty, so none is',
      hint: 'The network\'s owner has to allow an image first.',
    });
  }
  if (!imageHashes.some((allowed) => equalBytes(allowed, imageHash))) {
    throw refused({
      check: 'image', seen, wanted: `one of the ${imageHashes.length} that the network allows for a ${role}`,
      meaning: 'the peer runs a program that the network does not list',
    });
  }
  return { name: 'image', detail: `${toHex(imageHash)} is allowed for a ${role}` };
}
