// A running node: an engine and one uplink to each proxy. It is ready when the first proxy has accepted it, and over
// when every proxy has been refused.
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import { asCocoonError, AttestationError, NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import { formatAddress } from '../wire/address.ts';
import { dial } from '../wire/dial.ts';
import { openWorkerSession } from '../wire/worker-session.ts';
import { answerRequest } from './answer-request.ts';
import { runUplink } from './uplink.ts';
import type { NodeAccounts } from './accounts.ts';
import type { Engine } from './engine.ts';
import type { UplinkState } from './uplink.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Sleep } from '../core/retry.ts';
import type { VerifyPeer } from '../tee/peer.ts';
import type { TlsIdentity } from '../wire/tls.ts';
import type { VersionRange } from '../wire/versions.ts';
import type { WorkerSession, WorkerSessionPort } from '../wire/worker-session.ts';

export interface NodeOptions {
  readonly engine: Engine;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  /** Price in thousandths. */
  readonly coefficient: number;
  /** Worker ports of the proxies, "host:port". At least one. */
  readonly proxies: readonly { readonly host: string; readonly port: number }[];
  readonly identity: () => TlsIdentity;
  readonly verifyProxy: VerifyPeer;
  readonly accounts: NodeAccounts;
  readonly isTest: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Other versions of the protocol than all that are known, and faster redials; for tests. */
  readonly versions?: VersionRange;
  readonly sleep?: Sleep;
}

export interface RunningNode {
  /** Resolves when the first proxy has accepted this node; rejects when none ever will. */
  readonly ready: Promise<void>;
  /** Resolves when the node has stopped: after `close`, or with the error when every proxy was refused. */
  readonly ended: Promise<CocoonError | null>;
  states(): ReadonlyMap<string, UplinkState>;
  /** Calls `changed` when no proxy is connected any more (false; also at once when none is now) and when there is one again (true). */
  watch(changed: (connected: boolean) => void): void;
  /** Ends the uplinks and frees the engine. Idempotent. */
  close(): Promise<void>;
}

function sessionPort(options: NodeOptions): WorkerSessionPort {
  const { accounts } = options;
  const deps = { engine: options.engine, clock: options.clock, multipliers: () => accounts.multipliers() };
  let offer: Parameters<NodeAccounts['compared']>[0] | null = null;
  const known = (): Parameters<NodeAccounts['compared']>[0] => {
    if (offer === null) throw new NetworkError('E_PROTOCOL', 'the proxy spoke of payments before it said who it is');
    return offer;
  };
  return {
    checkProxy: (offered, signal) => {
      offer = offered;
      return accounts.checkProxy(offered, signal);
    },
    compared: (status, agreed) => accounts.compared(known(), status, agreed),
    paymentStatus: (status) => accounts.paymentStatus(known(), status),
    requestPayment: (payment) => accounts.requestPayment(known(), payment),
    run: (request, sink, signal) => answerRequest(deps, request, sink, signal),
  };
}

async function openSession(options: NodeOptions, proxy: { host: string; port: number }, signal: AbortSignal): Promise<WorkerSession> {
  const connection = await dial({ ...proxy, identity: options.identity, verifyPeer: options.verifyProxy, signal });
  const stop = (): void => connection.close(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await openWorkerSession(connection, sessionPort(options), {
      ownerAddress: options.accounts.ownerAddress,
      model: options.model,
      coefficient: options.coefficient,
      isTest: options.isTest,
      proxyCount: options.proxies.length,
      maxActiveRequests: options.engine.info().sequences,
      isDisabled: () => false,
      ...(options.versions !== undefined && { versions: options.versions }),
    });
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Starts the uplinks; returns at once. The engine is the node's from then on. */
export function startNode(options: NodeOptions): RunningNode {
  const controller = new AbortController();
  const states = new Map<string, UplinkState>();
  const ready = deferred<void>();
  ready.promise.catch(() => {}); // who does not wait for it is not told; `ended` has the error too
  let connected = false;
  let changed: (connected: boolean) => void = () => {};

  const uplinks = options.proxies.map(({ host, port }) => {
    const name = formatAddress(host, port);
    const ports = { open: (signal: AbortSignal) => openSession(options, { host, port }, signal), log: options.log, ...(options.sleep !== undefined && { sleep: options.sleep }) };
    return runUplink(name, ports, controller.signal, (state) => {
      states.set(name, state);
      const now = [...states.values()].some(({ kind }) => kind === 'ready');
      if (now) ready.resolve();
      if (now !== connected) changed(now);
      connected = now;
    });
  });
  const ended = Promise.all(uplinks).then((): CocoonError | null => {
    if (controller.signal.aborted) return null;
    const refusals = [...states.values()].flatMap((state) => (state.kind === 'refused' ? [state.error] : []));
    return refusals[0] ?? new AttestationError('E_EVIDENCE_REFUSED', 'every proxy was refused');
  }).catch(asCocoonError);
  void ended.then((error) => ready.reject(error ?? new NetworkError('E_CLOSED', 'the node was stopped')));

  let closing: Promise<void> | null = null;
  return {
    ready: ready.promise,
    ended,
    states: () => states,
    watch(listener) {
      changed = listener;
      if (!connected) listener(false);
    },
    close: () => closing ??= (async () => {
      controller.abort(new NetworkError('E_CLOSED', 'the node is stopping'));
      ready.reject(abortError(controller.signal));
      await ended;
      await options.engine.close();
    })(),
  };
}
