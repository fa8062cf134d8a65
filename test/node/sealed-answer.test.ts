// Receipts of a node: verified offline, one a request; two different ones for one request take the stake of the bond that lists the
// key, in the real TVM.
import { describe, expect, it } from '@jest/globals';
import { Address, toNano } from '@ton/core';
import { Blockchain } from '@ton/sandbox';
import { contractCode } from '../../src/chain/code.ts';
import { BondContract } from '../../src/chain/contracts/bond.ts';
import { sealedSink } from '../../src/node/sealed-answer.ts';
import { createAnswerOpener } from '../../src/seal/answer.ts';
import { contradictionOf } from '../../src/seal/contradiction.ts';
import { decodeAnswerReceipt, receiptRequestId, sha256, verifyAnswerReceipt } from '../../src/seal/receipt.ts';
import { openRequest, prepareSeal } from '../../src/seal/request.ts';
import { loadSuite, MANDATORY_SUITE } from '../../src/seal/suites.ts';
import { bytes, NOW_S, receipts, recordOf, ring, routingOf, tls } from '../seal/world.ts';
import type { AnswerChunk } from '../../src/seal/answer.ts';
import type { SignedAnswerReceipt } from '../../src/seal/receipt.ts';
import type { AnswerSink, FinalInfo, HttpHead } from '../../src/wire/answer.ts';
import type { Signer } from '../../src/chain/ed25519.ts';

const GLOBAL_ID = -239;
const REQUEST = new TextEncoder().encode('request');
const INFO: FinalInfo = { tokens: { prompt: 3n, cached: 0n, completion: 4n, reasoning: 0n, total: 7n } };
const HEAD: HttpHead = { httpVersion: 'HTTP/1.1', status: 200, reason: 'OK', headers: [{ name: 'content-type', value: 'text/plain' }], payload: new Uint8Array(0) };
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A sink that keeps what it gets. */
function keeping() {
  const heads: HttpHead[] = [];
  const parts: Uint8Array[] = [];
  const fails: unknown[] = [];
  const sink: AnswerSink = {
    head: async (head) => { heads.push(head); parts.push(head.payload); },
    part: async (part) => { parts.push(part); },
    end: async (_info, last = new Uint8Array(0)) => { parts.push(last); },
    fail: async (code, message, info) => { fails.push([code, message, info]); },
  };
  return { sink, heads, parts, fails };
}

/** Answers one sealed request with `write`; a node that skips its own replay guard can do so again. */
async function world(bond = new Address(0, Buffer.alloc(32))) {
  const keys = await ring();
  const current = keys.current();
  const suite = await loadSuite(MANDATORY_SUITE);
  const offered = recordOf(current.signed).suites.find(({ kem }) => kem === MANDATORY_SUITE.kem);
  if (suite === null || offered === undefined) throw new Error('no suite');
  const routing = routingOf(current.keyId);
  const request = prepareSeal({ suite, publicKey: offered.publicKey, record: current.signed.record }).seal(routing, REQUEST);
  return async (write: (sink: AnswerSink) => Promise<void>, { signer = receipts, time = NOW_S }: { signer?: Signer; time?: number } = {}) => {
    const opened = openRequest({ ...current.open(MANDATORY_SUITE), record: current.signed.record, routing, ...request, nowMs: NOW_S * 1000 });
    const kept = keeping();
    await write(sealedSink(kept.sink, {
      opened: { query: opened.request, maxTokens: 100, routing, enc: request.enc, answer: opened.answer, record: current.signed },
      requestHash: sha256(REQUEST), coefficient: 1_000, terms: { globalId: GLOBAL_ID, bond, pricePerTokenNano: 20n, paramsVersion: 2 }, signer, now: () => time * 1000,
    }));
    const opener = createAnswerOpener(request.answer);
    const chunks: AnswerChunk[] = kept.parts.flatMap((part) => opener.push(part));
    const last = chunks.at(-1);
    const receipt = last?.kind === 'end' ? decodeAnswerReceipt(last.receipt) : null;
    return { ...kept, chunks, receipt, routing, enc: request.enc };
  };
}

const answering = (answer: string) => async (sink: AnswerSink): Promise<void> => {
  await sink.head(HEAD);
  await sink.part(text(answer));
  await sink.end(INFO, text('.'));
};

const receiptOf = ({ receipt }: { receipt: SignedAnswerReceipt | null }): SignedAnswerReceipt => {
  if (receipt === null) throw new Error('no receipt');
  return receipt;
};

