// `cocoon network revoke KIND HASH`: an image or model that may no longer take part. Owner only.
import { changeHash, declareHashChange } from './hash-change.ts';
import type { Invocation } from './command.ts';

export const declare = declareHashChange;

export const run = (invocation: Invocation): Promise<void> => changeHash(invocation, false);
