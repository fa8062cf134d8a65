// Receipts as files: what is judged in them, and what two of them prove.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Address, Cell } from '@ton/core';
import { bondSlash } from '../../src/chain/cells/bond.ts';
import { contradict, receiptHash, verifyReceipt } from '../../src/chain/receipt.ts';
import { encodeReceiptFile, parseReceiptFile, receiptOf } from '../../src/client/receipt-file.ts';
import { contradictionOf, judgeReceipt } from '../../src/client/receipt-judge.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { main } from '../../src/main.ts';
import { cpuEvidenceDigest } from '../../src/seal/evidence.ts';
import { encodeKeyRecord, signedBytesOf } from '../../src/seal/key-record.ts';
import { encodeAnswerReceipt, sha256, signAnswerReceipt } from '../../src/seal/receipt.ts';
import { MANDATORY_SUITE } from '../../src/seal/suites.ts';
import { certificateFile } from '../../src/tee/evidence-file.ts';
import { statedImageHash } from '../../src/tee/stated-image.ts';
import { fakeContext } from '../fakes/context.ts';
import { startTestNetwork } from '../fakes/network.ts';
import { text } from '../fakes/session-ports.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Answer } from '../../src/client/chat.ts';
import type { ReceiptFile } from '../../src/client/receipt-file.ts';
import type { KeyRecord } from '../../src/seal/key-record.ts';
import type { AnswerReceipt } from '../../src/seal/receipt.ts';
import type { TlsIdentity } from '../../src/wire/tls.ts';

const BOND = Address.parseRaw(`0:${'ab'.repeat(32)}`);
const REPORTER = Address.parseRaw(`0:${'cd'.repeat(32)}`);
const TIME = Math.floor(Date.now() / 1000);
const REQUEST = text('{"prompt":"why"}');
const ANSWER = text('data: because\n\n');
const signer = signerOfSeed(new Uint8Array(32).fill(3));

let identity: TlsIdentity & { readonly certificateDer: Uint8Array };
let home = '';
beforeAll(async () => {
  const network = await startTestNetwork({ nodes: [] });
  const source = await createTlsIdentity({ clock: systemClock, evidence: await network.evidence('worker') });
  identity = source.current();
  source.close();
  await network.close();
  home = await mkdtemp(join(tmpdir(), 'cocoon-receipt-'));
});
afterAll(() => rm(home, { recursive: true }));

interface Changes {
  readonly record?: Partial<KeyRecord>;
  readonly receipt?: Partial<AnswerReceipt>;
  readonly core?: Partial<AnswerReceipt['core']>;
  readonly signer?: typeof signer;
}

async function receiptFile({ record: recordChange = {}, receipt = {}, core = {}, signer: by = signer }: Changes = {}): Promise<ReceiptFile> {
  const { certificate, cpu } = certificateFile(identity.certificateDer);
  if (certificate === null || cpu === null) throw new Error('no evidence');
  const tlsKey = await import('node:crypto').then(({ createPrivateKey, sign }) => {
    const key = createPrivateKey(identity.privateKeyPem);
    return (message: Uint8Array) => new Uint8Array(sign(null, message, key));
  });
  const record = encodeKeyRecord({
    keyId: new Uint8Array(16), notBefore: TIME - 60, notAfter: TIME + 1_740, tlsPublicKey: certificate.publicKey, receiptKey: signer.publicKey,
    imageHash: statedImageHash(cpu) ?? new Uint8Array(32), model: 'm@1:2', root: '', cpuEvidence: cpuEvidenceDigest(identity.certificateDer), gpuEvidence: new Uint8Array(32),
    suites: [{ ...MANDATORY_SUITE, publicKey: new Uint8Array(32) }], ...recordChange,
  });
  const signed = signAnswerReceipt({
    core: { globalId: -239, bond: BOND, requestId: new Uint8Array(32).fill(1), requestHash: sha256(REQUEST), responseHash: sha256(ANSWER), tokens: 15n, time: TIME, ...core },
    record: { record, signature: tlsKey(signedBytesOf(record)) }, usage: { prompt: 5n, cached: 1n, completion: 7n, reasoning: 2n, total: 15n },
    coefficient: 1_000, pricePerTokenNano: 20n, paramsVersion: 3, proxyPublicKey: new Uint8Array(32), ...receipt,
  }, by);
  return { receipt: encodeAnswerReceipt(signed), certificate: identity.certificateDer, network: 'local' };
}

