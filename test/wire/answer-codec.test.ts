// Answer constructors and requests byte for byte: the samples of the C++ programs of 2026, and what the captures do not show.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { clientAnswers, readClientAnswer, readWorkerAnswer, workerAnswers } from '../../src/wire/answer-codec.ts';
import { openClientSession } from '../../src/wire/client-session.ts';
import type { TlPacket } from '../../src/wire/connection.ts';
import { decodeBoxed, encodeBoxed } from '../../src/wire/tl/codec.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import { capabilitiesOf } from '../../src/wire/versions.ts';
import { runMessage } from '../../src/wire/worker-run.ts';
import { connectionPair } from '../fakes/connection-pair.ts';
import { manualTimers, settle } from '../fakes/manual-timers.ts';
import { clientAcceptorOptions, clientGate, clientOptions, clientPort, HEAD, INFO, text } from '../fakes/session-ports.ts';

const { samples } = JSON.parse(readFileSync(fileURLToPath(new URL('../vectors/wire-2026-04/tl-samples.json', import.meta.url)), 'utf8')) as { samples: Record<string, string> };
const ID = new Uint8Array(32).fill(0x11);
/** Through the codec, as it would travel. */
const travel = (packet: TlPacket): TlPacket => decodeBoxed(encodeBoxed(packet));

describe('requests: tl-samples.json', () => {
  it.each([['proto<3 (flags=1)', 2], ['proto>=3 (flags=3)', 4]] as const)('client.runQueryEx %s', async (name, version) => {
    const timers = manualTimers();
    const pair = connectionPair({ timers });
    acceptClient(pair.acceptor, clientGate(), { ...clientAcceptorOptions, timers });
    const session = await openClientSession(pair.dialer, clientPort(), {
      ...clientOptions, timers, versions: { min: 1, max: version }, random: (size) => new Uint8Array(size).fill(0x11), minConfigVersion: () => 3,
    });
    void session.ask({ model: 'm', query: text('query-bytes'), maxCoefficient: 4000, maxTokens: 100, timeoutMs: 120_000, publicKey: new Uint8Array(32).fill(0x22) }).next();
    await settle();
    // The sample's client knew root configuration 7; ours needs one that the proxy knows.
    const sent = pair.dialer.sent.at(-1);
    expect(sent?._).toBe('client.runQueryEx');
    expect(toHex(encodeBoxed({ ...sent, min_config_version: 7 } as TlPacket))).toBe(samples[`client.runQueryEx ${name}`]);
    session.close();
  });

  it.each([['proto<3 (flags=1), empty payment', 2], ['proto>=3 (flags=3), empty payment', 4]] as const)('proxy.runQueryEx %s', (name, version) => {
    const message = runMessage({
      query: text('query-bytes'), signedPayment: null, coefficient: 1000, timeoutMs: 114_000, enableDebug: true, privateKey: new Uint8Array(32).fill(0x33),
    }, ID, capabilitiesOf(version));
    expect(toHex(encodeBoxed(message))).toBe(samples[`proxy.runQueryEx ${name}`]);
  });
});

describe('cancelQuery', () => {
  it('has ids of its own, by the rule of every constructor', () => {
    expect(toHex(encodeBoxed({ _: 'client.cancelQuery', request_id: ID }))).toMatch(/^[0-9a-f]{8}(11){32}$/);
    const ids = (['client.cancelQuery', 'proxy.cancelQuery'] as const).map((name) => toHex(encodeBoxed({ _: name, request_id: ID })).slice(0, 8));
    expect(ids).toEqual(['f8a56532', '68e6d78c']); // CRC-32 of the declarations, little-endian
  });
});

