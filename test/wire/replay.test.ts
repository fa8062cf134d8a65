// The captured conversations of the C++ programs, replayed with our program in each of the four places. What ours is told
// is what the captured program was told, so what ours says must be the same bytes.
import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '../../src/core/bytes.ts';
import type { AnswerSink } from '../../src/wire/answer.ts';
import { readClientAnswer, readWorkerAnswer } from '../../src/wire/answer-codec.ts';
import type { AnswerPiece } from '../../src/wire/answer-codec.ts';
import { openClientSession } from '../../src/wire/client-session.ts';
import type { AnswerEvent, ClientSession } from '../../src/wire/client-session.ts';
import { LINGER_MS } from '../../src/wire/frame-writer.ts';
import { openConnection } from '../../src/wire/open-connection.ts';
import { fromPaymentFields, fromSignedPayment } from '../../src/wire/peer-info-codec.ts';
import type { PaymentStatus } from '../../src/wire/peer-info.ts';
import type { TlFunction } from '../../src/wire/tl/types.ts';
import { acceptWorker } from '../../src/wire/worker-acceptor.ts';
import { openWorkerSession } from '../../src/wire/worker-session.ts';
import type { WorkerSession } from '../../src/wire/worker-session.ts';
import { capturedProxy, identityOf, PEER } from '../fakes/captured-proxy.ts';
import { capturedFrame, capturedSession, framer, innerOf, payloadsOf, replayPiece, sessionFiles } from '../fakes/captured.ts';
import type { CapturedFrame } from '../fakes/captured.ts';
import { handFedStream } from '../fakes/duplex-pair.ts';
import { settle } from '../fakes/manual-timers.ts';

/** What the other program of 2025 did differently from ours, which speaks the proxies of 2026: see DIFFERENCES in probes.test.ts. */
const REFUSED_IN_OLD_FORM = 'client.queryAnswerError';
const VERSIONS_OF_2025 = { min: 1, max: 2 };

const idBytes = (id: bigint): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, id, true);
  return bytes;
};

/** Hands out the captured program's own random ids, in order. */
const idsOf = (frames: readonly CapturedFrame[], fromOpener: boolean, names: readonly string[]) => {
  const ids = frames.filter((frame) => frame.fromOpener === fromOpener && names.includes(frame.packet._))
    .map(({ packet }) => idBytes((packet as { id: bigint }).id));
  return () => ids.shift() ?? new Uint8Array(8);
};
const requestIdsOf = (frames: readonly CapturedFrame[], name: string) => {
  const ids = frames.filter(({ inner }) => inner?._ === name).map(({ inner }) => (inner as unknown as { request_id: Uint8Array }).request_id);
  return (size: number) => (size === 32 ? ids.shift() : undefined) ?? new Uint8Array(size);
};

/** 0.95 of it is what the captured program wrote. */
const ownTimeoutMs = (seconds: number): number => Math.round((seconds * 1000) / 0.95);

const payloads = (frames: readonly CapturedFrame[], fromOpener: boolean): string[] =>
  frames.filter((frame) => frame.fromOpener === fromOpener).map(({ payload }) => toHex(payload));

/** What a session end must have made of the captured answers of one request. */
function expectedOf(pieces: readonly AnswerPiece[], requestId: Uint8Array) {
  const own = pieces.filter((piece) => toHex(piece.requestId) === toHex(requestId));
  const last = own.at(-1);
  const body = own.map((piece) => (piece.kind === 'part' ? Buffer.from(piece.bytes).toString('hex') : '')).join('');
  if (last?.kind === 'error') return { body, error: { code: last.code, message: last.message } };
  return { body, info: last !== undefined && last.kind !== 'malformed' ? last.info : null };
}

describe('acceptClient', () => {
  it.each(sessionFiles('client-port', 'p11102'))('%s: says to the C++ client what the C++ proxy said', async (file) => {
    const frames = capturedSession(file);
    const proxy = capturedProxy(frames);
    const number = framer();
    for (const frame of frames) {
      if (frame.fromOpener) await proxy.feed(number(frame.payload));
      else await proxy.act(frame);
    }
    const ours = payloadsOf(proxy.hand.written());
    const theirs = frames.filter(({ fromOpener }) => !fromOpener);
    expect(ours).toHaveLength(theirs.length);
    for (const [index, { payload, inner }] of theirs.entries()) {
      if (inner?._ === REFUSED_IN_OLD_FORM) {
        const { inner: instead } = capturedFrame(false, Buffer.from(ours[index]!, 'hex'));
        expect(instead).toMatchObject({ _: 'client.queryAnswerErrorEx', error_code: inner.error_code, error: inner.error, request_id: inner.request_id });
      } else {
        expect(ours[index]).toBe(toHex(payload));
      }
    }
    expect(proxy.link.state).toBe('ready');
    proxy.link.close();
    await proxy.link.closed;
  });
});

