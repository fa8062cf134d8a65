// Our worker and our proxy against each other, in every version; every refusal, time-out and disorder of both ends.
import { describe, expect, it } from '@jest/globals';
import { AttestationError, CocoonError, InterruptedError, RemoteError } from '../../src/core/errors.ts';
import type { AnswerSink, FinalInfo } from '../../src/wire/answer.ts';
import type { TlPacket } from '../../src/wire/connection.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlFunction, TlObject, WorkerParams } from '../../src/wire/tl/types.ts';
import { acceptWorker } from '../../src/wire/worker-acceptor.ts';
import type { RunRequest, WorkerAcceptorOptions } from '../../src/wire/worker-acceptor.ts';
import { openWorkerSession } from '../../src/wire/worker-session.ts';
import type { WorkerSessionOptions } from '../../src/wire/worker-session.ts';
import { PROXY_VERSIONS } from '../../src/wire/versions.ts';
import { connectionPair } from '../fakes/connection-pair.ts';
import { manualTimers, settle } from '../fakes/manual-timers.ts';
import {
  answerAtOnce, countingRandom, HEAD, INFO, PROXY, QUERY, STATUS, text, workerAcceptorOptions, workerGate, workerOptions, workerPort,
} from '../fakes/session-ports.ts';
import type { FakeWorkerGate, FakeWorkerPort } from '../fakes/session-ports.ts';

const REQUEST: RunRequest = { query: QUERY, signedPayment: null, coefficient: 1234, timeoutMs: 100_000, enableDebug: true };
const WORKER_INFO: FinalInfo = { tokens: INFO.tokens, workerTimes: INFO.workerTimes! };
const NEVER = new AbortController().signal;

interface Setup {
  readonly gate?: FakeWorkerGate;
  readonly port?: FakeWorkerPort;
  readonly options?: Partial<WorkerSessionOptions>;
  readonly acceptor?: Partial<WorkerAcceptorOptions>;
}

async function connected({ gate = workerGate(), port = workerPort(), options, acceptor }: Setup = {}) {
  const timers = manualTimers();
  const pair = connectionPair({ timers });
  const link = acceptWorker(pair.acceptor, gate, { ...workerAcceptorOptions, timers, random: countingRandom(), ...acceptor });
  const session = await openWorkerSession(pair.dialer, port, { ...workerOptions, timers, ...options });
  await settle();
  return { timers, pair, link, session, gate, port };
}

/** Our proxy with a worker that a test writes by hand; `link.run` may be used once it returns. */
async function handMade(version = 5, acceptor: Partial<WorkerAcceptorOptions> = {}) {
  const timers = manualTimers();
  const pair = connectionPair({ timers });
  const gate = workerGate();
  const link = acceptWorker(pair.acceptor, gate, { ...workerAcceptorOptions, timers, random: countingRandom(), ...acceptor });
  const packets: TlPacket[] = [];
  pair.dialer.handle({
    onQuery: () => new Promise(() => undefined),
    onPacket: (packet) => {
      packets.push(packet);
    },
  });
  for (const step of [connect({ min_proto_version: version, max_proto_version: version }), COMPARE, COMPLETE]) await pair.dialer.query(step, { timeoutMs: 1000 });
  await settle();
  return { timers, pair, gate, link, packets };
}

const PARAMS: WorkerParams = {
  _: 'worker.params', flags: 3, worker_owner_address: 'o', model: 'm@c:v', coefficient: 1000, is_test: true, proxy_cnt: 1, max_active_requests: 2,
  min_proto_version: 1, max_proto_version: 5,
};
const connect = (changes: Partial<WorkerParams> = {}): TlFunction => ({ _: 'worker.connectToProxy', params: { ...PARAMS, ...changes } });
const COMPARE: TlFunction = { _: 'worker.compareBalanceWithProxy', tokens_committed_to_blockchain: 0n, tokens_committed_to_db: 0n, max_tokens: 0n };
const EXTENDED: TlFunction = { _: 'worker.extendedCompareBalanceWithProxy', tokens_committed_to_db: 0n, other: new Uint8Array(0) };
const COMPLETE: TlFunction = { _: 'worker.proxyHandshakeComplete', is_disabled: false };
const HTTP_RESPONSE = encodeBoxed({ _: 'http.response', http_version: 'HTTP/1.1', status_code: 200, reason: 'OK', headers: [], payload: text('') });
const TOKENS = { _: 'tokensUsed', prompt_tokens_used: 1n, cached_tokens_used: 2n, completion_tokens_used: 3n, reasoning_tokens_used: 4n, total_tokens_used: 10n } as const;
const head = (request_id: Uint8Array, answer = HTTP_RESPONSE): TlObject => ({ _: 'proxy.queryAnswerEx', request_id, answer, flags: 0 });
const part = (request_id: Uint8Array, body: string): TlObject => ({ _: 'proxy.queryAnswerPartEx', request_id, answer: text(body), flags: 0 });
const end = (request_id: Uint8Array, body = ''): TlObject =>
  ({ _: 'proxy.queryAnswerPartEx', request_id, answer: text(body), flags: 1, final_info: { _: 'proxy.queryFinalInfo', flags: 0, tokens_used: TOKENS } });