const failed = async (changes: Changes, bodies = {}): Promise<string[]> => judgeReceipt(await receiptFile(changes), bodies).verdict.checks.filter(({ result }) => result === 'fail').map(({ name }) => name);

describe('judgeReceipt', () => {
  it('every check of an honest receipt passes, with the bodies and without', async () => {
    const file = await receiptFile();
    expect(judgeReceipt(file).verdict).toMatchObject({ overall: 'pass' });
    const { verdict } = judgeReceipt(parseReceiptFile(text(encodeReceiptFile(file)), 'r'), { request: REQUEST, answer: ANSWER });
    expect(verdict.overall).toBe('pass');
    expect(verdict.checks.filter(({ required }) => required).map(({ name }) => name)).toEqual(['certificate-key', 'cpu-evidence', 'image', 'record-signature', 'core-signature', 'receipt-signature', 'receipt-time', 'tokens', 'request', 'answer']);
  });

  it.each<[string, Changes, object, readonly string[]]>([
    ['another TLS key', { record: { tlsPublicKey: signer.publicKey } }, {}, ['certificate-key', 'record-signature']],
    ['other evidence', { record: { cpuEvidence: new Uint8Array(32) } }, {}, ['cpu-evidence']],
    ['another image', { record: { imageHash: new Uint8Array(32) } }, {}, ['image']],
    ['another receipt key', { record: { receiptKey: new Uint8Array(32).fill(9) } }, {}, ['core-signature', 'receipt-signature']],
    ['another signer', { signer: signerOfSeed(new Uint8Array(32).fill(4)) }, {}, ['core-signature', 'receipt-signature']],
    ['a time before the key', { core: { time: TIME - 600 } }, {}, ['receipt-time']],
    ['a time long after the key', { core: { time: TIME + 20_000 } }, {}, ['receipt-time']],
    ['a bill that was not counted', { core: { tokens: 16n } }, {}, ['tokens']],
    ['counts that do not add up', { receipt: { usage: { prompt: 1n, cached: 0n, completion: 1n, reasoning: 0n, total: 15n } } }, {}, ['tokens']],
    ['another request', {}, { request: ANSWER }, ['request']],
    ['another answer', {}, { answer: REQUEST }, ['answer']],
  ])('%s is refused by name', async (_, changes, bodies, names) => {
    expect(await failed(changes, bodies)).toEqual(names);
  });

  it('what cannot be read is no receipt', async () => {
    const file = await receiptFile();
    expect(() => judgeReceipt({ ...file, receipt: file.receipt.subarray(1) })).toThrow(expect.objectContaining({ code: 'E_SEAL' }));
    expect(() => judgeReceipt({ ...file, certificate: new Uint8Array(10) })).toThrow(expect.objectContaining({ exitCode: 5 }));
  });
});

