// `cocoon network allow KIND HASH`: an image or model that may take part. Owner only.
import { changeHash, declareHashChange } from './hash-change.ts';
import type { Invocation } from './command.ts';

export const declare = declareHashChange;

export const run = (invocation: Invocation): Promise<void> => changeHash(invocation, true);