const idOf = (packet: TlPacket | undefined): Uint8Array => {
  if (packet?._ !== 'proxy.runQueryEx' && packet?._ !== 'proxy.runQuery') throw new Error('no request was sent');
  return packet.request_id;
};

/** A sink that writes down what it gets. */
function recorder(overrides: Partial<AnswerSink> = {}) {
  const calls: unknown[] = [];
  const sink: AnswerSink = {
    head: async ({ status }) => { calls.push(`head ${status}`); },
    part: async (bytes) => { calls.push(`part ${new TextDecoder().decode(bytes)}`); },
    end: async (info, bytes = new Uint8Array(0)) => { calls.push(`end ${new TextDecoder().decode(bytes)}`, info); },
    fail: async (code, message, info) => { calls.push(`fail ${code}`, message, info); },
    ...overrides,
  };
  return { calls, sink };
}

const namesOf = (packets: readonly TlPacket[]): string[] => packets.map(({ _ }) => _);

describe('openWorkerSession, acceptWorker', () => {
  it.each([0, 1, 2, 3, 4, 5, 6])('version %i: a request is answered whole, with what the version can say', async (version) => {
    const { link, port, pair, session } = await connected({ options: { versions: { min: version, max: version } } });
    const { calls, sink } = recorder();
    const privateKey = new Uint8Array(32).fill(9);
    const outcome = await link.run({ ...REQUEST, signedPayment: new Uint8Array([5]), privateKey }, sink, NEVER);
    const info = version >= 2 ? WORKER_INFO : { tokens: INFO.tokens };
    expect(calls).toEqual(['head 200', 'part one ', 'part two ', 'end three', info]);
    expect(outcome).toEqual({ id: new Uint8Array(32).fill(1), kind: 'ended', info });
    expect(port.requests).toEqual([{
      id: outcome.id, query: QUERY, signedPayment: new Uint8Array([5]), coefficient: 1234n, timeoutMs: 95_000,
      enableDebug: version >= 1, privateKey: version >= 3 ? privateKey : null,
    }]);
    expect(namesOf(pair.acceptor.sent).at(-1)).toBe(version === 0 ? 'proxy.runQuery' : 'proxy.runQueryEx');
    expect([link.runningRequests, session.runningRequests]).toEqual([0, 0]);
  });

  it('handshake: both ports see what the other side says', async () => {
    const { gate, port, session, link } = await connected({ options: { isDisabled: () => true } });
    expect(port.offers).toEqual([{ proxy: PROXY, workerContractAddress: 'worker-contract', version: PROXY_VERSIONS.max }]);
    expect(port.compares).toEqual([{ status: STATUS, agreed: true }]);
    expect(gate.claims).toEqual([{ chainTokens: 1n, dbTokens: 2n, maxTokens: 3n }]);
    expect(gate.hellos).toEqual([{
      ownerAddress: 'worker-owner', model: 'm@c:v', coefficient: 1234, proxyCount: 1, maxActiveRequests: 4, version: PROXY_VERSIONS.max, machineDescription: null,
    }]);
    expect(gate.told).toEqual(['ready disabled']);
    await session.setDisabled(true);
    await session.setDisabled(false);
    await session.setCoefficient(999_999_999);
    await settle();
    expect(gate.told).toEqual(['ready disabled', 'enabled', 'coefficient 999999999']);
    expect(link.state).toBe('ready');
  });

  it('handshake: the extended comparison leads on to Ready', async () => {
    const gate = workerGate({ compareBalance: async () => ({ status: STATUS, agreed: false }) });
    const { port, pair } = await connected({ gate });
    expect(port.compares).toEqual([{ status: STATUS, agreed: false }]);
    expect(gate.told).toEqual(['extended 2', 'ready enabled']);
    expect(namesOf(pair.dialer.sent)).toEqual([
      'worker.connectToProxy', 'worker.compareBalanceWithProxy', 'worker.extendedCompareBalanceWithProxy', 'worker.proxyHandshakeComplete',
    ]);
  });

  it('handshake: a request right behind the last answer is served', async () => {
    const port = workerPort();
    const { calls, sink } = recorder();
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    const gate = workerGate();
    const ready = gate.worker.ready.bind(gate.worker);
    const link = acceptWorker(pair.acceptor, {
      ...gate,
      admit: async () => ({ ...gate.worker, ready: (disabled) => { ready(disabled); void link.run(REQUEST, sink, NEVER); } }),
    }, { ...workerAcceptorOptions, timers });
    await openWorkerSession(pair.dialer, port, { ...workerOptions, timers });
    await settle();
    expect(calls[0]).toBe('head 200');
    expect(namesOf(pair.acceptor.sent).slice(-2)).toEqual(['worker.proxyHandshakeCompleted', 'proxy.runQueryEx']);
  });

  it('payments: pushed ones and the periodic status reach the port; a port that throws closes the connection', async () => {
    const { port, link, timers } = await connected();
    const payment = { ...STATUS, requestId: new Uint8Array(32).fill(1), requestTokens: 5n, clientOwner: 'c' };
    await link.requestPayment(payment);
    await timers.advance(20_000);
    expect(port.payments).toEqual([payment]);
    expect(port.statuses.length).toBeGreaterThanOrEqual(1);
    const refusal = new CocoonError('E_STATE', 'payment is lower than the last one');
    const angry = await connected({ port: workerPort({ paymentStatus: () => { throw refusal; } }) });
    await angry.timers.advance(20_000);
    expect(await angry.session.closed).toBe(refusal);
  });

  it('max_active_requests: one more is refused with 602 in the form of the request', async () => {
    for (const version of [0, 5]) {
      const port = workerPort({ run: (_request, _sink, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())) });
      const { link, pair } = await connected({ port, options: { maxActiveRequests: 2, versions: { min: version, max: version } } });
      for (let count = 0; count < 2; count++) void link.run(REQUEST, recorder().sink, NEVER);
      const { calls, sink } = recorder();
      await link.run(REQUEST, sink, NEVER);
      expect(calls.slice(0, 2)).toEqual(['fail 602', 'too many active queries']);
      expect(namesOf(pair.dialer.sent).at(-1)).toBe(version === 0 ? 'proxy.queryAnswerError' : 'proxy.queryAnswerErrorEx');
      expect(link.runningRequests).toBe(2);
    }
  });

  it.each<[string, FakeWorkerPort, unknown[]]>([
    ['an error', workerPort({ run: async () => { throw new RemoteError(621, 'bad request'); } }), ['fail 621', 'bad request']],
    ['a bug, whose text stays here', workerPort({ run: async () => { throw new Error('secret'); } }), ['fail 601', 'internal failure']],
    ['no answer', workerPort({ run: async () => undefined }), ['fail 601', 'request was not answered']],
    ['a failure after the head', workerPort({ run: async (_request, sink) => { await sink.head(HEAD); throw new CocoonError('E_ENGINE', 'engine stopped'); } }), ['head 200', 'fail 602', 'engine stopped']],
  ])('run: %s becomes the final message', async (_name, port, expected) => {
    const { link } = await connected({ port });
    const { calls, sink } = recorder();
    expect(await link.run(REQUEST, sink, NEVER)).toMatchObject({ kind: 'failed' });
    expect(calls.slice(0, expected.length)).toEqual(expected);
  });

  it('sink: refuses what comes out of order or after the end', async () => {
    const errors: unknown[] = [];
    const note = (error: unknown): void => {
      errors.push((error as CocoonError).code);
    };
    const port = workerPort({
      run: async (_request, sink) => {
        await sink.part(text('x')).catch(note);
        await sink.end(INFO).catch(note);
        await sink.head(HEAD);
        await sink.head(HEAD).catch(note);
        await sink.end(INFO);
        await sink.part(text('x')).catch(note);
        await sink.end(INFO).catch(note);
        await sink.fail(602, 'x').catch(note);
      },
    });
    const { link } = await connected({ port });
    const { calls, sink } = recorder();
    await link.run(REQUEST, sink, NEVER);
    await settle();
    expect(errors).toEqual(Array(6).fill('E_INTERNAL'));
    expect(calls).toEqual(['head 200', 'end ', WORKER_INFO]);
  });

  it('version 5: aborting stops the worker, which still reports what was used', async () => {
    const reasons: unknown[] = [];
    const port = workerPort({
      run: async (_request, sink, signal) => {
        await sink.head(HEAD);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        reasons.push((signal.reason as CocoonError).code);
        await sink.part(text('too late')).catch(() => undefined);
        await sink.end(INFO);
      },
    });
    const { link, pair, session } = await connected({ port });
    const controller = new AbortController();
    const { calls, sink } = recorder();
    const outcome = link.run(REQUEST, sink, controller.signal);
    await settle();
    controller.abort(new InterruptedError('E_INTERRUPTED', 'client has gone'));
    expect(await outcome).toEqual({ id: expect.any(Uint8Array), kind: 'cancelled', info: WORKER_INFO });
    expect(calls).toEqual(['head 200', 'fail 653', 'client has gone', undefined]);
    expect(reasons).toEqual(['E_INTERRUPTED']);
    expect(namesOf(pair.acceptor.sent).at(-1)).toBe('proxy.cancelQuery');
    expect(pair.dialer.sent.at(-1)).toMatchObject({ _: 'proxy.queryAnswerErrorEx', error_code: 653 });
    expect(session.runningRequests).toBe(0);
  });

  it('version 4: aborting sends nothing; the slot is only free when the worker ends', async () => {
    const { link, pair, packets } = await handMade(4);
    const controller = new AbortController();
    const { calls, sink } = recorder();
    const outcome = link.run(REQUEST, sink, controller.signal);
    await settle();
    const id = idOf(packets.at(-1));
    controller.abort();
    await settle();
    expect(calls[0]).toBe('fail 651');
    expect([link.runningRequests, packets.length]).toEqual([1, 1]);
    for (const message of [head(id), part(id, 'x'), end(id)]) await pair.dialer.send(message);
    expect(await outcome).toMatchObject({ kind: 'cancelled', info: { tokens: INFO.tokens } });
    expect([link.runningRequests, packets.length, calls.length]).toEqual([0, 1, 3]);
  });

  it('a worker that ignores cancellation and deadline has its request ended for it', async () => {
    const port = workerPort({ run: () => new Promise(() => undefined) });
    const { link, timers, pair } = await connected({ port });
    const { calls, sink } = recorder();
    const outcome = link.run({ ...REQUEST, timeoutMs: 10_000 }, sink, NEVER);
    await settle();
    await timers.advance(9_500);
    expect(calls).toEqual([]);
    await timers.advance(1_000);
    expect(calls[0]).toBe('fail 652');
    expect(await outcome).toMatchObject({ kind: 'failed' });
    await timers.advance(1_000);
    // The payment sync, at a random time, may come behind it.
    expect(pair.dialer.sent).toContainEqual(expect.objectContaining({ _: 'proxy.queryAnswerErrorEx', error_code: 652 }));
  });

  it.each(['cut', 'closed by the worker', 'closed by the proxy'] as const)('connection %s: both sides stop everything at once', async (how) => {
    const reasons: unknown[] = [];
    const port = workerPort({
      run: async (_request, sink, signal) => {
        await sink.head(HEAD);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        reasons.push((signal.reason as CocoonError).code);
        await sink.part(text('x'));
      },
    });
    const { link, session, pair, timers } = await connected({ port });
    const records = [recorder(), recorder()];
    const outcomes = Promise.all(records.map(({ sink }) => link.run(REQUEST, sink, NEVER)));
    await settle();
    if (how === 'cut') pair.dialer.cut();
    else if (how === 'closed by the worker') session.close();
    else link.close();
    expect(await outcomes).toEqual([expect.objectContaining({ kind: 'failed', info: null }), expect.objectContaining({ kind: 'failed', info: null })]);
    for (const { calls } of records) expect(calls).toEqual(['head 200', 'fail 651', 'worker connection ended before the answer was complete', undefined]);
    await Promise.all([session.closed, link.closed]);
    await settle();
    expect(reasons).toEqual(['E_CLOSED', 'E_CLOSED']);
    expect([link.state, timers.pending, session.runningRequests]).toEqual(['closed', 0, 0]);
    await expect(link.requestPayment({ ...STATUS, requestId: new Uint8Array(32), requestTokens: 0n, clientOwner: '' })).rejects.toMatchObject({ code: 'E_CLOSED' });
    const late = recorder();
    expect(await link.run(REQUEST, late.sink, NEVER)).toMatchObject({ kind: 'failed' });
    expect(late.calls[0]).toBe('fail 651');
  });
});

