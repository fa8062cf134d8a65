// Our client and our proxy against each other, in every version; every refusal, time-out and disorder of the client's end.
import { describe, expect, it } from '@jest/globals';
import { AttestationError, CocoonError, InterruptedError, RemoteError } from '../../src/core/errors.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import type { ClientAcceptorOptions, ClientGate } from '../../src/wire/client-acceptor.ts';
import { openClientSession } from '../../src/wire/client-session.ts';
import type { AnswerEvent, AskRequest, ClientSession, ClientSessionOptions, ClientSessionPort } from '../../src/wire/client-session.ts';
import type { TlPacket } from '../../src/wire/connection.ts';
import type { TlFunction, TlObject } from '../../src/wire/tl/types.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { PROXY_VERSIONS } from '../../src/wire/versions.ts';
import { connectionPair } from '../fakes/connection-pair.ts';
import type { FakeConnection } from '../fakes/connection-pair.ts';
import { manualTimers, settle } from '../fakes/manual-timers.ts';
import type { ManualTimers } from '../fakes/manual-timers.ts';
import {
  answerAtOnce, clientAcceptorOptions, clientGate, clientOptions, clientPort, countingRandom, HEAD, INFO, PROXY, QUERY, SECRET, STATUS, text,
} from '../fakes/session-ports.ts';

const REQUEST: AskRequest = { model: 'm', query: QUERY, maxCoefficient: 4000, maxTokens: 100, timeoutMs: 120_000 };

interface Setup {
  readonly gate?: ClientGate;
  readonly port?: ClientSessionPort;
  readonly options?: Partial<ClientSessionOptions>;
  readonly acceptor?: Partial<ClientAcceptorOptions>;
}

async function connected({ gate = clientGate(), port = clientPort(), options, acceptor }: Setup = {}) {
  const timers = manualTimers();
  const pair = connectionPair({ timers });
  const link = acceptClient(pair.acceptor, gate, { ...clientAcceptorOptions, timers, ...acceptor });
  const session = await openClientSession(pair.dialer, port, { ...clientOptions, timers, random: countingRandom(), ...options });
  return { timers, pair, link, session, port };
}

