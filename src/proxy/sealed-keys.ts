// Keys of connected nodes for sealed requests (SPEC.md section 10): which node a key names, and which are offered to clients. The
// proxy takes a key only from the node whose TLS key signed it, so that no node can take another's place; clients verify all of
// it again themselves. Refuses records of another node, model or time; keeps as many of a node as may be in use at once.
import { equalBytes, toHex } from '../core/bytes.ts';
import { verifySignature } from '../chain/ed25519.ts';
import { RemoteError } from '../core/errors.ts';
import { decodeKeyRecord, signedBytesOf } from '../seal/key-record.ts';
import { NOT_READY, PROTOCOL_VIOLATION } from '../wire/remote-codes.ts';
import { baseName } from './nodes.ts';
import type { KeyRecord } from '../seal/key-record.ts';
import type { SealKey, SealOffer } from '../wire/sealed.ts';
import type { Clock } from '../core/clock.ts';
import type { Node, NodeRegistry } from './nodes.ts';
import type { Chooser } from './routing/chooser.ts';

/** Records of one node: the present one, and older ones for which requests may be on their way. */
const MAX_PER_NODE = 4;
/** What an offer is ranked by: a request of this size says enough about which node is the better one. */
const TYPICAL = { promptBytes: 2_048, maxTokens: 512 };

interface Held {
  readonly node: Node;
  readonly key: SealKey;
  readonly record: KeyRecord;
}

export class SealKeys {
  readonly #byId = new Map<string, Held>();
  /** Newest last. */
  readonly #byNode = new Map<Node, Held[]>();

  /** Takes a node's key. Throws RemoteError 621 for one that is not this node's, SealError for one that is malformed. */
  add(node: Node, key: SealKey, nowS: number): void {
    const record = decodeKeyRecord(key.record);
    const refuse = (what: string): never => {
      throw new RemoteError(PROTOCOL_VIOLATION, `key record ${what}`);
    };
    if (!equalBytes(record.tlsPublicKey, node.link.peer.publicKey)) refuse('names another TLS key than this connection\'s');
    if (!verifySignature(record.tlsPublicKey, signedBytesOf(key.record), key.signature)) refuse('is not signed by the TLS key of this connection');
    if (record.model !== node.model) refuse(`is for the model ${record.model}, expected ${node.model}`);
    if (nowS >= record.notAfter) refuse('is over');
    const id = toHex(record.keyId);
    const known = this.#byId.get(id);
    // A node may be connected twice for a moment, when it makes a connection anew: the newer one gets its requests.
    if (known !== undefined && !equalBytes(known.record.tlsPublicKey, record.tlsPublicKey)) refuse('has the id of another node\'s');
    if (known !== undefined) this.#drop(known);
    const held: Held = { node, key, record };
    const own = this.#byNode.get(node) ?? [];
    own.push(held);
    this.#byNode.set(node, own);
    this.#byId.set(id, held);
    for (const old of own.filter((each, index) => nowS >= each.record.notAfter || index < own.length - MAX_PER_NODE)) this.#drop(old);
  }

  remove(node: Node): void {
    for (const held of this.#byNode.get(node) ?? []) this.#byId.delete(toHex(held.record.keyId));
    this.#byNode.delete(node);
  }

  /** Throws RemoteError 651, upon which a client seals to another node. */
  find(keyId: Uint8Array): { readonly node: Node; readonly key: SealKey } {
    const held = this.#byId.get(toHex(keyId));
    if (held === undefined) throw new RemoteError(NOT_READY, 'the node of this key is not connected, or the key is over');
    return held;
  }

  /** The newest key of each node that takes requests for `model`, in the order in which the proxy would choose them. */
  offers({ nodes, chooser, clock }: { readonly nodes: NodeRegistry; readonly chooser: Chooser; readonly clock: Clock }, model: string, limit: number): SealOffer[] {
    const nowMs = clock.now();
    const ranked = chooser.rank({ model, ...TYPICAL, maxCoefficient: Infinity, streamed: true, affinity: null, exclude: new Set() }, nodes.of(model) ?? [], nowMs);
    const offers: SealOffer[] = [];
    for (const id of ranked) {
      if (offers.length >= limit) break;
      const node = nodes.get(id);
      const held = node === null ? undefined : this.#byNode.get(node)?.at(-1);
      if (node === null || held === undefined || nowMs / 1000 >= held.record.notAfter || baseName(held.record.model) !== model) continue;
      const { record, signature } = held.key;
      offers.push({ record, signature, coefficient: node.coefficient, running: node.running, capacity: node.capacity });
    }
    return offers;
  }

  #drop(held: Held): void {
    const id = toHex(held.record.keyId);
    if (this.#byId.get(id) === held) this.#byId.delete(id);
    const own = this.#byNode.get(held.node) ?? [];
    const left = own.filter((each) => each !== held);
    if (left.length === 0) this.#byNode.delete(held.node);
    else this.#byNode.set(held.node, left);
  }
}