describe('openWorkerSession: refusals', () => {
  const CONNECTED: TlObject = {
    _: 'worker.connectedToProxy', worker_sc_address: 'w',
    params: { _: 'proxy.params', flags: 3, proxy_public_key: PROXY.publicKey, proxy_owner_address: 'o', proxy_sc_address: 'c', is_test: true, proto_version: 2 },
  };
  const COMPARED = { _: 'worker.compareBalanceWithProxyResult', signed_payment: { _: 'proxy.signedPaymentEmpty' }, tokens_committed_to_db: 0n, max_tokens: 0n, error_code: 0 } as const;
  const ANSWERS: Partial<Record<TlFunction['_'], TlObject | RemoteError>> = {
    'worker.connectToProxy': CONNECTED, 'worker.compareBalanceWithProxy': COMPARED,
    'worker.extendedCompareBalanceWithProxy': { _: 'worker.extendedCompareBalanceWithProxyResult', error_code: 0 },
    'worker.proxyHandshakeComplete': { _: 'worker.proxyHandshakeCompleted' },
  };
  const open = (answers: Partial<Record<TlFunction['_'], TlObject | RemoteError | null>>, port = workerPort()) => {
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    pair.acceptor.handle({
      onQuery: async (query) => {
        const answer = { ...ANSWERS, ...answers }[query._];
        if (answer === undefined || answer === null) return new Promise<never>(() => undefined);
        if (answer instanceof RemoteError) throw answer;
        return answer;
      },
      onPacket: () => undefined,
    });
    const opening = openWorkerSession(pair.dialer, port, { ...workerOptions, timers });
    opening.catch(() => undefined);
    return { timers, pair, opening };
  };

  it.each<[string, Partial<Record<TlFunction['_'], TlObject | RemoteError>>, object]>([
    ['connect is refused', { 'worker.connectToProxy': new RemoteError(621, 'invalid worker image hash') }, { remoteCode: 621 }],
    ['connect is answered with something else', { 'worker.connectToProxy': COMPARED }, { code: 'E_PROTOCOL' }],
    ['the comparison has negative counters', { 'worker.compareBalanceWithProxy': { ...COMPARED, max_tokens: -1n } }, { code: 'E_PROTOCOL' }],
    ['the extended comparison fails', {
      'worker.compareBalanceWithProxy': { ...COMPARED, error_code: 1 }, 'worker.extendedCompareBalanceWithProxy': { _: 'worker.extendedCompareBalanceWithProxyResult', error_code: 7 },
    }, { remoteCode: 7 }],
    ['the handshake is not completed', { 'worker.proxyHandshakeComplete': CONNECTED }, { code: 'E_PROTOCOL' }],
  ])('when %s it rejects and closes', async (_name, answers, error) => {
    const { pair, opening } = open(answers);
    await expect(opening).rejects.toMatchObject(error);
    expect(await pair.dialer.closed).toMatchObject(error);
  });

  it('a port that refuses the proxy or its balance is the error', async () => {
    const refusal = new AttestationError('E_EVIDENCE_REFUSED', 'no');
    await expect(open({}, workerPort({ checkProxy: async () => { throw refusal; } })).opening).rejects.toBe(refusal);
    await expect(open({}, workerPort({ compared: () => { throw refusal; } })).opening).rejects.toBe(refusal);
  });

  it.each(Object.keys(ANSWERS).filter((name) => !name.includes('extended')))('silence at %s ends in E_TIMEOUT', async (name) => {
    const { timers, opening, pair } = open({ [name]: null });
    await settle();
    await timers.advance(30_000);
    await expect(opening).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    await pair.dialer.closed;
    expect(timers.pending).toBe(0);
  });

  it('a request id that is in use closes the connection; other queries of the proxy are answered', async () => {
    const port = workerPort({ run: (_request, _sink, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())) });
    const { pair, opening } = open({}, port);
    const session = await opening;
    await expect(pair.acceptor.query({ _: 'worker.changeModel', new_model: 'x' }, { timeoutMs: 1000 })).rejects.toMatchObject({ remoteCode: 602 });
    await expect(pair.acceptor.query({ _: 'client.getWorkerTypes' }, { timeoutMs: 1000 })).rejects.toMatchObject({ remoteCode: 0 });
    const run: TlPacket = { _: 'proxy.runQuery', query: QUERY, signed_payment: { _: 'proxy.signedPaymentEmpty' }, coefficient: 1n, timeout: 10, request_id: new Uint8Array(32) };
    await pair.acceptor.send(run);
    await pair.acceptor.send({ _: 'proxy.cancelQuery', request_id: new Uint8Array(32) }); // version 2: means nothing
    await settle();
    expect(session.runningRequests).toBe(1);
    await pair.acceptor.send(run);
    expect(await session.closed).toMatchObject({ code: 'E_PROTOCOL' });
  });

  it.each([Number.NaN, 0, -1, -Infinity])('a timeout of %d is refused, an endless one is cut', async (timeout) => {
    const { pair, opening } = open({});
    await opening;
    await pair.acceptor.send({ _: 'proxy.runQuery', query: QUERY, signed_payment: { _: 'proxy.signedPaymentEmpty' }, coefficient: 1n, timeout, request_id: new Uint8Array(32) });
    await settle();
    expect(pair.dialer.sent.at(-1)).toMatchObject({ _: 'proxy.queryAnswerError', error_code: 602 });
    await pair.acceptor.send({ _: 'proxy.runQuery', query: QUERY, signed_payment: { _: 'proxy.signedPaymentEmpty' }, coefficient: 1n, timeout: Infinity, request_id: new Uint8Array(32) });
    await settle();
    expect(pair.dialer.sent.at(-1)).toMatchObject({ _: 'proxy.queryAnswerPart', is_completed: true });
  });
});