describe('clientAnswers, readClientAnswer', () => {
  it.each([[false, false], [true, false], [true, true]])('Ex %s, times %s: reads back what it writes', (ex, times) => {
    const encoder = clientAnswers(ID, { ex, times });
    const info = times ? { ...INFO, workerDebug: 'w', proxyDebug: 'p' } : { tokens: INFO.tokens };
    expect(readClientAnswer(travel(encoder.head(HEAD)))).toEqual({ requestId: ID, kind: 'head', head: HEAD, info: null });
    expect(readClientAnswer(travel(encoder.part(text('a'), null)))).toEqual({ requestId: ID, kind: 'part', bytes: text('a'), info: null });
    expect(readClientAnswer(travel(encoder.part(text('a'), info)))).toEqual({ requestId: ID, kind: 'part', bytes: text('a'), info });
    for (const headSent of [false, true]) {
      expect(readClientAnswer(travel(encoder.error(651, 'no', info, headSent)))).toEqual({ requestId: ID, kind: 'error', code: 651, message: 'no', info });
    }
  });

  it('is null for what is no answer', () => {
    expect(readClientAnswer({ _: 'test.answer', id: 1n })).toBeNull();
    expect(readClientAnswer(workerAnswers(ID, { ex: true, times: true }).head(HEAD))).toBeNull();
  });

  it('a final flag without final info, which our codec would not send, is malformed', () => {
    expect(readClientAnswer({ _: 'client.queryAnswerPartEx', request_id: ID, answer: text(''), flags: 1 })).toMatchObject({ kind: 'malformed', error: { code: 'E_PROTOCOL' } });
    expect(readWorkerAnswer({ _: 'proxy.queryAnswerErrorEx', request_id: ID, error_code: 1, error: '', flags: 1 })).toMatchObject({ kind: 'malformed' });
  });

  it('times that are no numbers are unknown', () => {
    const packet = clientAnswers(ID, { ex: true, times: true }).part(text(''), { ...INFO, proxyTimes: { startedAt: Number.NaN, endedAt: -Infinity } });
    expect(readClientAnswer(travel(packet))).toMatchObject({ info: { proxyTimes: { startedAt: 0, endedAt: 0 } } });
  });
});

describe('workerAnswers, readWorkerAnswer', () => {
  it.each([[false, false], [true, false], [true, true]])('Ex %s, times %s: reads back what it writes, without the proxy\'s own', (ex, times) => {
    const encoder = workerAnswers(ID, { ex, times });
    const info = times ? { tokens: INFO.tokens, workerTimes: INFO.workerTimes!, workerDebug: 'w' } : { tokens: INFO.tokens };
    expect(readWorkerAnswer(travel(encoder.head(HEAD)))).toEqual({ requestId: ID, kind: 'head', head: HEAD, info: null });
    expect(readWorkerAnswer(travel(encoder.part(text('a'), { ...info, ...(times && { proxyTimes: INFO.proxyTimes!, proxyDebug: 'p' }) }))))
      .toEqual({ requestId: ID, kind: 'part', bytes: text('a'), info });
    for (const headSent of [false, true]) {
      expect(readWorkerAnswer(travel(encoder.error(651, 'no', info, headSent)))).toEqual({ requestId: ID, kind: 'error', code: 651, message: 'no', info });
    }
  });

  it('every token count has to be zero or more', () => {
    const packet = workerAnswers(ID, { ex: true, times: false }).part(text(''), INFO) as { final_info: { tokens_used: object } };
    for (const field of ['prompt', 'cached', 'completion', 'reasoning', 'total']) {
      const final_info = { ...packet.final_info, tokens_used: { ...packet.final_info.tokens_used, [`${field}_tokens_used`]: -1n } };
      expect(readWorkerAnswer({ ...packet, final_info } as unknown as TlPacket)).toMatchObject({ kind: 'malformed', error: { message: expect.stringContaining(field) } });
    }
  });
});

it('fromHex: the samples are what the tests believe', () => {
  expect(decodeBoxed(fromHex(samples['client.runQueryEx proto<3 (flags=1)']!))).toMatchObject({ min_config_version: 7, timeout: 114 });
});