describe('sealedSink', () => {
  it('head and first part leave together, the end carries count and receipt; the proxy sees a status and nothing else', async () => {
    const answer = await world();
    const { heads, parts, chunks, receipt, routing, enc } = await answer(answering('hello'));
    expect(heads).toMatchObject([{ status: 200, reason: '', headers: [] }]);
    expect(parts).toHaveLength(2);
    expect(chunks).toMatchObject([{ kind: 'head', status: 200, headers: HEAD.headers }, { kind: 'body' }, { kind: 'body' }, { kind: 'end', usage: INFO.tokens }]);
    expect(verifyAnswerReceipt(receiptOf({ receipt })).receiptKey).toEqual(receipts.publicKey);
    expect(receipt?.receipt).toMatchObject({
      core: { globalId: GLOBAL_ID, requestId: receiptRequestId(routing, enc), requestHash: sha256(REQUEST), responseHash: sha256(text('hello.')), tokens: 7n, time: NOW_S },
      coefficient: 1_000, pricePerTokenNano: 20n, paramsVersion: 2, proxyPublicKey: routing.proxyPublicKey,
    });
  });

  it('an answer without parts, an empty one, and a head with a payload are whole too', async () => {
    const answer = await world();
    const empty = await answer(async (sink) => {
      await sink.head(HEAD);
      await sink.end(INFO);
    });
    expect(empty.chunks.map(({ kind }) => kind)).toEqual(['head', 'end']);
    expect(receiptOf(empty).receipt.core.responseHash).toEqual(sha256(new Uint8Array(0)));
    const withPayload = await answer(async (sink) => {
      await sink.head({ ...HEAD, payload: text('first ') });
      await sink.end(INFO, text('last'));
    });
    expect(receiptOf(withPayload).receipt.core.responseHash).toEqual(sha256(text('first last')));
  });

  it.each([[200, 200], [400, 200], [404, 200], [408, 408], [429, 429], [500, 500], [503, 503]])('status %i is shown to the proxy as %i', async (status, shown) => {
    const answer = await world();
    const { heads, chunks } = await answer(async (sink) => {
      await sink.head({ ...HEAD, status });
      await sink.end(INFO, text('x'));
    });
    expect(heads[0]?.status).toBe(shown);
    expect(chunks[0]).toMatchObject({ kind: 'head', status });
  });

  it('fail: within an answer the client gets the text and the count, the proxy only that it failed; before it the error as it is', async () => {
    const answer = await world();
    const within = await answer(async (sink) => {
      await sink.head(HEAD);
      await sink.part(text('hel'));
      await sink.fail(602, 'the engine broke', INFO);
    });
    expect(within.chunks.at(-1)).toEqual({ kind: 'failure', code: 602, message: 'the engine broke', usage: INFO.tokens });
    expect(within.fails).toEqual([[602, 'worker: the answer was cut short', INFO]]);
    const before = await answer(async (sink) => { await sink.fail(651, 'worker: busy'); });
    expect(before.fails).toEqual([[651, 'worker: busy', undefined]]);
    expect(before.chunks).toEqual([]);
  });
});

describe('contradictionOf', () => {
  it('nothing for one receipt twice, for two requests, for two signers, or for one that does not verify', async () => {
    const [answer, another] = [await world(), await world()];
    const first = receiptOf(await answer(answering('yes')));
    expect(() => contradictionOf(first, first)).toThrow('do not contradict');
    const elsewhere = receiptOf(await another(answering('no')));
    expect(() => contradictionOf(first, elsewhere)).toThrow('do not contradict');
    expect(() => contradictionOf(first, { ...elsewhere, signature: bytes(64, 'x') })).toThrow('not signed');
    const stranger = receiptOf(await answer(answering('no'), { signer: tls }));
    expect(() => contradictionOf(first, stranger)).toThrow('not signed by the receipt key');
  });

  it('two answers to one request: the bond contract takes the proof', async () => {
    const chain = await Blockchain.create();
    chain.now = NOW_S;
    const [owner, reporter] = [await chain.treasury('owner'), await chain.treasury('reporter')];
    const bond = chain.openContract(BondContract.fromOwner(contractCode('bond'), owner.address, owner.address));
    const send = (ton: string, queryId: bigint) => ({ valueNano: toNano(ton), queryId });
    await bond.sendDeploy(owner.getSender(), toNano('0.5'));
    await bond.sendDeposit(owner.getSender(), send('5.2', 1n), toNano('5'), owner.address);
    await bond.sendAddKey(owner.getSender(), send('0.2', 2n), receipts.publicKey, owner.address);
    const answer = await world(bond.address);
    const { bond: named, key, proof } = contradictionOf(receiptOf(await answer(answering('yes'))), receiptOf(await answer(answering('no'))));
    expect(named.equals(bond.address)).toBe(true);
    expect((await bond.getData()).stakeNano).toBe(toNano('5'));
    await bond.sendSlash(reporter.getSender(), send('0.3', 3n), key, proof, reporter.address);
    expect((await bond.getData()).stakeNano).toBe(0n);
  }, 60_000);
});
