// Our proxy ends, told by a captured conversation what to say: same inputs, so the bytes must be the same.
import { setTimeout as sleep } from 'node:timers/promises';
import { toHex } from '../../src/core/bytes.ts';
import { RemoteError } from '../../src/core/errors.ts';
import type { AnswerSink } from '../../src/wire/answer.ts';
import { readClientAnswer } from '../../src/wire/answer-codec.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import type { AdmittedClient, ClientLink } from '../../src/wire/client-acceptor.ts';
import { LINGER_MS } from '../../src/wire/frame-writer.ts';
import { openConnection } from '../../src/wire/open-connection.ts';
import { fromPaymentFields, fromSignedPayment, fromWorkerTypeV2 } from '../../src/wire/peer-info-codec.ts';
import type { PaymentStatus, ProxyIdentity } from '../../src/wire/peer-info.ts';
import type { ProxyParams } from '../../src/wire/tl/types.ts';
import type { CapturedFrame } from './captured.ts';
import { replayPiece } from './captured.ts';
import { handFedStream } from './duplex-pair.ts';
import type { HandFedStream } from './duplex-pair.ts';
import { settle } from './manual-timers.ts';

export const PEER = { evidence: 'none', publicKey: new Uint8Array(32), imageHash: new Uint8Array(32) } as const;

export const identityOf = (params: ProxyParams): ProxyIdentity => ({
  publicKey: params.proxy_public_key, ownerAddress: params.proxy_owner_address, contractAddress: params.proxy_sc_address, isTest: params.is_test ?? false,
});

export interface CapturedProxy {
  readonly hand: HandFedStream;
  readonly link: ClientLink;
  /** Bytes from the client. */
  feed(bytes: Uint8Array): Promise<void>;
  /** Does what the captured proxy did to send `frame`; nothing for answers to queries, which come by themselves. */
  act(frame: CapturedFrame): Promise<void>;
}

/** `isTest` true, root configuration 3, as the captured network was. */
export function capturedProxy(frames: readonly CapturedFrame[]): CapturedProxy {
  const hand = handFedStream();
  const connection = openConnection(hand.stream, { role: 'acceptor', remoteAddress: '192.0.2.1:1', peer: PEER });
  const said = frames.filter(({ fromOpener }) => !fromOpener);
  const sinks = new Map<string, AnswerSink>();
  const link = acceptClient(connection, {
    checkOwner: (address) => {
      if (!/^[\w-]{48}$/.test(address)) throw new RemoteError(0, 'Failed to parse account address');
    },
    configVersion: () => 3,
    admit: async () => admitted(said, sinks),
  }, { isTest: true });
  return {
    hand, link,
    async feed(bytes) {
      hand.feed(bytes);
      await settle();
    },
    async act({ inner }) {
      if (inner === null) return;
      const piece = readClientAnswer(inner);
      if (piece !== null) {
        const sink = sinks.get(toHex(piece.requestId));
        if (sink === undefined) throw new Error('the proxy was not asked');
        await replayPiece(piece, sink);
      } else if (inner._ === 'proxy.clientRequestPayment') {
        await link.requestPayment({ requestId: inner.request_id, requestTokens: inner.request_tokens, ...fromPaymentFields(inner) });
        await sleep(LINGER_MS + 5); // it leaves with what comes next, or alone
      }
      await settle();
    },
  };
}

function admitted(said: readonly CapturedFrame[], sinks: Map<string, AnswerSink>): AdmittedClient {
  const statuses = said.flatMap(({ inner }): PaymentStatus[] => (inner?._ === 'client.paymentStatus' ? [fromPaymentFields(inner)] : []));
  const find = <N extends string>(name: N) => said.find(({ inner }) => inner?._ === name)?.inner ?? null;
  const connected = find('client.connectedToProxy');
  const authorized = find('client.authorizationWithProxySuccess');
  const types = find('client.workerTypesV2');
  if (connected?._ !== 'client.connectedToProxy') throw new Error('the captured proxy did not connect');
  return {
    proxy: identityOf(connected.params),
    clientContractAddress: connected.client_sc_address,
    secretHash: connected.auth._ === 'client.proxyConnectionAuthShort' ? connected.auth.secret_hash : null,
    nonce: connected.auth.nonce,
    signedPayment: fromSignedPayment(connected.signed_payment),
    authorize: async () => {
      if (authorized?._ !== 'client.authorizationWithProxySuccess') throw new Error('the captured proxy did not authorise');
      return fromPaymentFields({ signed_payment: authorized.signed_payment, db_tokens: authorized.tokens_committed_to_db, max_tokens: authorized.max_tokens });
    },
    paymentStatus: () => {
      const status = statuses.shift();
      if (status === undefined) throw new Error('the captured proxy has no further status');
      return status;
    },
    // The first version's listing is made from the instances; the captured network had one worker of coefficient 1000 then.
    workerTypes: () => (types?._ === 'client.workerTypesV2' ? types.types.map(fromWorkerTypeV2)
      : [{ model: 'test-model', workers: [{ coefficient: 1000, activeRequests: 0, maxActiveRequests: 60 }] }]),
    run: (request, sink, signal) => {
      sinks.set(toHex(request.id), sink);
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
    },
  };
}
