// A request sealed to one node (SPEC.md section 5): one HPKE message over the whole request, authenticated together with every
// field that the proxy reads, so that a changed price, limit, model or receiver makes it unreadable.
// Refuses requests for another key, outside their time, or with any routing field changed.
import { toHex } from '../core/bytes.ts';
import { TAG_BYTES } from './hpke/aead.ts';
import { createReceiver, createSender } from './hpke/context.ts';
import { Encoder } from './encoding.ts';
import { SealError } from './errors.ts';
import { CLOCK_SKEW_S, KEY_ID_BYTES, recordHash } from './key-record.ts';
import { pad, PAD_LENGTH_BYTES, requestBucket, unpad } from './padding.ts';
import { answerKeys } from './answer.ts';
import type { AnswerKeys } from './answer.ts';
import type { KemKey } from './hpke/kem.ts';
import type { Suite } from './hpke/context.ts';
import type { SuiteId } from './suites.ts';

const INFO = Buffer.from('cocoon seal request 1\0');
const ROUTING = 'cocoon seal routing 1';
const REQUEST_ID = 32;
const PROXY_KEY = 32;

/** What the proxy sees and may not change. */
export interface Routing {
  /** 32 random bytes of the client. */
  readonly requestId: Uint8Array;
  readonly keyId: Uint8Array;
  readonly suite: SuiteId;
  /** Root contract, `workchain:hex`; empty on a network without one. */
  readonly root: string;
  readonly paramsVersion: number;
  /** Payment key of the proxy that the client is connected to, 32 bytes. */
  readonly proxyPublicKey: Uint8Array;
  /** The client's contract at this proxy, text as in the wire protocol. */
  readonly clientContract: string;
  /** Name that was asked for. */
  readonly model: string;
  readonly maxTokens: number;
  /** Thousandths. */
  readonly maxCoefficient: number;
  readonly timeoutMs: number;
  /** Milliseconds since the Unix epoch, by the client's clock. */
  readonly timestampMs: number;
}

/** The data that is authenticated with the request. */
export function encodeRouting(routing: Routing): Uint8Array {
  return new Encoder().text(ROUTING)
    .fixed(routing.requestId, REQUEST_ID).fixed(routing.keyId, KEY_ID_BYTES)
    .u16(routing.suite.kem).u16(routing.suite.kdf).u16(routing.suite.aead)
    .text(routing.root).u32(routing.paramsVersion).fixed(routing.proxyPublicKey, PROXY_KEY).text(routing.clientContract)
    .text(routing.model).u32(routing.maxTokens).u32(routing.maxCoefficient).u64(BigInt(routing.timeoutMs)).u64(BigInt(routing.timestampMs))
    .finish();
}

const infoOf = (record: Uint8Array): Uint8Array => new Uint8Array(Buffer.concat([INFO, recordHash(record)]));

export interface SealedRequest {
  /** Encapsulated key. */
  readonly enc: Uint8Array;
  readonly sealed: Uint8Array;
  /** For the answer; keep to this request. */
  readonly answer: AnswerKeys;
}

/** An encapsulation that is made and not used: what takes time is done before there is a request. */
export interface PreparedSeal {
  /** Seals `request` with everything in `routing`, which must be what is sent beside it. Once; RangeError after that. */
  seal(routing: Routing, request: Uint8Array): SealedRequest;
}

/** For the key `publicKey` of the record in `record` (its bytes). `random` is for test vectors. Throws SealError for a key that is none. */
export function prepareSeal(options: { readonly suite: Suite; readonly publicKey: Uint8Array; readonly record: Uint8Array; random?(size: number): Uint8Array }): PreparedSeal {
  const { suite, publicKey, record, random } = options;
  const sender = createSender(suite, publicKey, infoOf(record), random);
  const answer = answerKeys(suite.aead, sender, sender.enc);
  let used = false;
  return {
    seal(routing, request) {
      if (used) throw new RangeError('an encapsulation is used once');
      used = true;
      return { enc: sender.enc, sealed: sender.seal(encodeRouting(routing), pad(request, requestBucket)), answer };
    },
  };
}

/** Bytes that a request of `size` bytes has when it is sealed. */
export const sealedSize = (size: number): number => requestBucket(PAD_LENGTH_BYTES + size) + TAG_BYTES;

export interface OpenedRequest {
  readonly request: Uint8Array;
  readonly answer: AnswerKeys;
}

/** What was sealed. Throws SealError; says nothing about how far it came. `nowMs` is the node's clock. */
export function openRequest(options: {
  readonly suite: Suite;
  readonly key: KemKey;
  readonly record: Uint8Array;
  readonly routing: Routing;
  readonly enc: Uint8Array;
  readonly sealed: Uint8Array;
  readonly nowMs: number;
}): OpenedRequest {
  const { suite, key, record, routing, enc, sealed, nowMs } = options;
  const awayMs = Math.abs(nowMs - routing.timestampMs);
  if (awayMs > CLOCK_SKEW_S * 1000) throw new SealError(`request ${toHex(routing.requestId)} is ${Math.round(awayMs / 1000)} s away from this clock, expected at most ${CLOCK_SKEW_S}`);
  const receiver = createReceiver(suite, key, enc, infoOf(record));
  const request = unpad(receiver.open(encodeRouting(routing), sealed));
  return { request, answer: answerKeys(suite.aead, receiver, enc) };
}