describe('acceptWorker: refusals', () => {
  const accept = (gate = workerGate(), options: Partial<WorkerAcceptorOptions> = {}) => {
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    pair.dialer.handle({ onQuery: () => new Promise(() => undefined), onPacket: () => undefined });
    const link = acceptWorker(pair.acceptor, gate, { ...workerAcceptorOptions, timers, ...options });
    return { timers, pair, link, ask: (query: TlFunction) => pair.dialer.query(query, { timeoutMs: 1000 }) };
  };

  const { is_test: _t, proxy_cnt: _p, max_active_requests: _m, ...noBase } = PARAMS;
  it.each<[string, Partial<WorkerParams> | WorkerParams, number, string]>([
    ['no flag bit 0', { ...noBase, flags: 2 }, 602, 'too old worker'],
    ['another test mode', { is_test: false }, 602, 'test mode mismatch'],
    ['no model', { model: '' }, 621, 'model is empty'],
    ['a negative coefficient', { coefficient: -1 }, 621, 'coefficient is -1'],
    ['a coefficient of 10^9', { coefficient: 1_000_000_000 }, 621, 'coefficient is 1000000000'],
    ['no capacity', { max_active_requests: 0 }, 621, 'max_active_requests is 0'],
    ['no proxies', { proxy_cnt: 0 }, 621, 'proxy_cnt is 0'],
    ['versions of the future', { min_proto_version: PROXY_VERSIONS.max + 1, max_proto_version: PROXY_VERSIONS.max + 2 }, 621, 'cannot choose common protocol version'],
  ])('%s: told so, then closed', async (_name, changes, code, message) => {
    const { ask, pair } = accept();
    const params = ('_' in changes ? changes : { ...PARAMS, ...changes }) as WorkerParams;
    await expect(ask({ _: 'worker.connectToProxy', params })).rejects.toMatchObject({ remoteCode: code, remoteMessage: expect.stringContaining(message) });
    expect(await pair.acceptor.closed).toMatchObject({ remoteCode: code });
  });

  it('checks run in the order of the specification', async () => {
    const order: string[] = [];
    const gate = workerGate({ gate: { checkImage: () => { order.push('image'); }, checkModel: () => { order.push('model'); throw new RemoteError(621, 'unknown model hash'); } } });
    await expect(accept(gate).ask(connect({ max_proto_version: 0, min_proto_version: 0, coefficient: 5 }))).rejects.toMatchObject({ remoteMessage: 'unknown model hash' });
    const image = workerGate({ gate: { checkImage: () => { throw new RemoteError(621, 'invalid worker image hash 00'); }, checkModel: () => { order.push('not reached'); } } });
    await expect(accept(image).ask(connect({ is_test: false }))).rejects.toMatchObject({ remoteMessage: 'invalid worker image hash 00' });
    expect(order).toEqual(['image', 'model']);
  });

  it.each<[string, TlFunction[]]>([
    ['compare first', [COMPARE]], ['complete first', [COMPLETE]], ['connect twice', [connect(), connect()]], ['complete before compare', [connect(), COMPLETE]],
    ['extended where it was not asked for', [connect(), COMPARE, EXTENDED]], ['compare twice', [connect(), COMPARE, COMPARE]],
    ['connect when ready', [connect(), COMPARE, COMPLETE, connect()]], ['complete twice', [connect(), COMPARE, COMPLETE, COMPLETE]],
  ])('%s: "Wrong constructor found at 4", then closed', async (_name, queries) => {
    const { ask, pair } = accept();
    for (const query of queries.slice(0, -1)) await ask(query);
    await expect(ask(queries.at(-1)!)).rejects.toMatchObject({ remoteCode: 0, remoteMessage: 'Wrong constructor found at 4' });
    await pair.acceptor.closed;
  });

  it('steps that are sent without waiting are refused', async () => {
    const gate = workerGate({ gate: { admit: () => new Promise(() => undefined) } });
    const slow = accept(gate);
    const first = slow.ask(connect());
    first.catch(() => undefined);
    await expect(slow.ask(COMPARE)).rejects.toMatchObject({ remoteMessage: 'Wrong constructor found at 4' });
    await expect(first).rejects.toMatchObject({ remoteCode: 651 });
  });

  it('other queries are answered and change nothing', async () => {
    const { ask, link } = accept();
    await expect(ask({ _: 'worker.updatePaymentStatus' })).rejects.toMatchObject({ remoteCode: 621 });
    await expect(ask({ _: 'client.getWorkerTypes' })).rejects.toMatchObject({ remoteCode: 621 });
    await expect(ask({ _: 'test.query', id: 1n })).rejects.toMatchObject({ remoteCode: 0, remoteMessage: 'Lost promise' });
    await ask(connect());
    await ask(COMPARE);
    await ask(COMPLETE);
    expect(await ask({ _: 'worker.updatePaymentStatus' })).toMatchObject({ _: 'worker.paymentStatus', max_tokens: 20n });
    expect(link.state).toBe('ready');
  });

  it('a claim larger than the proxy knows is the port\'s to judge', async () => {
    const gate = workerGate();
    const { ask } = accept(gate);
    await ask(connect());
    const max = 2n ** 63n - 1n;
    await ask({ _: 'worker.compareBalanceWithProxy', tokens_committed_to_blockchain: max, tokens_committed_to_db: max, max_tokens: max });
    expect(gate.claims).toEqual([{ chainTokens: max, dbTokens: max, maxTokens: max }]);
    const negative = accept();
    await negative.ask(connect());
    await expect(negative.ask({ ...COMPARE, max_tokens: -1n } as TlFunction)).rejects.toMatchObject({ remoteCode: 621 });
  });

  it('silence between two steps, and a port that does not decide, end in E_TIMEOUT', async () => {
    for (const steps of [[], [connect()], [connect(), COMPARE]]) {
      const { timers, pair, ask } = accept();
      for (const step of steps) await ask(step);
      await timers.advance(60_000);
      expect(await pair.acceptor.closed).toMatchObject({ code: 'E_TIMEOUT' });
    }
    const slow = accept(workerGate({ gate: { admit: () => new Promise(() => undefined) } }));
    const answer = slow.pair.dialer.query(connect(), { timeoutMs: 100_000 });
    answer.catch(() => undefined);
    await settle();
    await slow.timers.advance(60_000);
    await expect(answer).rejects.toMatchObject({ remoteCode: 652 });
  });

  it('packets before Ready are ignored; a price out of range afterwards closes', async () => {
    const { ask, pair, link } = accept();
    await pair.dialer.send({ _: 'worker.newCoefficient', new_coefficient: -1 });
    for (const step of [connect(), COMPARE, COMPLETE]) await ask(step);
    expect(link.state).toBe('ready');
    await pair.dialer.send({ _: 'worker.newCoefficient', new_coefficient: -1 });
    expect(await pair.acceptor.closed).toMatchObject({ remoteCode: 621 });
  });

  it('run: before Ready it is a mistake of the caller', async () => {
    await expect(accept().link.run(REQUEST, recorder().sink, NEVER)).rejects.toMatchObject({ code: 'E_INTERNAL' });
  });
});

