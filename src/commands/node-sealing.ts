// A node's keys for sealed requests, and what their receipts say of its network: the bond contract of its owner, whose stake answers
// for them, and the price by the root contract as it is at that time.
import { Address } from '@ton/core';
import { bondDeployment } from '../chain/addresses.ts';
import { contractCode } from '../chain/code.ts';
import { ConfigError } from '../core/errors.ts';
import { createSealing } from '../node/sealed-keys.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { ReceiptTerms } from '../node/sealed-answer.ts';
import type { SealedDeps } from '../node/sealed-request.ts';
import type { OwnIdentity } from './attestation.ts';
import type { JoinedNetwork } from './network.ts';
import type { PaidRole } from './paid-role.ts';

const HASH_BYTES = 32;
/** Where there are no contracts. */
const NO_TERMS: ReceiptTerms = { globalId: 0, bond: new Address(0, Buffer.alloc(HASH_BYTES)), pricePerTokenNano: 0n, paramsVersion: 0 };

/** `owner`: address of the node's owner, text; null where nobody is paid. Throws ConfigError where this machine has no evidence. */
export async function openNodeSealing({ network: { paid }, identity, model, owner, clock, log }: {
  readonly network: JoinedNetwork;
  readonly identity: OwnIdentity;
  readonly model: string;
  readonly owner: string | null;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<Omit<SealedDeps, 'now'>> {
  const { imageHash } = identity;
  if (imageHash === null) throw new ConfigError('E_NO_TEE', 'a node without evidence has no keys that anybody could believe');
  const root = paid?.root.current().address.toRawString() ?? '';
  const sealing = await createSealing({ identity: () => identity.current(), imageHash, model, root, clock, log });
  return { sealing, terms: paid === null || owner === null ? () => NO_TERMS : termsOf(paid, owner) };
}

function termsOf({ root, network: { globalId } }: PaidRole, owner: string): () => ReceiptTerms {
  const bond = bondDeployment(contractCode('bond'), root.current().address, Address.parse(owner)).address;
  return () => {
    const { pricePerTokenNano, paramsVersion } = root.current().config.params;
    return { globalId, bond, pricePerTokenNano, paramsVersion };
  };
}
