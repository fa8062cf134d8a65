// A request in the network's own prompt encryption, version 1, in the strict profile of WIRE-2026-04.md section 14: for proxies that know
// no better. It keeps prompts from hosts and the network; any attested proxy or node of the network can read them. A fresh key for
// each request; every answer line must be sealed, by that key's owner to this request's, with a nonce of its own; a stream ends with its end.
import { randomBytes } from 'node:crypto';
import { toHex } from '../core/bytes.ts';
import { NetworkError, RemoteError } from '../core/errors.ts';
import { createSseParser } from '../openai/sse-parser.ts';
import { SealError } from '../seal/errors.ts';
import { parseStrictObject } from '../seal/v1/json.ts';
import { openObject, sealObject } from '../seal/v1/object.ts';
import { decodeBoxed, encodeBoxed } from '../wire/tl/codec.ts';
import type { AnswerEvent, AskRequest, WireSession } from '../wire/client-session.ts';

/** A key of the root contract's list. */
export interface V1Key {
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly keyType: number;
  /** Unix seconds. */
  readonly expireAt: number;
}

const PROMPT_KEY = 1;
/** Its private half is public (WIRE-2026-04.md section 3.3). */
const TEST_KEY = 'fb67d0fcd338f20e0d4957d9e82adc101d2e3513a448a3ab46052ee1b88c5818';
const SEED_BYTES = 32;
const OK = 200;
const DONE = '[DONE]';
/** Longest value of an answer that is not a stream of events. */
const MAX_VALUE_BYTES = 16 << 20;
/** Hops before the node have no business with these. */
const PRIVATE_HEADERS = new Set(['authorization', 'cookie', 'content-length']);

/** The key with the latest end that outlasts a request of `timeoutMs`; null without one. */
export function usableKey(keys: readonly V1Key[], nowMs: number, timeoutMs: number): Uint8Array | null {
  const untilS = (nowMs + timeoutMs) / 1000;
  const usable = keys.filter(({ publicKey, keyType, expireAt }) => keyType === PROMPT_KEY && expireAt > untilS && toHex(publicKey) !== TEST_KEY);
  return usable.toSorted((a, b) => b.expireAt - a.expireAt)[0]?.publicKey ?? null;
}

/** As ClientSession.ask. Also throws SealError. */
export async function* askV1(session: Pick<WireSession, 'ask'>, key: Uint8Array, request: AskRequest): AsyncGenerator<AnswerEvent, void, undefined> {
  const seed = randomBytes(SEED_BYTES);
  try {
    const opener = new V1Opener(seed, key);
    for await (const event of session.ask({ ...request, query: sealQuery(request.query, seed, key), publicKey: key })) {
      if (event.kind === 'end') {
        const rest = opener.end();
        if (rest.byteLength > 0) yield { kind: 'part', bytes: rest };
        yield { ...event, proof: { scheme: 'v1', receipt: null, node: null } };
        continue;
      }
      if (event.kind === 'head') {
        const { payload, ...head } = event.head;
        opener.begin(head.status, head.headers.find(({ name }) => name.toLowerCase() === 'content-type')?.value ?? '');
        yield { kind: 'head', head: { ...head, payload: new Uint8Array(0) } };
        const first = opener.push(payload);
        if (first.byteLength > 0) yield { kind: 'part', bytes: first };
        continue;
      }
      const bytes = opener.push(event.bytes);
      if (bytes.byteLength > 0) yield { kind: 'part', bytes };
    }
  } finally {
    seed.fill(0);
  }
}

function sealQuery(query: Uint8Array, seed: Uint8Array, receiver: Uint8Array): Uint8Array {
  const http = decodeBoxed(query);
  if (http._ !== 'http.request') throw new NetworkError('E_PROTOCOL', `query carries ${http._}, expected http.request`);
  const payload = Buffer.from(JSON.stringify(sealObject(parseStrictObject(http.payload), { seed, receiver, from: 'client' })));
  const headers = http.headers.filter(({ name }) => !PRIVATE_HEADERS.has(name.toLowerCase()));
  return encodeBoxed({ ...http, headers: [...headers, { _: 'http.header', name: 'Content-Length', value: String(payload.byteLength) }], payload });
}

class V1Opener {
  readonly #seed: Uint8Array;
  readonly #sender: Uint8Array;
  readonly #nonces = new Set<string>();
  readonly #sse = createSseParser();
  #isStream = false;
  #status = 0;
  #values = 0;
  #done = false;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(seed: Uint8Array, sender: Uint8Array) {
    this.#seed = seed;
    this.#sender = sender;
  }

  begin(status: number, contentType: string): void {
    this.#status = status;
    this.#isStream = contentType.toLowerCase().startsWith('text/event-stream');
  }

  /** What these bytes complete, opened. */
  push(bytes: Uint8Array): Uint8Array {
    if (bytes.byteLength === 0) return bytes;
    return this.#isStream ? Buffer.from(this.#events(bytes)) : this.#lines(bytes);
  }

  /** What was left. Throws SealError for an answer that was cut. */
  end(): Uint8Array {
    if (this.#isStream) {
      this.#sse.end();
      if (!this.#done) throw new SealError('the stream ended before its last event: it was cut');
      return new Uint8Array(0);
    }
    const rest = this.#pendingBytes === 0 ? new Uint8Array(0) : Buffer.from(this.#open(Buffer.concat(this.#pending)));
    // A refusal may have no body; an answer has one.
    if (this.#values === 0 && this.#status === OK) throw new SealError('the answer ended before it began: it was cut');
    return rest;
  }

  #events(bytes: Uint8Array): string {
    let opened = '';
    for (const { data } of this.#sse.push(bytes)) {
      if (this.#done) throw new SealError('the stream goes on after its last event');
      this.#done = data === DONE;
      opened += `data: ${this.#done ? DONE : this.#open(Buffer.from(data))}\n\n`;
    }
    return opened;
  }

  /** One value a line. */
  #lines(bytes: Uint8Array): Uint8Array {
    const end = bytes.lastIndexOf(0x0a);
    if (end < 0) {
      this.#keep(bytes);
      return new Uint8Array(0);
    }
    const lines = Buffer.concat([...this.#pending, bytes.subarray(0, end)]).toString('utf8').split('\n').filter((line) => line.trim() !== '');
    this.#pending = [];
    this.#pendingBytes = 0;
    if (end + 1 < bytes.byteLength) this.#keep(bytes.subarray(end + 1));
    return Buffer.from(lines.map((line) => this.#open(Buffer.from(line))).join('\n'));
  }

  #keep(bytes: Uint8Array): void {
    this.#pendingBytes += bytes.byteLength;
    if (this.#pendingBytes > MAX_VALUE_BYTES) throw new SealError(`a value of the answer has more than ${MAX_VALUE_BYTES} bytes`);
    this.#pending.push(bytes.slice());
  }

  #open(value: Uint8Array): string {
    try {
      const { object, nonce } = openObject(parseStrictObject(value), { seed: this.#seed, from: 'worker', expectedSender: this.#sender });
      if (this.#nonces.has(nonce)) throw new SealError('a part of the answer came twice');
      this.#nonces.add(nonce);
      this.#values += 1;
      return JSON.stringify(object);
    } catch (error) {
      throw error instanceof RemoteError ? new SealError(`a part of the answer is not sealed as it must be: ${error.remoteMessage}`, error) : error;
    }
  }
}
