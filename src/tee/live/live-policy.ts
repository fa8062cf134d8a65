// A policy document as it applies to peers of a network: the root contract's lists decide which images may run, so a family
// for which the document names none leaves the image to them; where it names some, both must allow it.
import type { PolicyDocument } from '../policy-fields.ts';
import { policyOfDocument } from '../policy-file.ts';
import type { AttestationPolicy } from '../policy-file.ts';

export interface LivePolicy {
  readonly policy: AttestationPolicy;
  /** The whole document as text, for keys of verdicts. */
  readonly text: string;
}

/** `name` is for messages. Throws ConfigError E_CONFIG for a policy that could not be meant. */
export function livePolicyOf(document: PolicyDocument, name: string): LivePolicy {
  const { tdx, 'sev-snp': snp } = document;
  const unnamed = (part: { readonly image_hashes: readonly string[]; readonly measurements: readonly unknown[] }): boolean =>
    part.image_hashes.length + part.measurements.length === 0;
  // Enclaves are no members of a network.
  const live: PolicyDocument = {
    ...document, accept: document.accept.filter((family) => family !== 'sgx'),
    tdx: { ...tdx, any_measurement: tdx.any_measurement || unnamed(tdx) },
    'sev-snp': { ...snp, any_measurement: snp.any_measurement || unnamed(snp) },
  };
  return { policy: policyOfDocument(live, name), text: JSON.stringify(live) };
}
