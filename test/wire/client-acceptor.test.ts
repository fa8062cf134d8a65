// Our proxy's end for clients: admission, order, limits and time-outs, with clients written by hand.
import { describe, expect, it } from '@jest/globals';
import { RemoteError } from '../../src/core/errors.ts';
import type { CocoonError } from '../../src/core/errors.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import type { ClientAcceptorOptions } from '../../src/wire/client-acceptor.ts';
import type { TlPacket } from '../../src/wire/connection.ts';
import type { ClientParams, ClientRunQueryEx, TlFunction } from '../../src/wire/tl/types.ts';
import { connectionPair } from '../fakes/connection-pair.ts';
import { manualTimers, settle } from '../fakes/manual-timers.ts';
import { clientAcceptorOptions, clientGate, HEAD, INFO, QUERY, SECRET, STATUS, text } from '../fakes/session-ports.ts';

const PARAMS: ClientParams = { _: 'client.params', flags: 3, client_owner_address: 'o', is_test: true, min_proto_version: 1, max_proto_version: 5 };
const CONNECT: TlFunction = { _: 'client.connectToProxy', params: PARAMS, min_config_version: 3 };
const SHORT: TlFunction = { _: 'client.authorizeWithProxyShort', data: SECRET };
const LONG: TlFunction = { _: 'client.authorizeWithProxyLong' };
const RUN: ClientRunQueryEx = {
  _: 'client.runQueryEx', model_name: 'm', query: QUERY, max_coefficient: 4000, max_tokens: 100, timeout: 60, request_id: new Uint8Array(32).fill(1),
  min_config_version: 3, flags: 1, enable_debug: false,
};
const withId = (byte: number): ClientRunQueryEx => ({ ...RUN, request_id: new Uint8Array(32).fill(byte) });

function accept(gate = clientGate(), options: Partial<ClientAcceptorOptions> = {}) {
  const timers = manualTimers();
  const pair = connectionPair({ timers });
  const packets: TlPacket[] = [];
  pair.dialer.handle({
    onQuery: () => new Promise(() => undefined),
    onPacket: (packet) => {
      packets.push(packet);
    },
  });
  const link = acceptClient(pair.acceptor, gate, { ...clientAcceptorOptions, timers, ...options });
  return { timers, pair, link, packets, ask: (query: TlFunction) => pair.dialer.query(query, { timeoutMs: 10_000_000 }) };
}

async function ready(gate = clientGate(), options: Partial<ClientAcceptorOptions> = {}) {
  const client = accept(gate, options);
  await client.ask(CONNECT);
  await client.ask(SHORT);
  return client;
}

/** A gate whose requests run until they are told to stop. */
const endless = () => {
  const reasons: string[] = [];
  const gate = clientGate({
    run: async (_request, sink, signal) => {
      await sink.head(HEAD);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      reasons.push((signal.reason as CocoonError).code);
      await sink.fail(602, 'said by the port', INFO);
    },
  });
  return { gate, reasons };
};