async function collect(events: AsyncIterable<AnswerEvent>): Promise<AnswerEvent[]> {
  const all: AnswerEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const bodyOf = (events: readonly AnswerEvent[]): string => events.map((event) => (event.kind === 'part' ? new TextDecoder().decode(event.bytes) : '')).join('');
const namesOf = (packets: readonly TlPacket[]): string[] => packets.map(({ _ }) => _);

/** A proxy that answers queries from a table and hands its packets to the test. */
function scriptedProxy(connection: FakeConnection, answers: Partial<Record<TlFunction['_'], TlObject | RemoteError>>) {
  const packets: TlPacket[] = [];
  connection.handle({
    onQuery: async (query) => {
      const answer = answers[query._];
      if (answer === undefined) return new Promise<never>(() => undefined);
      if (answer instanceof RemoteError) throw answer;
      return answer;
    },
    onPacket: (packet) => {
      packets.push(packet);
    },
  });
  return packets;
}

const CONNECTED: TlObject = {
  _: 'client.connectedToProxy',
  params: {
    _: 'proxy.params', flags: 3, proxy_public_key: PROXY.publicKey, proxy_owner_address: 'o', proxy_sc_address: 'c', is_test: true, proto_version: 2,
  },
  client_sc_address: 'client', auth: { _: 'client.proxyConnectionAuthLong', nonce: -1n }, signed_payment: { _: 'proxy.signedPaymentEmpty' },
};
const AUTHORIZED: TlObject = {
  _: 'client.authorizationWithProxySuccess', signed_payment: { _: 'proxy.signedPaymentEmpty' }, tokens_committed_to_db: 0n, max_tokens: 0n,
};
const HANDSHAKE = { 'client.connectToProxy': CONNECTED, 'client.authorizeWithProxyLong': AUTHORIZED };

async function scripted(answers: Partial<Record<TlFunction['_'], TlObject | RemoteError>> = {}, options: Partial<ClientSessionOptions> = {}) {
  const timers: ManualTimers = manualTimers();
  const pair = connectionPair({ timers });
  const packets = scriptedProxy(pair.acceptor, { ...HANDSHAKE, ...answers });
  const session = await openClientSession(pair.dialer, clientPort({ checkProxy: async () => ({ kind: 'long' }) }), { ...clientOptions, timers, random: countingRandom(), ...options });
  return { timers, pair, packets, session };
}

/** Starts a request and returns its id and the running iteration. */
async function asked(session: ClientSession, packets: readonly TlPacket[], request: Partial<AskRequest> = {}) {
  const answer = session.ask({ ...REQUEST, ...request });
  const result = collect(answer);
  result.catch(() => undefined);
  await settle();
  const packet = packets.at(-1);
  if (packet?._ !== 'client.runQueryEx') throw new Error('no request was sent');
  return { id: packet.request_id, result };
}

const HTTP_RESPONSE = encodeBoxed({ _: 'http.response', http_version: 'HTTP/1.1', status_code: 200, reason: 'OK', headers: [], payload: text('') });
const head = (request_id: Uint8Array, answer = HTTP_RESPONSE): TlObject => ({ _: 'client.queryAnswerEx', request_id, answer, flags: 0 });
const part = (request_id: Uint8Array, body: string): TlObject => ({ _: 'client.queryAnswerPartEx', request_id, answer: text(body), flags: 0 });
const TOKENS = { _: 'tokensUsed', prompt_tokens_used: 1n, cached_tokens_used: 2n, completion_tokens_used: 3n, reasoning_tokens_used: 4n, total_tokens_used: 10n } as const;
const end = (request_id: Uint8Array, body = '', tokens_used: typeof TOKENS = TOKENS): TlObject =>
  ({ _: 'client.queryAnswerPartEx', request_id, answer: text(body), flags: 1, final_info: { _: 'client.queryFinalInfo', flags: 0, tokens_used } });

describe('openClientSession: with our proxy', () => {
  it.each([0, 1, 2, 3, 4, 5, 6])('version %i: an answer comes whole, with what the version can say', async (version) => {
    const gate = clientGate();
    const { session, pair } = await connected({ gate, options: { versions: { min: version, max: version } } });
    const publicKey = new Uint8Array(32).fill(9);
    const events = await collect(session.ask({ ...REQUEST, enableDebug: true, publicKey }));
    expect(session.version).toBe(version);
    expect(events.map(({ kind }) => kind)).toEqual(['head', 'part', 'part', 'part', 'end']);
    expect(events[0]).toEqual({ kind: 'head', head: HEAD });
    expect(bodyOf(events)).toBe('one two three');
    expect(events.at(-1)).toEqual({ kind: 'end', info: version >= 2 ? INFO : { tokens: INFO.tokens } });
    expect(gate.requests).toEqual([expect.objectContaining({
      model: 'm', query: QUERY, maxCoefficient: 4000, maxTokens: 100, timeoutMs: 114_000, minConfigVersion: 3,
      enableDebug: version >= 1, publicKey: version >= 3 ? publicKey : null,
    })]);
    expect(namesOf(pair.dialer.sent).at(-1)).toBe(version === 0 ? 'client.runQuery' : 'client.runQueryEx');
    expect(namesOf(pair.acceptor.sent).slice(-4)).toEqual(version === 0
      ? ['client.queryAnswer', 'client.queryAnswerPart', 'client.queryAnswerPart', 'client.queryAnswerPart']
      : ['client.queryAnswerEx', 'client.queryAnswerPartEx', 'client.queryAnswerPartEx', 'client.queryAnswerPartEx']);
    expect(session.runningRequests).toBe(0);
  });

  it.each([0, 2, 5])('version %i: an error before and after the head arrives with its final info', async (version) => {
    for (const afterHead of [false, true]) {
      const gate = clientGate({
        run: async (_request, sink) => {
          if (afterHead) await sink.head(HEAD);
          await sink.fail(621, 'unknown model m', INFO);
        },
      });
      const { session } = await connected({ gate, options: { versions: { min: version, max: version } } });
      await expect(collect(session.ask(REQUEST))).rejects.toMatchObject({
        code: 'E_REMOTE', remoteCode: 621, remoteMessage: 'unknown model m', info: version >= 2 ? INFO : { tokens: INFO.tokens },
      });
    }
  });

  it('hands the offer to the port and sends the secret only after it agreed', async () => {
    const port = clientPort();
    const { session, link } = await connected({ port });
    expect(port.offers).toEqual([{
      proxy: PROXY, clientContractAddress: 'client-contract', signedPayment: null, version: PROXY_VERSIONS.max,
      auth: { kind: 'short', secretHash: expect.any(Uint8Array), nonce: 0xffff_ffff_ffff_fffen },
    }]);
    expect(port.statuses).toEqual([STATUS]);
    expect(session.offer).toBe(port.offers[0]);
    expect(link.state).toBe('ready');
  });

  it('a proxy that the port refuses learns nothing, and the connection closes with the port\'s error', async () => {
    const refusal = new AttestationError('E_EVIDENCE_REFUSED', 'no');
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    acceptClient(pair.acceptor, clientGate(), { ...clientAcceptorOptions, timers });
    const port = clientPort({
      checkProxy: async () => {
        throw refusal;
      },
    });
    await expect(openClientSession(pair.dialer, port, { ...clientOptions, timers })).rejects.toBe(refusal);
    expect(await pair.dialer.closed).toBe(refusal);
    expect(namesOf(pair.dialer.sent)).toEqual(['client.connectToProxy']);
  });

  it('the proxy\'s refusal is the error', async () => {
    const gate = clientGate({ gate: { admit: async () => { throw new RemoteError(651, 'proxy is not participating in this iteration'); } } });
    await expect(connected({ gate })).rejects.toMatchObject({ code: 'E_REMOTE', remoteCode: 651 });
    await expect(connected({ port: clientPort({ checkProxy: async () => ({ kind: 'short', secret: text('wrong') }) }) }))
      .rejects.toMatchObject({ remoteCode: 0, remoteMessage: 'sha256 mismatch' });
  });

  it('models: lists instances, and the summary of a proxy that only has the first version', async () => {
    const { session } = await connected();
    expect(await session.models()).toEqual([{
      model: 'm', activeWorkers: 3, minCoefficient: 1000,
      workers: [3000, 1000, 2000].map((coefficient) => ({ coefficient, activeRequests: 1, maxActiveRequests: 8 })),
    }]);
    const old = await scripted({
      'client.getWorkerTypesV2': new RemoteError(0, 'Lost promise'),
      'client.getWorkerTypes': { _: 'client.workerTypes', types: [
        { _: 'client.workerType', name: 'm', active_workers: 1, coefficient_min: 1000, coefficient_bucket50: 2147483647, coefficient_max: 2147483647 },
        { _: 'client.workerType', name: 'gone', active_workers: 0, coefficient_min: 2147483647, coefficient_bucket50: 2147483647, coefficient_max: 2147483647 },
      ] },
    });
    expect(await old.session.models()).toEqual([
      { model: 'm', activeWorkers: 1, minCoefficient: 1000, workers: null }, { model: 'gone', activeWorkers: 0, minCoefficient: null, workers: null },
    ]);
  });

  it('payments: pushed ones and the periodic status reach the port; a port that throws closes the connection', async () => {
    const port = clientPort();
    const { timers, link, session } = await connected({ port });
    const payment = { ...STATUS, requestId: new Uint8Array(32).fill(1), requestTokens: 5n };
    await link.requestPayment(payment);
    await settle();
    expect(port.payments).toEqual([payment]);
    await timers.advance(9_999);
    expect(port.statuses).toHaveLength(1);
    await timers.advance(10_001);
    expect(port.statuses).toHaveLength(2);
    await timers.advance(40_000);
    expect(port.statuses.length).toBeGreaterThanOrEqual(4);
    expect(await session.updatePaymentStatus()).toEqual(STATUS);

    const refusal = new CocoonError('E_STATE', 'payment is lower than the last one');
    const angry = await connected({ port: clientPort({ requestPayment: () => { throw refusal; } }) });
    await angry.link.requestPayment(payment);
    expect(await angry.session.closed).toBe(refusal);
  });
});

describe('openClientSession: a proxy that misbehaves in the handshake', () => {
  const params = (changes: object) => ({ ...CONNECTED, params: { ...(CONNECTED as { params: object }).params, ...changes } }) as TlObject;
  const { is_test: _isTest, ...noTest } = (CONNECTED as { params: { is_test: boolean } }).params;
  it.each<[string, Partial<Record<TlFunction['_'], TlObject>>, object]>([
    ['another answer', { 'client.connectToProxy': AUTHORIZED }, { code: 'E_PROTOCOL' }],
    ['a version that was not offered', { 'client.connectToProxy': params({ proto_version: 9 }) }, { code: 'E_PROTOCOL' }],
    ['no version where the lowest offered is 1', { 'client.connectToProxy': params({ proto_version: 0 }) }, { code: 'E_PROTOCOL' }],
    ['another test mode', { 'client.connectToProxy': params({ is_test: false }) }, { code: 'E_PROTOCOL' }],
    ['no test mode', { 'client.connectToProxy': { ...CONNECTED, params: { ...noTest, flags: 2 } } as TlObject }, { code: 'E_PROTOCOL' }],
    ['a refusal of the authorisation', { 'client.authorizeWithProxyLong': { _: 'client.authorizationWithProxyFailed', error_code: 602, error: 'no deposit' } }, { remoteCode: 602 }],
    ['another answer to the authorisation', { 'client.authorizeWithProxyLong': CONNECTED }, { code: 'E_PROTOCOL' }],
    ['negative counters', { 'client.authorizeWithProxyLong': { ...AUTHORIZED, max_tokens: -1n } as TlObject }, { code: 'E_PROTOCOL' }],
  ])('%s is refused and the connection closes', async (_name, answers, error) => {
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    scriptedProxy(pair.acceptor, { ...HANDSHAKE, ...answers });
    const opening = openClientSession(pair.dialer, clientPort({ checkProxy: async () => ({ kind: 'long' }) }), { ...clientOptions, timers });
    await expect(opening).rejects.toMatchObject(error);
    expect(await pair.dialer.closed).toMatchObject(error);
  });

  it('a secret where long authentication is demanded is never sent', async () => {
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    scriptedProxy(pair.acceptor, HANDSHAKE);
    const opening = openClientSession(pair.dialer, clientPort({ checkProxy: async () => ({ kind: 'short', secret: SECRET }) }), { ...clientOptions, timers });
    await expect(opening).rejects.toMatchObject({ code: 'E_PROTOCOL' });
    expect(namesOf(pair.dialer.sent)).toEqual(['client.connectToProxy']);
  });

  it.each<[string, Partial<Record<TlFunction['_'], TlObject>>, number]>([
    ['connect', {}, 30_000], ['authorisation', { 'client.connectToProxy': CONNECTED }, 300_000],
  ])('silence at %s ends in E_TIMEOUT', async (_name, answers, limitMs) => {
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    scriptedProxy(pair.acceptor, answers);
    const opening = openClientSession(pair.dialer, clientPort({ checkProxy: async () => ({ kind: 'long' }) }), { ...clientOptions, timers });
    opening.catch(() => undefined);
    await timers.advance(limitMs - 1);
    await timers.advance(1);
    await expect(opening).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    expect(timers.pending).toBe(0);
  });

  it('a port that does not decide is told to stop, at its limit and when the connection ends', async () => {
    for (const cut of [true, false]) {
      const timers = manualTimers();
      const pair = connectionPair({ timers });
      scriptedProxy(pair.acceptor, HANDSHAKE);
      const signals: AbortSignal[] = [];
      const opening = openClientSession(pair.dialer, clientPort({
        checkProxy: (_offer, signal) => {
          signals.push(signal);
          return new Promise(() => undefined);
        },
      }), { ...clientOptions, timers });
      opening.catch(() => undefined);
      await settle();
      if (cut) pair.dialer.cut();
      else await timers.advance(300_000);
      await expect(opening).rejects.toMatchObject({ code: cut ? 'E_CLOSED' : 'E_TIMEOUT' });
      expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    }
  });
});

describe('ClientSession.ask: a proxy that misbehaves', () => {
  it.each<[string, (id: Uint8Array) => TlObject[]]>([
    ['a part before the head', (id) => [part(id, 'x')]],
    ['a second head', (id) => [head(id), head(id)]],
    ['an end before the head', (id) => [end(id)]],
    ['a head that is no http.response', (id) => [head(id, text('nonsense'))]],
    ['negative tokens', (id) => [head(id), end(id, '', { ...TOKENS, total_tokens_used: -1n } as never)]],
  ])('%s fails that request only', async (_name, messages) => {
    const { session, packets, pair } = await scripted();
    const other = await asked(session, packets);
    const { id, result } = await asked(session, packets);
    for (const message of messages(id)) await pair.acceptor.send(message);
    await expect(result).rejects.toMatchObject({ code: 'E_PROTOCOL' });
    await pair.acceptor.send(head(other.id));
    await pair.acceptor.send(end(other.id, 'fine'));
    expect(bodyOf(await other.result)).toBe('fine');
  });

  it('answers to unknown ids, unknown packets and what comes after the end are ignored', async () => {
    const { session, packets, pair } = await scripted();
    const { id, result } = await asked(session, packets);
    await pair.acceptor.send(part(new Uint8Array(32).fill(99), 'x'));
    await pair.acceptor.send({ _: 'test.answer', id: 1n });
    await pair.acceptor.send(head(id));
    await pair.acceptor.send(end(id, 'body'));
    await pair.acceptor.send(part(id, 'late'));
    await pair.acceptor.send(end(id, 'later'));
    expect(bodyOf(await result)).toBe('body');
    expect(session.runningRequests).toBe(0);
  });

  it.each<[string, (id: Uint8Array) => TlObject[], string]>([
    ['old', (request_id) => [
      { _: 'client.queryAnswer', answer: HTTP_RESPONSE, is_completed: false, request_id, request_tokens_used: TOKENS },
      { _: 'client.queryAnswerPart', answer: text('old'), is_completed: true, request_id, request_tokens_used: TOKENS },
    ], 'old'],
    ['mixed', (request_id) => [
      { _: 'client.queryAnswer', answer: HTTP_RESPONSE, is_completed: false, request_id, request_tokens_used: TOKENS }, part(request_id, 'a'), end(request_id, 'b'),
    ], 'ab'],
    ['in one message', (request_id) => [
      { _: 'client.queryAnswerEx', request_id, answer: HTTP_RESPONSE, flags: 1, final_info: { _: 'client.queryFinalInfo', flags: 0, tokens_used: TOKENS } },
    ], ''],
  ])('%s constructors are understood at version 2', async (_name, messages, body) => {
    const { session, packets, pair } = await scripted();
    const { id, result } = await asked(session, packets);
    for (const message of messages(id)) await pair.acceptor.send(message);
    const events = await result;
    expect(bodyOf(events)).toBe(body);
    expect(events.at(-1)).toEqual({ kind: 'end', info: { tokens: INFO.tokens } });
  });

  it.each<[string, (id: Uint8Array) => TlObject, boolean]>([
    ['queryAnswerError', (request_id) => ({ _: 'client.queryAnswerError', error_code: 651, error: 'busy', request_id, request_tokens_used: TOKENS }), true],
    ['queryAnswerPartError', (request_id) => ({ _: 'client.queryAnswerPartError', error_code: 651, error: 'busy', request_id, request_tokens_used: TOKENS }), true],
    ['queryAnswerErrorEx without final info', (request_id) => ({ _: 'client.queryAnswerErrorEx', error_code: 651, error: 'busy', request_id, flags: 0 }), false],
  ])('%s ends the request', async (_name, message, withInfo) => {
    const { session, packets, pair } = await scripted();
    const { id, result } = await asked(session, packets);
    await pair.acceptor.send(message(id));
    await expect(result).rejects.toMatchObject({ remoteCode: 651, remoteMessage: 'busy', info: withInfo ? { tokens: INFO.tokens } : null });
  });

  it('its own deadline ends a request that gets no answer, half an answer, or only unreadable times', async () => {
    const { session, packets, pair, timers } = await scripted();
    const silent = await asked(session, packets, { timeoutMs: 5_000 });
    const half = await asked(session, packets, { timeoutMs: 5_000 });
    await pair.acceptor.send(head(half.id));
    await pair.acceptor.send(part(half.id, 'x'));
    await timers.advance(4_999);
    expect(session.runningRequests).toBe(2);
    await timers.advance(1);
    await expect(silent.result).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    await expect(half.result).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    await timers.advance(5_000);
    expect(session.runningRequests).toBe(0);
  });

  it('a connection that ends fails all requests at once as incomplete', async () => {
    for (const how of ['cut', 'closed by the proxy', 'closed here'] as const) {
      const { session, packets, pair, timers } = await scripted();
      const first = await asked(session, packets);
      const second = await asked(session, packets);
      await pair.acceptor.send(head(second.id));
      if (how === 'cut') pair.acceptor.cut();
      else if (how === 'closed by the proxy') pair.acceptor.close();
      else session.close();
      await expect(first.result).rejects.toMatchObject({ code: 'E_CLOSED', message: expect.stringContaining('before the answer was complete') });
      await expect(second.result).rejects.toMatchObject({ code: 'E_CLOSED' });
      await session.closed;
      await settle();
      expect(timers.pending).toBe(0);
      await expect(collect(session.ask(REQUEST))).rejects.toMatchObject({ code: 'E_CLOSED' });
    }
  });

  it('a reader that does not read fails its own request when the bounded queue is full, and no other', async () => {
    const { session, packets, pair } = await scripted({}, { maxQueuedBytes: 10_000 });
    const slow = session.ask(REQUEST);
    const first = slow.next();
    await settle();
    const { request_id } = packets.at(-1) as { request_id: Uint8Array };
    await pair.acceptor.send(head(request_id));
    expect((await first).value).toMatchObject({ kind: 'head' });
    for (let count = 0; count < 20; count++) await pair.acceptor.send(part(request_id, 'x'.repeat(1000)));
    await settle();
    await expect(slow.next()).rejects.toMatchObject({ code: 'E_BACKLOG' });
    const other = await asked(session, packets);
    await pair.acceptor.send(head(other.id));
    await pair.acceptor.send(end(other.id, 'fine'));
    expect(bodyOf(await other.result)).toBe('fine');
  });

  it('queries from a proxy are answered with an error', async () => {
    const { pair, session } = await scripted();
    await expect(pair.acceptor.query({ _: 'worker.changeModel', new_model: 'x' }, { timeoutMs: 1000 })).rejects.toMatchObject({ remoteCode: 0 });
    expect(session.runningRequests).toBe(0);
  });

  it('a request that cannot be sent fails by itself', async () => {
    const { session } = await scripted();
    await expect(collect(session.ask({ ...REQUEST, maxTokens: 2 ** 40 }))).rejects.toMatchObject({ code: 'E_INTERNAL' });
    expect(session.runningRequests).toBe(0);
  });
});

describe('ClientSession.ask: cancellation', () => {
  /** A proxy that answers until it is told to stop. */
  const endless = () => {
    const stopped: unknown[] = [];
    const gate = clientGate({
      run: async (_request, sink, signal) => {
        await sink.head(HEAD);
        await sink.part(text('first'));
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        stopped.push(signal.reason);
        await sink.fail(653, 'stopped', INFO);
      },
    });
    return { gate, stopped };
  };

  it('version 5: leaving the loop stops the request at the proxy, and the connection goes on', async () => {
    const { gate, stopped } = endless();
    const { session, pair } = await connected({ gate });
    for await (const event of session.ask(REQUEST)) {
      if (event.kind === 'part') break;
    }
    await settle();
    expect(namesOf(pair.dialer.sent).at(-1)).toBe('client.cancelQuery');
    expect(stopped).toEqual([expect.objectContaining({ code: 'E_INTERRUPTED' })]);
    expect(pair.acceptor.sent.at(-1)).toMatchObject({ _: 'client.queryAnswerErrorEx', error_code: 653, final_info: { tokens_used: { total_tokens_used: 10n } } });
    expect(session.runningRequests).toBe(0);
    expect(await session.models()).toHaveLength(1);
  });

  it('version 5: aborting rejects at once with the reason and stops the request at the proxy', async () => {
    const { gate, stopped } = endless();
    const { session } = await connected({ gate });
    const controller = new AbortController();
    const result = collect(session.ask({ ...REQUEST, signal: controller.signal }));
    result.catch(() => undefined);
    await settle();
    const reason = new InterruptedError('E_INTERRUPTED', 'reader has gone');
    controller.abort(reason);
    await expect(result).rejects.toBe(reason);
    await settle();
    expect(stopped).toHaveLength(1);
  });

  it('the proxy stops at 0.95 of the deadline and still tells the client what was used', async () => {
    const { gate, stopped } = endless();
    const { session, timers } = await connected({ gate });
    const result = collect(session.ask({ ...REQUEST, timeoutMs: 1_000 }));
    result.catch(() => undefined);
    await settle();
    await timers.advance(950);
    await expect(result).rejects.toMatchObject({ remoteCode: 652, info: INFO });
    expect(stopped).toEqual([expect.objectContaining({ code: 'E_TIMEOUT' })]);
  });

  it('version 5: the own deadline cancels at a proxy that does not keep it', async () => {
    const { params, ...rest } = CONNECTED as { params: object };
    const { session, packets, timers } = await scripted({ 'client.connectToProxy': { ...rest, params: { ...params, proto_version: 5 } } as TlObject });
    const { id, result } = await asked(session, packets, { timeoutMs: 1_000 });
    await timers.advance(1_000);
    await expect(result).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    expect(packets.at(-1)).toEqual({ _: 'client.cancelQuery', request_id: id });
  });

  it('a signal that was aborted before sends nothing', async () => {
    const { session, pair } = await connected();
    await expect(collect(session.ask({ ...REQUEST, signal: AbortSignal.abort(new InterruptedError('E_INTERRUPTED', 'no')) }))).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
    expect(namesOf(pair.dialer.sent)).not.toContain('client.runQueryEx');
  });

  it.each([0, 1, 2, 3, 4])('version %i: the message is never sent', async (version) => {
    const { gate } = endless();
    const { session, pair } = await connected({ gate, options: { versions: { min: version, max: version } } });
    for await (const event of session.ask(REQUEST)) {
      if (event.kind === 'part') break;
    }
    await settle();
    expect(namesOf(pair.dialer.sent)).not.toContain('client.cancelQuery');
    expect(session.runningRequests).toBe(1);
  });
});

it('answerAtOnce: an answer that was complete when its reader left is not cancelled', async () => {
  const { session, pair } = await connected({ gate: clientGate({ run: answerAtOnce }) });
  const answer = session.ask(REQUEST);
  await answer.next();
  await settle();
  await answer.return();
  expect(namesOf(pair.dialer.sent)).not.toContain('client.cancelQuery');
});
