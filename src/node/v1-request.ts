// Requests in the network's own prompt encryption, version 1 (WIRE-2026-04.md sections 2.6 to 2.8, strict profile of section 14): opened with
// the private key that a proxy sends beside them, answered value by value under the same key. The key is neither kept nor logged.
// Refuses a sealed request without a key, a key without a sealed request, and everything that the strict profile refuses.
import { RemoteError } from '../core/errors.ts';
import { parseStrictObject } from '../seal/v1/json.ts';
import { isSealedObject, openRequestObject, sealObject } from '../seal/v1/object.ts';
import type { AnswerSink, FinalInfo, HttpHead } from '../wire/answer.ts';

/** Members that only a sealed request has. */
const MARKS = ['"is_encrypted"', '"sender_public_key"', '"encryption_nonce"'].map((mark) => Buffer.from(mark));
const MAX_DOCUMENT_BYTES = 64 << 20;
const NO_BYTES = new Uint8Array(0);
const DONE = 'data: [DONE]';
const DATA = 'data: ';

export interface OpenedV1 {
  /** The body in the clear, without the fields of the scheme. */
  readonly payload: Uint8Array;
  /** Seals what is written to it. */
  sink(sink: AnswerSink): AnswerSink;
}

/** Null for a request in the clear. Throws RemoteError with the network's codes and texts. */
export function openV1(payload: Uint8Array, privateKey: Uint8Array | null): OpenedV1 | null {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (privateKey === null && !MARKS.some((mark) => bytes.includes(mark))) return null;
  try {
    const object = parseStrictObject(payload);
    if (privateKey === null && !isSealedObject(object)) return null;
    const opened = openRequestObject(object, privateKey);
    if (opened === null || privateKey === null) return null;
    const { sender } = opened;
    return { payload: Buffer.from(JSON.stringify(opened.object)), sink: (sink) => new V1Sink(sink, { seed: privateKey, receiver: sender }) };
  } catch (error) {
    if (error instanceof RemoteError) throw new RemoteError(error.remoteCode, `worker: invalid http request: ${error.remoteMessage}`, { cause: error });
    throw error;
  }
}

class V1Sink implements AnswerSink {
  readonly #sink: AnswerSink;
  readonly #keys: { readonly seed: Uint8Array; readonly receiver: Uint8Array };
  #isStream = false;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;

  constructor(sink: AnswerSink, keys: { readonly seed: Uint8Array; readonly receiver: Uint8Array }) {
    this.#sink = sink;
    this.#keys = keys;
  }

  async head(head: HttpHead): Promise<void> {
    this.#isStream = head.headers.some(({ name, value }) => name.toLowerCase() === 'content-type' && value.toLowerCase().startsWith('text/event-stream'));
    const payload = head.payload.byteLength === 0 ? NO_BYTES : this.#take(head.payload);
    await this.#sink.head({ ...head, payload });
  }

  async part(bytes: Uint8Array): Promise<void> {
    const sealed = this.#take(bytes);
    if (sealed.byteLength > 0) await this.#sink.part(sealed);
  }

  async end(info: FinalInfo, bytes: Uint8Array = NO_BYTES): Promise<void> {
    const taken = this.#take(bytes);
    const rest = Buffer.concat(this.#pending);
    const last = rest.byteLength === 0 ? NO_BYTES : Buffer.from(this.#isStream ? this.#event(rest.toString('utf8')) : `${this.#seal(rest)}\n`);
    await this.#sink.end(info, Buffer.concat([taken, last]));
  }

  fail(code: number, message: string, info?: FinalInfo): Promise<void> {
    return this.#sink.fail(code, message, info);
  }

  /** Sealed: the events that are whole; of a document nothing before its end. */
  #take(bytes: Uint8Array): Uint8Array {
    this.#pending.push(bytes.slice());
    this.#pendingBytes += bytes.byteLength;
    if (this.#pendingBytes > MAX_DOCUMENT_BYTES) throw new RemoteError(0, 'worker: the answer is too long to be sealed');
    if (!this.#isStream) return NO_BYTES;
    const all = Buffer.concat(this.#pending);
    const end = all.lastIndexOf('\n\n');
    if (end < 0) return NO_BYTES;
    const rest = all.subarray(end + 2);
    this.#pending = rest.byteLength === 0 ? [] : [rest];
    this.#pendingBytes = rest.byteLength;
    return Buffer.from(all.toString('utf8', 0, end).split('\n\n').map((event) => this.#event(event)).join(''));
  }

  #event(event: string): string {
    const text = event.trim();
    if (text === '') return '';
    return text === DONE || !text.startsWith(DATA) ? `${text}\n\n` : `${DATA}${this.#seal(Buffer.from(text.slice(DATA.length)))}\n\n`;
  }

  #seal(value: Uint8Array): string {
    return JSON.stringify(sealObject(parseStrictObject(value), { ...this.#keys, from: 'worker' }));
  }
}