describe('WorkerLink.run: a worker that misbehaves', () => {
  it.each<[string, (id: Uint8Array) => TlObject[], string[]]>([
    ['a part before the head', (id) => [part(id, 'x')], ['fail 601']],
    ['a second head', (id) => [head(id), head(id)], ['head 200', 'fail 601']],
    ['an end before the head', (id) => [end(id)], ['fail 601']],
    ['a head that is no http.response', (id) => [head(id, text('nonsense'))], ['fail 601']],
    ['an error without final info', (request_id) => [{ _: 'proxy.queryAnswerErrorEx', request_id, error_code: 602, error: 'no', flags: 0 }], ['fail 602']],
  ])('%s fails that request only, and is cancelled', async (_name, messages, expected) => {
    const { link, pair, packets } = await handMade();
    const other = recorder();
    const fine = link.run(REQUEST, other.sink, NEVER);
    const { calls, sink } = recorder();
    const outcome = link.run(REQUEST, sink, NEVER);
    await settle();
    const [first, second] = packets.filter(({ _ }) => _ === 'proxy.runQueryEx').map(idOf);
    for (const message of messages(second!)) await pair.dialer.send(message);
    await settle();
    expect(calls.slice(0, expected.length)).toEqual(expected);
    expect(calls.filter((call) => typeof call === 'string' && /^(fail|end)/.test(call))).toHaveLength(1);
    if (expected.at(-1) === 'fail 601') {
      expect(packets.filter(({ _ }) => _ === 'proxy.cancelQuery')).toHaveLength(_name === 'an end before the head' ? 0 : 1);
      await pair.dialer.send({ _: 'proxy.queryAnswerErrorEx', request_id: second!, error_code: 653, error: 'cancelled', flags: 1, final_info: { _: 'proxy.queryFinalInfo', flags: 0, tokens_used: TOKENS } });
    }
    expect(await outcome).toMatchObject({ kind: 'failed' });
    await pair.dialer.send(head(first!));
    await pair.dialer.send(end(first!, 'fine'));
    expect(await fine).toMatchObject({ kind: 'ended' });
    expect(other.calls).toEqual(['head 200', 'end fine', { tokens: INFO.tokens }]);
  });

  it('a sink that takes nothing loses its own request only; one that fails gives the request up', async () => {
    const { link, pair, packets, timers } = await handMade(5, { maxQueuedBytes: 10_000 });
    const stuck = recorder({ head: () => new Promise(() => undefined) });
    const broken = recorder({ head: async () => { throw new CocoonError('E_CLOSED', 'client has gone'); } });
    const outcomes = [link.run(REQUEST, stuck.sink, NEVER), link.run(REQUEST, broken.sink, NEVER)];
    await settle();
    const [first, second] = packets.map(idOf);
    await pair.dialer.send(head(first!));
    await pair.dialer.send(head(second!));
    for (let count = 0; count < 20; count++) await pair.dialer.send(part(first!, 'x'.repeat(1000)));
    await settle();
    expect(stuck.calls.slice(0, 1)).toEqual(['fail 602']);
    expect(packets.filter(({ _ }) => _ === 'proxy.cancelQuery')).toHaveLength(2);
    await timers.advance(5_000);
    expect(await Promise.all(outcomes)).toEqual([expect.objectContaining({ kind: 'cancelled' }), expect.objectContaining({ kind: 'cancelled' })]);
    expect(link.state).toBe('ready');
  });

  it('answers to unknown ids and unknown packets are ignored', async () => {
    const { link, pair, packets } = await handMade();
    const { calls, sink } = recorder();
    const outcome = link.run(REQUEST, sink, NEVER);
    await settle();
    const id = idOf(packets.at(-1));
    await pair.dialer.send(part(new Uint8Array(32).fill(77), 'x'));
    await pair.dialer.send({ _: 'test.answer', id: 1n });
    for (const message of [head(id), end(id, 'a'), part(id, 'late'), end(id)]) await pair.dialer.send(message);
    expect(await outcome).toMatchObject({ kind: 'ended' });
    expect(calls).toHaveLength(3);
  });

  it.each<[string, (id: Uint8Array) => TlObject]>([
    ['old', (request_id) => ({ _: 'proxy.queryAnswerError', error_code: 602, error: 'no', request_id, tokens_used: TOKENS })],
    ['old part', (request_id) => ({ _: 'proxy.queryAnswerPartError', error_code: 602, error: 'no', request_id, tokens_used: TOKENS })],
  ])('%s errors are understood', async (_name, message) => {
    const { link, pair, packets } = await handMade();
    const { calls, sink } = recorder();
    const outcome = link.run(REQUEST, sink, NEVER);
    await settle();
    await pair.dialer.send(message(idOf(packets.at(-1))));
    expect(await outcome).toMatchObject({ kind: 'failed', info: { tokens: INFO.tokens } });
    expect(calls).toEqual(['fail 602', 'no', { tokens: INFO.tokens }]);
  });

  it('answerAtOnce: old answers without times are complete', async () => {
    const { link, session } = await connected({ port: workerPort({ run: answerAtOnce }), options: { versions: { min: 0, max: 0 } } });
    expect(session.capabilities.exAnswers).toBe(false);
    expect(await link.run(REQUEST, recorder().sink, NEVER)).toMatchObject({ kind: 'ended', info: { tokens: INFO.tokens } });
  });
});