describe('acceptClient: handshake', () => {
  it('checks run in the order of the specification, each with its code and text', async () => {
    const refusing = clientGate({ gate: {
      checkOwner: () => { throw new RemoteError(0, 'Failed to parse account address'); }, configVersion: () => 2, admit: async () => { throw new RemoteError(602, 'client is closing'); },
    } });
    const { is_test: _test, ...noTest } = PARAMS;
    const all: ClientParams = { ...noTest, flags: 2, min_proto_version: 9, max_proto_version: 10 };
    const cases: [ClientParams, Partial<typeof refusing>, number, string][] = [
      [all, {}, 602, 'tool old client'],
      [{ ...all, flags: 3, is_test: false }, {}, 602, 'test mode mismatch'],
      [{ ...all, flags: 3, is_test: true }, {}, 0, 'Failed to parse account address'],
      [{ ...all, flags: 3, is_test: true }, { checkOwner: () => undefined }, 602, 'active config version is too low'],
      [{ ...all, flags: 3, is_test: true }, { checkOwner: () => undefined, configVersion: () => 3 }, 621, 'cannot choose common protocol version'],
      [PARAMS, { checkOwner: () => undefined, configVersion: () => 3 }, 602, 'client is closing'],
    ];
    for (const [params, changes, remoteCode, remoteMessage] of cases) {
      const { ask, pair } = accept({ ...refusing, ...changes });
      await expect(ask({ ...CONNECT, params } as TlFunction)).rejects.toMatchObject({ remoteCode, remoteMessage });
      expect(await pair.acceptor.closed).toMatchObject({ remoteCode });
    }
  });

  it('a client without a secret hash has to authenticate the long way, which the port may refuse', async () => {
    const gate = clientGate({ secretHash: null, authorize: async (method) => {
      expect(method).toEqual({ kind: 'long', nonce: 0xffff_ffff_ffff_fffen });
      return STATUS;
    } });
    const client = accept(gate);
    expect(await client.ask(CONNECT)).toMatchObject({ auth: { _: 'client.proxyConnectionAuthLong', nonce: -2n } });
    expect(await client.ask(LONG)).toMatchObject({ _: 'client.authorizationWithProxySuccess', tokens_committed_to_db: 10n, max_tokens: 20n });
    const short = accept(gate);
    await short.ask(CONNECT);
    await expect(short.ask(SHORT)).rejects.toMatchObject({ remoteCode: 0, remoteMessage: 'sha256 mismatch' });
    const refused = accept(clientGate({ authorize: async () => { throw new RemoteError(602, 'no deposit'); } }));
    await refused.ask(CONNECT);
    await expect(refused.ask(LONG)).rejects.toMatchObject({ remoteCode: 602 });
    expect(await refused.pair.acceptor.closed).toMatchObject({ remoteCode: 602 });
  });

  it('a wrong secret never reaches the port', async () => {
    let asked = 0;
    const client = accept(clientGate({ authorize: async () => { asked++; return STATUS; } }));
    await client.ask(CONNECT);
    await expect(client.ask({ _: 'client.authorizeWithProxyShort', data: text('wrong') })).rejects.toMatchObject({ remoteMessage: 'sha256 mismatch' });
    expect(asked).toBe(0);
  });

  it('a bug of the port tells the client nothing of it', async () => {
    const client = accept(clientGate({ gate: { admit: async () => { throw new Error('database password is x'); } } }));
    await expect(client.ask(CONNECT)).rejects.toMatchObject({ remoteCode: 601, remoteMessage: 'internal failure' });
  });

  it.each<[string, TlFunction[], string]>([
    ['authentication first', [SHORT], 'Wrong constructor found at 4'], ['connect twice', [CONNECT, CONNECT], 'expected auth message'],
    ['connect when ready', [CONNECT, SHORT, CONNECT], 'Wrong constructor found at 4'], ['authentication twice', [CONNECT, SHORT, SHORT], 'Wrong constructor found at 4'],
  ])('%s is refused and closes', async (_name, queries, remoteMessage) => {
    const { ask, pair } = accept();
    for (const query of queries.slice(0, -1)) await ask(query);
    await expect(ask(queries.at(-1)!)).rejects.toMatchObject({ remoteCode: 0, remoteMessage });
    await pair.acceptor.closed;
  });

  it('steps that are sent without waiting for the one before are refused', async () => {
    const client = accept(clientGate({ gate: { admit: () => new Promise(() => undefined) } }));
    client.ask(CONNECT).catch(() => undefined);
    await expect(client.ask(SHORT)).rejects.toMatchObject({ remoteMessage: 'Wrong constructor found at 4' });
    const slow = accept(clientGate({ authorize: () => new Promise(() => undefined) }));
    await slow.ask(CONNECT);
    slow.ask(SHORT).catch(() => undefined);
    await expect(slow.ask(SHORT)).rejects.toMatchObject({ remoteMessage: 'Wrong constructor found at 4' });
  });

  it('silence at each stage, and ports that do not decide, end in time', async () => {
    const silent = accept();
    await silent.timers.advance(30_000);
    expect(await silent.pair.acceptor.closed).toMatchObject({ code: 'E_TIMEOUT' });
    const connected = accept();
    await connected.ask(CONNECT);
    await connected.timers.advance(599_999);
    expect(connected.link.state).toBe('auth');
    await connected.timers.advance(1);
    expect(await connected.pair.acceptor.closed).toMatchObject({ code: 'E_TIMEOUT' });
    const signals: AbortSignal[] = [];
    const waiting = accept(clientGate({ authorize: (_method, signal) => { signals.push(signal); return new Promise(() => undefined); } }));
    await waiting.ask(CONNECT);
    const answer = waiting.ask(LONG);
    answer.catch(() => undefined);
    await settle();
    await waiting.timers.advance(300_000);
    await expect(answer).rejects.toMatchObject({ remoteCode: 652 });
    expect(signals[0]?.aborted).toBe(true);
  });

  it('a client that leaves while the port decides is told to the port', async () => {
    const signals: AbortSignal[] = [];
    const client = accept(clientGate({ authorize: (_method, signal) => { signals.push(signal); return new Promise(() => undefined); } }));
    await client.ask(CONNECT);
    client.ask(LONG).catch(() => undefined);
    await settle();
    client.pair.dialer.cut();
    await client.link.closed;
    await settle();
    expect(signals[0]?.aborted).toBe(true);
    expect([client.link.state, client.timers.pending]).toEqual(['closed', 0]);
  });

  it('frames are small until the client is authenticated', async () => {
    const client = accept(clientGate(), { maxQueryBytes: 100_000 });
    expect(client.pair.acceptor.maxFrameBytes).toBe(65_536);
    await client.ask(CONNECT);
    expect(client.pair.acceptor.maxFrameBytes).toBe(65_536);
    await client.ask(SHORT);
    expect(client.pair.acceptor.maxFrameBytes).toBe(104_096);
  });
});

