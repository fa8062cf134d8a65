// What a role refuses to start with: an image or a model that the network's root contract does not list.
import { describe, expect, it } from '@jest/globals';
import { modelHash } from '../../src/commands/served-model.ts';
import { requireListedImage, requireListedModel } from '../../src/commands/paid-role.ts';
import type { PaidRole } from '../../src/commands/paid-role.ts';
import { toHex } from '../../src/core/bytes.ts';

const [listed, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
const config = { proxyHashes: new Set([toHex(listed)]), workerHashes: new Set([toHex(other)]) };
const MODEL = 'tiny@0123456789:abcdef';
const role = {
  network: { name: 'testnet' }, root: { current: () => ({ config }) }, modelAllowed: (name: string) => name === MODEL,
} as unknown as PaidRole;

describe('requireListedImage', () => {
  it('takes an image of the role\'s own list', () => {
    expect(() => requireListedImage(role, 'proxy', listed)).not.toThrow();
    expect(() => requireListedImage(role, 'worker', other)).not.toThrow();
  });

  it.each([['proxy', other], ['worker', listed]] as const)('refuses a %s image that is only on the other list, and says who allows it and how', (kind, image) => {
    expect(() => requireListedImage(role, kind, image)).toThrow(expect.objectContaining({
      code: 'E_NOT_LISTED', exitCode: 3, message: `the root contract of network testnet does not allow this ${kind} image ${toHex(image)}`,
      hint: `its owner allows it with: cocoon network allow ${kind} ${toHex(image)} --network testnet`,
    }));
  });
});

describe('requireListedModel', () => {
  it('takes a model by its full name, and refuses any other with the hash that has to be listed', () => {
    expect(() => requireListedModel(role, MODEL)).not.toThrow();
    const changed = `${MODEL}0`;
    expect(() => requireListedModel(role, changed)).toThrow(expect.objectContaining({
      code: 'E_NOT_LISTED', message: `the root contract of network testnet does not list the model ${changed}`,
      hint: `its owner allows it with: cocoon network allow model ${toHex(modelHash(changed))} --network testnet`,
    }));
  });
});