describe('explainChoice: a worker asks why it was or was not chosen', () => {
  const explaining = (json: string): FakeWorkerGate => {
    const gate = workerGate();
    return { ...gate, admit: async (hello, link) => ({ ...await gate.admit(hello, link), explain: () => json }) };
  };

  it('version 7: the proxy answers with its text, once a second', async () => {
    const { session } = await connected({ gate: explaining('{"chosen":1}') });
    expect(session.version).toBeGreaterThanOrEqual(7);
    expect(await session.explainChoice()).toBe('{"chosen":1}');
    await expect(session.explainChoice()).rejects.toMatchObject({ remoteCode: 651 });
  });

  it.each([1, 5, 6])('version %i: null, and nothing is sent', async (version) => {
    const { session, pair } = await connected({ gate: explaining('{}'), options: { versions: { min: 1, max: version } } });
    expect(await session.explainChoice()).toBeNull();
    // Whoever asks all the same is told what is told of every unknown query.
    await expect(pair.dialer.query({ _: 'cocoon.explainChoice' }, { timeoutMs: 1000 })).rejects.toMatchObject({ remoteCode: 0 });
  });

  it('an explanation that is too long is refused on both sides', async () => {
    const { session } = await connected({ gate: explaining('x'.repeat(16 * 1024 + 1)) });
    await expect(session.explainChoice()).rejects.toMatchObject({ remoteCode: 601 });
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    const answers: Partial<Record<TlFunction['_'], TlObject>> = {
      'worker.connectToProxy': {
        _: 'worker.connectedToProxy', worker_sc_address: 'w',
        params: { _: 'proxy.params', flags: 3, proxy_public_key: new Uint8Array(32), proxy_owner_address: 'o', proxy_sc_address: 'p', is_test: true, proto_version: 7 },
      },
      'worker.compareBalanceWithProxy': {
        _: 'worker.compareBalanceWithProxyResult', signed_payment: { _: 'proxy.signedPaymentEmpty' }, tokens_committed_to_db: 0n, max_tokens: 0n, error_code: 0,
      },
      'worker.proxyHandshakeComplete': { _: 'worker.proxyHandshakeCompleted' },
      'cocoon.explainChoice': { _: 'cocoon.choiceExplanation', json: new Uint8Array(16 * 1024 + 1) },
    };
    pair.acceptor.handle({
      onQuery: async ({ _ }) => {
        const answer = answers[_];
        if (answer === undefined) throw new RemoteError(0, _);
        return answer;
      },
      onPacket: () => undefined,
    });
    const told = await openWorkerSession(pair.dialer, workerPort(), { ...workerOptions, timers });
    await expect(told.explainChoice()).rejects.toMatchObject({ code: 'E_PROTOCOL' });
  });
});