describe('acceptClient: requests', () => {
  it('before authentication they are ignored', async () => {
    const gate = clientGate();
    const client = accept(gate);
    await client.pair.dialer.send(RUN);
    await client.ask(CONNECT);
    await client.pair.dialer.send(RUN);
    await client.ask(SHORT);
    await settle();
    expect([gate.requests, client.packets]).toEqual([[], []]);
  });

  it.each<[string, Partial<ClientRunQueryEx>, number, string]>([
    ['too large', { query: new Uint8Array(1001) }, 621, 'query has 1001 bytes, expected at most 1000'],
    ['negative max_tokens', { max_tokens: -1 }, 621, 'max_tokens is -1'],
    ['negative max_coefficient', { max_coefficient: -1 }, 621, 'max_coefficient is -1'],
    ['no time', { timeout: 0 }, 602, 'timeout is 0'],
    ['no number as time', { timeout: Number.NaN }, 602, 'timeout is NaN'],
  ])('%s: refused, and the connection stays', async (_name, changes, error_code, error) => {
    const gate = clientGate();
    const client = await ready(gate, { maxQueryBytes: 1000 });
    await client.pair.dialer.send({ ...RUN, ...changes });
    await settle();
    expect(client.packets).toEqual([expect.objectContaining({ _: 'client.queryAnswerErrorEx', error_code, error: expect.stringContaining(error), request_id: RUN.request_id, flags: 1 })]);
    expect([gate.requests.length, client.link.state]).toEqual([0, 'ready']);
  });

  it('one more than allowed is refused; when one ends the next may come', async () => {
    const { gate } = endless();
    const client = await ready(gate, { maxRunningRequests: 2 });
    for (const byte of [1, 2, 3]) await client.pair.dialer.send(withId(byte));
    await settle();
    expect(client.packets.at(-1)).toMatchObject({ _: 'client.queryAnswerErrorEx', error_code: 651, error: 'too many active queries', request_id: withId(3).request_id });
    await client.pair.dialer.send({ _: 'client.cancelQuery', request_id: withId(1).request_id });
    await settle();
    await client.pair.dialer.send(withId(4));
    await settle();
    expect(client.link.runningRequests).toBe(2);
    expect(gate.requests.map(({ id }) => id[0])).toEqual([1, 2, 4]);
  });

  it('an id that is in use closes the connection, one that was used does not', async () => {
    const client = await ready();
    await client.pair.dialer.send(RUN);
    await settle();
    await client.pair.dialer.send(RUN);
    await settle();
    expect(client.packets.filter(({ _ }) => _ === 'client.queryAnswerEx')).toHaveLength(2);
    const { gate, reasons } = endless();
    const busy = await ready(gate);
    await busy.pair.dialer.send(RUN);
    await busy.pair.dialer.send(RUN);
    expect(await busy.pair.acceptor.closed).toMatchObject({ code: 'E_PROTOCOL' });
    await settle();
    expect(reasons).toEqual(['E_CLOSED']);
  });

  it('cancelQuery stops one request and leaves the others; the final message says 653 and what was used', async () => {
    const { gate, reasons } = endless();
    const client = await ready(gate);
    await client.pair.dialer.send(withId(1));
    await client.pair.dialer.send(withId(2));
    await client.pair.dialer.send({ _: 'client.cancelQuery', request_id: withId(2).request_id });
    await client.pair.dialer.send({ _: 'client.cancelQuery', request_id: withId(2).request_id });
    await client.pair.dialer.send({ _: 'client.cancelQuery', request_id: withId(9).request_id });
    await settle();
    expect(reasons).toEqual(['E_INTERRUPTED']);
    expect(client.packets.filter(({ _ }) => _ === 'client.queryAnswerErrorEx')).toEqual([expect.objectContaining({
      error_code: 653, request_id: withId(2).request_id, final_info: expect.objectContaining({ tokens_used: expect.objectContaining({ total_tokens_used: 10n }) }),
    })]);
    expect(client.link.runningRequests).toBe(1);
  });

  it('cancelQuery means nothing below version 5', async () => {
    const { gate, reasons } = endless();
    const client = accept(gate);
    await client.ask({ ...CONNECT, params: { ...PARAMS, max_proto_version: 4 } } as TlFunction);
    await client.ask(SHORT);
    await client.pair.dialer.send(RUN);
    await client.pair.dialer.send({ _: 'client.cancelQuery', request_id: RUN.request_id });
    await settle();
    expect([reasons, client.link.runningRequests]).toEqual([[], 1]);
  });

  it('the client\'s time is kept, and cut to what the proxy grants', async () => {
    const { gate, reasons } = endless();
    const client = await ready(gate, { maxRequestMs: 90_000 });
    await client.pair.dialer.send(withId(1));
    await client.pair.dialer.send({ ...withId(2), timeout: 1e9 });
    await settle();
    await client.timers.advance(60_000);
    expect(client.packets.at(-1)).toMatchObject({ _: 'client.queryAnswerErrorEx', error_code: 652, request_id: withId(1).request_id });
    await client.timers.advance(30_000);
    expect(client.packets.at(-1)).toMatchObject({ error_code: 652, request_id: withId(2).request_id });
    expect(reasons).toEqual(['E_TIMEOUT', 'E_TIMEOUT']);
  });

  it('a port that ignores the end of time has its request answered for it', async () => {
    const client = await ready(clientGate({ run: () => new Promise(() => undefined) }));
    await client.pair.dialer.send(RUN);
    await settle();
    await client.timers.advance(61_000);
    expect(client.packets).toEqual([expect.objectContaining({ error_code: 652 })]);
    expect(client.link.runningRequests).toBe(0);
  });

  it('a client that leaves stops all its requests at once', async () => {
    const { gate, reasons } = endless();
    const client = await ready(gate);
    for (const byte of [1, 2, 3]) await client.pair.dialer.send(withId(byte));
    await settle();
    client.pair.dialer.cut();
    await client.link.closed;
    await settle();
    expect(reasons).toEqual(['E_CLOSED', 'E_CLOSED', 'E_CLOSED']);
    expect([client.link.state, client.link.runningRequests, client.timers.pending]).toEqual(['closed', 0, 0]);
  });

  it('sink: waits while the client takes nothing', async () => {
    const taken: string[] = [];
    const client = await ready(clientGate({ run: async (_request, sink) => {
      await sink.head(HEAD);
      taken.push('head');
      await sink.part(text('x'));
      taken.push('part');
      await sink.end(INFO);
    } }));
    client.pair.acceptor.stalled = true;
    await client.pair.dialer.send(RUN);
    await settle();
    expect(taken).toEqual([]);
    client.pair.acceptor.stalled = false;
    await settle();
    expect(taken).toEqual(['head', 'part']);
  });

  it('an encrypted request keeps its key, zeroes mean none', async () => {
    const gate = clientGate();
    const client = await ready(gate);
    const key = new Uint8Array(32).fill(3);
    await client.pair.dialer.send({ ...withId(1), flags: 3, public_key: key });
    await client.pair.dialer.send({ ...withId(2), flags: 3, public_key: new Uint8Array(32) });
    await settle();
    expect(gate.requests.map(({ publicKey }) => publicKey)).toEqual([key, null]);
  });

  it('getWorkerTypes: summary of the first version, also of a model without workers', async () => {
    const client = await ready(clientGate({ workerTypes: () => [{ model: 'gone', workers: [] }] }));
    expect(await client.ask({ _: 'client.getWorkerTypes' })).toMatchObject({
      types: [{ name: 'gone', active_workers: 0, coefficient_min: 2147483647, coefficient_bucket50: 2147483647, coefficient_max: 2147483647 }],
    });
  });
});
