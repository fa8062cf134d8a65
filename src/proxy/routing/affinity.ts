// Which node holds the beginning of which conversation. Bounded in entries and in time: what is forgotten costs one full
// reading of a prompt, nothing more. Keys are opaque.
import { BoundedMap, MAX_KEY_CHARS } from './bounded-map.ts';
import type { NodeId } from './chooser.ts';

const MAX_CONVERSATIONS = 100_000;
/** Engines drop what was not used for some minutes. */
const KEPT_MS = 30 * 60_000;

export interface Held {
  readonly node: NodeId;
  /** Bytes of the conversation that the node has read or written. */
  readonly bytes: number;
}

export class Conversations {
  readonly #held: BoundedMap<Held & { readonly atMs: number }>;

  constructor(limit = MAX_CONVERSATIONS) {
    this.#held = new BoundedMap(limit);
  }

  get size(): number {
    return this.#held.size;
  }

  /** Null when the conversation is new or its node has probably dropped it. */
  find(key: string | null, nowMs: number): Held | null {
    if (key === null || key.length > MAX_KEY_CHARS) return null;
    const held = this.#held.get(key);
    if (held === undefined) return null;
    if (nowMs - held.atMs <= KEPT_MS) return held;
    this.#held.delete(key);
    return null;
  }

  keep(key: string | null, node: NodeId, bytes: number, nowMs: number): void {
    if (key === null || key.length > MAX_KEY_CHARS) return;
    this.#held.set(key, { node, bytes, atMs: nowMs });
  }
}
