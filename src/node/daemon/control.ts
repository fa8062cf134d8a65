// What another process of this machine may ask a running node to do, apart from how it is asked (commands/admin.ts carries it over
// loopback HTTP with a token). Every action answers with the state that it led to.
import type { History } from './history.ts';
import type { NodeState } from './state.ts';

/** What a reload of the settings did. */
export interface Reloaded {
  /** Settings that have another value now and are in force: name, before, after. */
  readonly changed: readonly { readonly key: string; readonly before: string; readonly after: string }[];
  /** Settings that have another value now and need a restart. */
  readonly needRestart: readonly string[];
  /** Settings that a flag of `node start` overrules. */
  readonly overruled: readonly string[];
}

export interface NodeControl {
  state(): NodeState;
  /** What the page draws: samples of up to a day. */
  history(): History;
  /** Tells the proxies to send nothing more; what runs goes on. `keep`: also after a restart, until `resume`. Durable when it resolves. */
  drain(options: { readonly keep: boolean }): Promise<void>;
  /** Takes work again. */
  resume(): Promise<void>;
  /** Reads the settings anew. Throws ConfigError and changes nothing where one of them cannot be used. */
  reload(): Promise<Reloaded>;
  /** Ends the node in order. Returns at once. */
  stop(): void;
}
