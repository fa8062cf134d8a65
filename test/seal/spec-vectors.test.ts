// The vectors of SPEC.md, for other implementations: fixed keys and randomness, every intermediate value. UPDATE_VECTORS=1 writes them.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { createAnswerOpener, createAnswerSealer } from '../../src/seal/answer.ts';
import { recordQuestion } from '../../src/seal/evidence.ts';
import { decodeKeyRecord, encodeKeyRecord, recordHash, signedBytesOf, verifyKeyRecord } from '../../src/seal/key-record.ts';
import { receiptRequestId } from '../../src/seal/receipt.ts';
import { encodeRouting, openRequest, prepareSeal } from '../../src/seal/request.ts';
import { HYBRID_SUITE, loadSuite, MANDATORY_SUITE } from '../../src/seal/suites.ts';
import type { AnswerChunk } from '../../src/seal/answer.ts';
import { bytes, EXPECTED, FACTS, NOW_S, routingOf, tls } from './world.ts';

const FILE = new URL('../vectors/seal/seal.json', import.meta.url);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const REQUEST = text('{"model":"cocoon-tiny","messages":[{"role":"user","content":"hello"}],"max_tokens":100}');
const CHUNKS: readonly AnswerChunk[] = [
  { kind: 'head', status: 200, reason: 'OK', headers: [{ name: 'Content-Type', value: 'application/json' }] },
  { kind: 'body', bytes: text('{"choices":[]}') },
  { kind: 'end', usage: { prompt: 5n, cached: 0n, completion: 7n, reasoning: 0n, total: 12n }, receipt: new Uint8Array(0) },
];

async function make(): Promise<Record<string, unknown>> {
  const suites = await Promise.all([HYBRID_SUITE, MANDATORY_SUITE].map(async (id) => {
    const suite = await loadSuite(id);
    if (suite === null) throw new Error('suite');
    const seed = bytes(suite.kem.seedBytes, `seed ${suite.kem.name}`);
    return { id, suite, seed, key: suite.kem.keyOf(seed) };
  }));
  const record = encodeKeyRecord({
    ...FACTS, keyId: bytes(16, 'key id'), notBefore: NOW_S - 60, notAfter: NOW_S + 2400,
    suites: suites.map(({ id, key }) => ({ ...id, publicKey: key.publicKey })),
  });
  const signature = tls.sign(signedBytesOf(record));
  expect(verifyKeyRecord({ record, signature }, EXPECTED).suites).toHaveLength(2);
  return {
    about: 'SPEC.md: sealed requests and answers. Hexadecimal; secrets are of these vectors only.',
    record: toHex(record), recordSignature: toHex(signature), recordHash: toHex(recordHash(record)), evidenceNonce: toHex(recordQuestion(decodeKeyRecord(record)).nonce), now: NOW_S,
    request: toHex(REQUEST),
    cases: suites.map(({ id, suite, seed, key }) => {
      const routing = routingOf(bytes(16, 'key id'), id);
      const randomness = bytes(suite.kem.randomnessBytes, `encapsulation ${suite.kem.name}`);
      const { enc, sealed, answer } = prepareSeal({ suite, publicKey: key.publicKey, record, random: () => randomness }).seal(routing, REQUEST);
      const opened = openRequest({ suite, key, record, routing, enc, sealed, nowMs: NOW_S * 1000 });
      expect(opened.request).toEqual(REQUEST);
      const nonce = bytes(16, 'answer nonce');
      const sealer = createAnswerSealer(opened.answer, nonce);
      const stream = CHUNKS.map((chunk) => sealer.seal(chunk));
      const opener = createAnswerOpener(answer);
      expect(stream.flatMap((part) => opener.push(part))).toEqual(CHUNKS);
      opener.end();
      return {
        suite: id, seed: toHex(seed), publicKey: toHex(key.publicKey), randomness: toHex(randomness),
        routing: toHex(encodeRouting(routing)), enc: toHex(enc), sealed: toHex(sealed), receiptRequestId: toHex(receiptRequestId(routing, enc)),
        answerSecret: toHex(answer.secret), answerNonce: toHex(nonce), answer: stream.map(toHex),
      };
    }),
  };
}

describe('SPEC.md vectors', () => {
  it('seal.json: is what this implementation makes', async () => {
    const made = await make();
    if (process.env['UPDATE_VECTORS'] === '1') writeFileSync(FILE, `${JSON.stringify(made, null, 2)}\n`);
    expect(JSON.parse(readFileSync(FILE, 'utf8'))).toEqual(made);
    expect(fromHex(String(made['record'])).byteLength).toBeGreaterThan(1216);
  });
});