describe('parseReceiptFile, receiptOf', () => {
  it.each<[string, (document: Record<string, unknown>) => unknown]>([
    ['another kind', (document) => ({ ...document, kind: 'cocoon' })],
    ['another version', (document) => ({ ...document, version: 2 })],
    ['a member more', (document) => ({ ...document, verdict: 'pass' })],
    ['a member less', ({ kind, version, network, receipt }) => ({ kind, version, network, receipt })],
    ['what is not base64', (document) => ({ ...document, receipt: '*' })],
    ['a list', () => []],
  ])('%s is refused', async (_, change) => {
    const document = JSON.parse(encodeReceiptFile(await receiptFile())) as Record<string, unknown>;
    expect(() => parseReceiptFile(text(JSON.stringify(change(document))), 'r.json')).toThrow(expect.objectContaining({ code: 'E_STATE' }));
  });

  it('an answer without a receipt has none, and one with another\'s is refused', async () => {
    const { receipt, certificate } = await receiptFile();
    const exchange = { request: REQUEST, answerHash: sha256(ANSWER), answer: null };
    const node = { evidence: 'simulated', imageHash: new Uint8Array(32), tlsPublicKey: new Uint8Array(32), certificate } as const;
    const of = (proof: Answer['proof'], change: Partial<Answer['exchange']> = {}) => () => receiptOf({ proof, exchange: { ...exchange, ...change } }, 'local');
    expect(of({ scheme: 'cocoon-1', receipt, node })()).toEqual({ receipt, certificate, network: 'local' });
    for (const proof of [null, { scheme: 'v1', receipt: null, node: null }, { scheme: 'cocoon-1', receipt: null, node }] as const) {
      expect(of(proof)).toThrow(expect.objectContaining({ code: 'E_NO_RECEIPT', exitCode: 12 }));
    }
    expect(of({ scheme: 'cocoon-1', receipt, node }, { request: ANSWER })).toThrow(expect.objectContaining({ code: 'E_SEAL' }));
    expect(of({ scheme: 'cocoon-1', receipt, node }, { answerHash: new Uint8Array(32) })).toThrow(expect.objectContaining({ code: 'E_SEAL' }));
  });
});

describe('contradictionOf, receipt compare', () => {
  const lie = (): Promise<ReceiptFile> => receiptFile({ core: { responseHash: sha256(text('another answer')) } });

  it('two receipts for one request: the message that the bond contract takes', async () => {
    const { message, bond, key } = contradictionOf([await receiptFile(), await lie()], REPORTER);
    expect([bond.equals(BOND), key]).toEqual([true, signer.publicKey]);
    const [root] = Cell.fromBoc(Buffer.from(message));
    const body = bondSlash.load(root as Cell);
    expect(body.sendExcessesTo.equals(REPORTER)).toBe(true);
    expect(contradict(body.first.receipt, body.second.receipt)).toBe(true);
    expect([body.first, body.second].every((each) => verifyReceipt(each, body.key))).toBe(true);
  });

  it('the same, other requests, other signers, and what is not signed prove nothing', async () => {
    const first = await receiptFile();
    const tell = (second: ReceiptFile) => () => contradictionOf([first, second], REPORTER);
    expect(tell(first)).toThrow('the receipts are the same');
    expect(tell(await receiptFile({ core: { requestId: new Uint8Array(32) } }))).toThrow('for different requests');
    const other = signerOfSeed(new Uint8Array(32).fill(4));
    expect(tell(await receiptFile({ signer: other, record: { receiptKey: other.publicKey }, core: { tokens: 1n } }))).toThrow('signed by different keys');
    expect(tell(await receiptFile({ signer: other, core: { tokens: 1n } }))).toThrow(expect.objectContaining({ code: 'E_SEAL' }));
  });

  it('receipt compare: prints and writes the message, sends nothing', async () => {
    const [first, second] = [await receiptFile(), await lie()];
    await writeFile(join(home, 'a.json'), encodeReceiptFile(first));
    await writeFile(join(home, 'b.json'), encodeReceiptFile(second));
    const run = fakeContext({ home });
    const exit = await main(['--json', '--network', 'mainnet', 'receipt', 'compare', 'a.json', 'b.json', '--reporter', REPORTER.toRawString(), '--out', 'slash.boc'], run.context);
    const { data } = JSON.parse(run.stdout()) as { data: { message: string; receipts: string[] } };
    expect([exit, data]).toMatchObject([0, { contradict: true, bond: BOND.toRawString(), reporter: REPORTER.toRawString() }]);
    expect((await readFile(join(home, 'slash.boc'))).toString('base64')).toBe(data.message);
    const [root] = Cell.fromBoc(Buffer.from(data.message, 'base64'));
    expect(data.receipts[0]).toBe(Buffer.from(receiptHash(bondSlash.load(root as Cell).first.receipt)).toString('hex'));
    const same = fakeContext({ home });
    await expect(main(['--network', 'mainnet', 'receipt', 'compare', 'a.json', 'a.json', '--reporter', REPORTER.toRawString()], same.context)).resolves.toBe(2);
    expect(same.stderr()).toContain('the receipts are the same');
  });
});
