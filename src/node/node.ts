// A running node: an engine and one uplink to each proxy. It is ready when the first proxy has accepted it, and over
// when every proxy has been refused.
import { AttestationError, CocoonError, NetworkError } from '../core/errors.ts';
import { dial } from '../wire/dial.ts';
import { openWorkerSession } from '../wire/worker-session.ts';
import { answerRequest } from './answer-request.ts';
import { runUplink } from './uplink.ts';
import type { NodeAccounts } from './accounts.ts';
import type { Engine } from './engine.ts';
import type { UplinkState } from './uplink.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { VerifyPeer } from '../tee/peer.ts';
import type { TlsIdentity } from '../wire/tls.ts';
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
}

export interface RunningNode {
  /** Resolves when the first proxy has accepted this node; rejects when none ever will. */
  readonly ready: Promise<void>;
  /** Resolves when the node has stopped: after `close`, or with the error when every proxy was refused. */
  readonly ended: Promise<CocoonError | null>;
  states(): ReadonlyMap<string, UplinkState>;
  /** Ends the uplinks and frees the engine. Idempotent. */
  close(): Promise<void>;
}

function sessionPort(options: NodeOptions): { port: WorkerSessionPort } {
  const { accounts } = options;
  const deps = { engine: options.engine, clock: options.clock, multipliers: () => accounts.multipliers() };
  let offer: Parameters<NodeAccounts['compared']>[0] | null = null;
  const known = (): Parameters<NodeAccounts['compared']>[0] => {
    if (offer === null) throw new NetworkError('E_PROTOCOL', 'the proxy spoke of payments before it said who it is');
    return offer;
  };
  return {
    port: {
      checkProxy: (offered, signal) => {
        offer = offered;
        return accounts.checkProxy(offered, signal);
      },
      compared: (status, agreed) => accounts.compared(known(), status, agreed),
      paymentStatus: (status) => accounts.paymentStatus(known(), status),
      requestPayment: (payment) => accounts.requestPayment(known(), payment),
      run: (request, sink, signal) => answerRequest(deps, request, sink, signal),
    },
  };
}

async function openSession(options: NodeOptions, proxy: { host: string; port: number }, signal: AbortSignal): Promise<WorkerSession> {
  const connection = await dial({ ...proxy, identity: options.identity, verifyPeer: options.verifyProxy, signal });
  return openWorkerSession(connection, sessionPort(options).port, {
    ownerAddress: options.accounts.ownerAddress,
    model: options.model,
    coefficient: options.coefficient,
    isTest: options.isTest,
    proxyCount: options.proxies.length,
    maxActiveRequests: options.engine.info().sequences,
    isDisabled: () => false,
  });
}

/** Starts the uplinks; returns at once. */
export function startNode(options: NodeOptions): RunningNode {
  const controller = new AbortController();
  const states = new Map<string, UplinkState>();
  let becomeReady: () => void = () => {};
  let failReady: (error: CocoonError) => void = () => {};
  const ready = new Promise<void>((resolve, reject) => { becomeReady = resolve; failReady = reject; });
  ready.catch(() => {}); // who does not wait for it is not told; `ended` has the error too

  const uplinks = options.proxies.map(({ host, port }) => {
    const name = `${host}:${port}`;
    return runUplink(name, { open: (signal) => openSession(options, { host, port }, signal), log: options.log }, controller.signal, (state) => {
      states.set(name, state);
      if (state.kind === 'ready') becomeReady();
    });
  });
  const ended = Promise.all(uplinks).then((): CocoonError | null => {
    if (controller.signal.aborted) return null;
    const refusals = [...states.values()].flatMap((state) => (state.kind === 'refused' ? [state.error] : []));
    const error = refusals[0] ?? new AttestationError('E_EVIDENCE_REFUSED', 'every proxy was refused');
    failReady(error);
    return error;
  });

  let closing: Promise<void> | null = null;
  return {
    ready,
    ended,
    states: () => states,
    close: () => closing ??= (async () => {
      controller.abort(new NetworkError('E_CLOSED', 'the node is stopping'));
      failReady(new NetworkError('E_CLOSED', 'the node was stopped'));
      await ended;
      await options.engine.close();
    })(),
  };
}