describe('openClientSession', () => {
  it.each(sessionFiles('client-runner', 'p8116'))('%s: says to the C++ proxy what the C++ client said', async (file) => {
    const frames = capturedSession(file);
    const { params, min_config_version } = innerOf(frames, 'client.connectToProxy');
    const hand = handFedStream();
    const connection = openConnection(hand.stream, { role: 'dialer', remoteAddress: '192.0.2.1:1', peer: PEER, random: idsOf(frames, true, ['tcp.connect', 'tcp.query']) });
    const statuses: PaymentStatus[] = [];
    const payments: string[] = [];
    const opening = openClientSession(connection, {
      checkProxy: async () => ({ kind: 'short', secret: new Uint8Array(0) }),
      paymentStatus: (status) => {
        statuses.push(status);
      },
      requestPayment: (payment) => {
        payments.push(toHex(payment.requestId));
      },
    }, {
      ownerAddress: params.client_owner_address, isTest: true, minConfigVersion: () => min_config_version, versions: VERSIONS_OF_2025,
      random: requestIdsOf(frames, 'client.runQueryEx'),
    });
    let session: ClientSession | null = null;
    void opening.then((opened) => {
      session = opened;
    }, () => undefined);
    const answers = new Map<string, AnswerEvent[]>();
    const errors = new Map<string, { code: number; message: string }>();
    const number = framer();
    for (const { fromOpener, payload, inner } of frames) {
      if (!fromOpener) hand.feed(number(payload));
      else if (session !== null && inner !== null) actAsClient(session, inner as TlFunction, answers, errors);
      await settle();
    }
    expect(payloadsOf(hand.written())).toEqual(payloads(frames, true));
    const pieces = frames.flatMap(({ inner }) => (inner === null ? [] : [readClientAnswer(inner)])).filter((piece) => piece !== null);
    for (const [id, events] of answers) {
      const expected = expectedOf(pieces, Buffer.from(id, 'hex'));
      expect(events.map((event) => (event.kind === 'part' ? toHex(event.bytes) : '')).join('')).toBe(expected.body);
      const final = events.at(-1);
      if (expected.error !== undefined) expect(errors.get(id)).toEqual(expected.error);
      else expect(final?.kind === 'end' ? final.info : null).toEqual(expected.info);
    }
    const pushed = frames.filter(({ inner }) => inner?._ === 'proxy.clientRequestPayment');
    expect(payments).toEqual(pushed.map(({ inner }) => toHex((inner as unknown as { request_id: Uint8Array }).request_id)));
    expect(statuses).toHaveLength(1 + frames.filter(({ inner }) => inner?._ === 'client.paymentStatus').length);
    connection.close();
    await connection.closed;
  });

  function actAsClient(session: ClientSession, said: TlFunction, answers: Map<string, AnswerEvent[]>, errors: Map<string, { code: number; message: string }>): void {
    if (said._ === 'client.getWorkerTypesV2') session.models().catch(() => undefined);
    else if (said._ === 'client.updatePaymentStatus') session.updatePaymentStatus().catch(() => undefined);
    else if (said._ === 'client.runQueryEx') {
      const id = toHex(said.request_id);
      const events: AnswerEvent[] = [];
      answers.set(id, events);
      void (async () => {
        try {
          for await (const event of session.ask({
            model: said.model_name, query: said.query, maxCoefficient: said.max_coefficient, maxTokens: said.max_tokens,
            timeoutMs: ownTimeoutMs(said.timeout), enableDebug: said.enable_debug ?? false,
          })) events.push(event);
        } catch (error) {
          const { remoteCode, remoteMessage } = error as { remoteCode?: number; remoteMessage?: string };
          errors.set(id, { code: remoteCode ?? -1, message: remoteMessage ?? '' });
        }
      })();
    }
  }
});

