// What the parts of a running proxy share.
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Accounts } from './accounts.ts';
import type { NodeRegistry } from './nodes.ts';
import type { Chooser } from './routing/chooser.ts';
import type { SealKeys } from './sealed-keys.ts';
import type { Pending } from './settlements.ts';

export interface ProxyDeps {
  readonly accounts: Accounts;
  readonly nodes: NodeRegistry;
  readonly chooser: Chooser;
  readonly sealKeys: SealKeys;
  /** Requests and their bookings that are under way. */
  readonly pending: Pending;
  readonly clock: Clock;
  readonly log: Log;
}
