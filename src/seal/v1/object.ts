// A JSON object of the network's own prompt encryption (WIRE-2026-04.md section 2.4) in the strict profile of its section 14:
// strings are sealed, names, numbers and shape stay readable and are not authenticated. Prefer the sealing of SPEC.md.
// Refuses plaintext strings, unknown versions, members twice, and messages of or for another key.
import { randomBytes } from 'node:crypto';
import { equalBytes, toHex } from '../../core/bytes.ts';
import { noPrivateKey, notAllFields, notEncrypted, publicKeyMismatch, senderMismatch, badMethod } from './errors.ts';
import { agree, messageSecret, parseKey, publicKeyOf } from './keys.ts';
import { isObject } from './json.ts';
import { openText, sealText } from './text.ts';
import type { Direction } from './keys.ts';
import type { Json, JsonObject } from './json.ts';

const VERSION = 'v1';
const NONCE_BYTES = 32;
/** Members with these names are left as they are, with everything in them, at every depth. */
const PLAIN = new Set([
  'is_encrypted', 'sender_public_key', 'receiver_public_key', 'encryption_nonce',
  'model', 'max_completion_tokens', 'max_tokens', 'max_coefficient', 'timeout', 'debug', 'enable_debug', 'request_guid',
]);
const HEADER = ['is_encrypted', 'sender_public_key', 'receiver_public_key', 'encryption_nonce'] as const;

function mapStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item: Json) => mapStrings(item, change));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, PLAIN.has(name) ? member : mapStrings(member, change)]));
}

/** `object` with every string sealed to `receiver` and the four header fields. `random` is for test vectors. */
export function sealObject(object: JsonObject, options: {
  /** Ed25519 seed of the sender, 32 bytes; a client's is fresh for each request. */
  readonly seed: Uint8Array;
  readonly receiver: Uint8Array;
  readonly from: Direction;
  random?(size: number): Uint8Array;
}): JsonObject {
  const { seed, receiver, from, random = randomBytes } = options;
  const nonce = Buffer.from(random(NONCE_BYTES)).toString('base64');
  const secret = messageSecret(agree(seed, receiver), nonce, from);
  return {
    ...mapStrings(object, (text) => sealText(secret, text, random)) as JsonObject,
    is_encrypted: VERSION, sender_public_key: toHex(publicKeyOf(seed)), receiver_public_key: toHex(receiver), encryption_nonce: nonce,
  };
}

/** True when any of the header fields is there: such an object must never be taken for plaintext. */
export const isSealedObject = (object: JsonObject): boolean => HEADER.some((name) => name !== 'receiver_public_key' && object[name] !== undefined);

export interface OpenedObject {
  /** The object without its header fields. */
  readonly object: JsonObject;
  /** Ed25519 public key, 32 bytes. */
  readonly sender: Uint8Array;
  /** As it stood; a receiver of several refuses one that it has seen. */
  readonly nonce: string;
}

/** What was sealed. Throws RemoteError with the network's codes. `expectedSender`: the only key that may have sealed it. */
export function openObject(object: JsonObject, options: { readonly seed: Uint8Array; readonly from: Direction; readonly expectedSender?: Uint8Array }): OpenedObject {
  const { seed, from, expectedSender } = options;
  const [version, senderText, receiverText, nonce] = HEADER.map((name) => object[name]);
  if (typeof version !== 'string' || typeof senderText !== 'string' || typeof receiverText !== 'string' || typeof nonce !== 'string') throw notAllFields();
  if (version !== VERSION) throw badMethod();
  const sender = parseKey(senderText);
  if (!equalBytes(parseKey(receiverText), publicKeyOf(seed))) throw publicKeyMismatch();
  if (expectedSender !== undefined && !equalBytes(sender, expectedSender)) throw senderMismatch();
  const secret = messageSecret(agree(seed, sender), nonce, from);
  const body = Object.fromEntries(Object.entries(object).filter(([name]) => !(HEADER as readonly string[]).includes(name)));
  return { object: mapStrings(body, (text) => openText(secret, text)) as JsonObject, sender, nonce };
}

/** A node's rule: a key comes with a sealed request and with no other (WIRE-2026-04.md section 2.6 step 4). Throws RemoteError 602. */
export function openRequestObject(object: JsonObject, seed: Uint8Array | null): OpenedObject | null {
  const sealed = isSealedObject(object);
  if (sealed && seed === null) throw noPrivateKey();
  if (!sealed && seed !== null) throw notEncrypted();
  return seed === null ? null : openObject(object, { seed, from: 'client' });
}