describe('openWorkerSession', () => {
  it.each(sessionFiles('worker-runner', 'p8117'))('%s: says to the C++ proxy what the C++ worker said', async (file) => {
    const frames = capturedSession(file);
    const { params } = innerOf(frames, 'worker.connectToProxy');
    const claim = innerOf(frames, 'worker.compareBalanceWithProxy');
    const hand = handFedStream();
    const connection = openConnection(hand.stream, { role: 'dialer', remoteAddress: '192.0.2.1:1', peer: PEER, random: idsOf(frames, true, ['tcp.connect', 'tcp.query']) });
    const sinks = new Map<string, AnswerSink>();
    const payments: string[] = [];
    const opening = openWorkerSession(connection, {
      checkProxy: async () => ({ chainTokens: claim.tokens_committed_to_blockchain, dbTokens: claim.tokens_committed_to_db, maxTokens: claim.max_tokens }),
      compared: () => undefined,
      paymentStatus: () => undefined,
      requestPayment: (payment) => {
        payments.push(toHex(payment.requestId));
      },
      run: (request, sink, signal) => {
        sinks.set(toHex(request.id), sink);
        return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
      },
    }, {
      ownerAddress: params.worker_owner_address, model: params.model, coefficient: params.coefficient, isTest: true, versions: VERSIONS_OF_2025,
      proxyCount: params.proxy_cnt ?? 0, maxActiveRequests: params.max_active_requests ?? 0,
      isDisabled: () => innerOf(frames, 'worker.proxyHandshakeComplete').is_disabled,
    });
    let session: WorkerSession | null = null;
    void opening.then((opened) => {
      session = opened;
    }, () => undefined);
    const number = framer();
    for (const { fromOpener, payload, inner } of frames) {
      if (!fromOpener) hand.feed(number(payload));
      else if (session !== null && inner !== null) {
        const piece = readWorkerAnswer(inner);
        if (piece !== null) await replayPiece(piece, sinks.get(toHex(piece.requestId))!);
        else if (inner._ === 'worker.updatePaymentStatus') (session as WorkerSession).updatePaymentStatus().catch(() => undefined);
        else if (inner._ === 'worker.enabledDisabled') await (session as WorkerSession).setDisabled(inner.disabled !== 0);
      }
      await settle();
    }
    expect(payloadsOf(hand.written())).toEqual(payloads(frames, true));
    const pushed = frames.filter(({ inner }) => inner?._ === 'proxy.workerRequestPayment');
    expect(payments).toEqual(pushed.map(({ inner }) => toHex((inner as unknown as { request_id: Uint8Array }).request_id)));
    connection.close();
    await connection.closed;
  });
});

describe('acceptWorker', () => {
  it.each(sessionFiles('worker-port', 'p11101'))('%s: says to the C++ worker what the C++ proxy said', async (file) => {
    const frames = capturedSession(file);
    const connected = innerOf(frames, 'worker.connectedToProxy');
    const compared = innerOf(frames, 'worker.compareBalanceWithProxyResult');
    const statuses = frames.flatMap(({ inner }): PaymentStatus[] => (inner?._ === 'worker.paymentStatus' ? [fromPaymentFields(inner)] : []));
    const hand = handFedStream();
    const connection = openConnection(hand.stream, { role: 'acceptor', remoteAddress: '192.0.2.1:1', peer: PEER });
    const told: unknown[] = [];
    const link = acceptWorker(connection, {
      checkImage: () => undefined,
      checkModel: () => undefined,
      admit: async () => ({
        proxy: identityOf(connected.params), workerContractAddress: connected.worker_sc_address,
        compareBalance: async () => ({
          status: fromPaymentFields({ signed_payment: compared.signed_payment, db_tokens: compared.tokens_committed_to_db, max_tokens: compared.max_tokens }), agreed: true,
        }),
        extendedCompare: async () => undefined,
        ready: (disabled) => told.push(disabled),
        enabled: (disabled) => told.push(disabled),
        coefficient: (coefficient) => told.push(coefficient),
        paymentStatus: () => statuses.shift()!,
      }),
    }, { isTest: true, random: requestIdsOf(frames, 'proxy.runQueryEx') });
    const answers = new Map<string, { body: string; info?: unknown; error?: unknown }>();
    const number = framer();
    for (const { fromOpener, payload, inner } of frames) {
      if (fromOpener) hand.feed(number(payload));
      else if (inner?._ === 'proxy.runQueryEx') {
        const got: { body: string; info?: unknown; error?: unknown } = { body: '', info: null };
        answers.set(toHex(inner.request_id), got);
        void link.run({
          query: inner.query, signedPayment: fromSignedPayment(inner.signed_payment), coefficient: Number(inner.coefficient),
          timeoutMs: ownTimeoutMs(inner.timeout), enableDebug: inner.enable_debug ?? false,
        }, recordingSink(got), new AbortController().signal);
      } else if (inner?._ === 'proxy.workerRequestPayment') {
        await link.requestPayment({
          requestId: inner.request_id, requestTokens: inner.request_tokens, clientOwner: inner.request_client_owner, ...fromPaymentFields(inner),
        });
      }
      await settle();
    }
    await sleep(LINGER_MS + 5); // a payment leaves with what comes next, or alone
    expect(payloadsOf(hand.written())).toEqual(payloads(frames, false));
    const pieces = frames.flatMap(({ inner }) => (inner === null ? [] : [readWorkerAnswer(inner)])).filter((piece) => piece !== null);
    for (const [id, got] of answers) {
      const { body, error, info } = expectedOf(pieces, Buffer.from(id, 'hex'));
      expect(got).toEqual(error === undefined ? { body, info } : { body, info: null, error });
    }
    expect(told).not.toHaveLength(0);
    link.close();
    await link.closed;
  });

  function recordingSink(got: { body: string; info?: unknown; error?: unknown }): AnswerSink {
    return {
      head: async () => undefined,
      part: async (bytes) => {
        got.body += toHex(bytes);
      },
      end: async (info, bytes) => {
        got.body += toHex(bytes ?? new Uint8Array(0));
        got.info = info;
      },
      fail: async (code, message) => {
        if (code !== 651) got.error = { code, message }; // 651: the capture ended before the answer did
      },
    };
  }
});
