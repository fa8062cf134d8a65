// Health and statistics of the local endpoint: whether an application would be answered now, and where the trouble is when it would
// not: this machine, the TON network, the proxies or the nodes behind them.
import { faultOf } from '../faults.ts';
import type { HttpReply } from '../../http/routes.ts';
import type { Breakers } from '../breakers.ts';
import type { Fault, FaultBoard, Trouble } from '../faults.ts';
import type { SessionPool } from '../session-pool.ts';
import type { Callers } from './callers.ts';
import type { EndpointTotals } from './metrics.ts';
import type { NodeWatch } from './nodes.ts';

export interface StatusOptions {
  readonly pool: SessionPool;
  readonly nodes: NodeWatch;
  readonly board: FaultBoard;
  readonly breakers: Breakers;
  readonly callers: Callers;
  /** Unix milliseconds. */
  readonly now: () => number;
}

const MESSAGE_LENGTH = 300;

/** `ok` with 200; else 503 with the part that is at fault. Parts that had trouble and answer again are `ok`. */
export function health({ pool, nodes, board }: StatusOptions): HttpReply {
  const { state } = pool;
  const parts = partsOf(pool, nodes, board.troubles());
  if (state.kind !== 'ready') {
    const { error } = state;
    const fault = error === null ? null : faultOf(error);
    return { status: 503, json: { status: state.kind, fault, code: error?.code ?? null, message: error?.message ?? 'connecting', parts } };
  }
  const { verified, problem } = nodes.state();
  if (verified === 0) return { status: 503, json: { status: 'no-node', fault: 'node', code: problem?.code ?? 'E_NO_NODE', message: problem?.message ?? 'no node is there yet', parts } };
  return { json: { status: 'ok', fault: null, parts } };
}

type PartState = { readonly state: 'ok' | 'trouble' | 'unknown'; readonly code?: string; readonly message?: string; readonly since?: string };

function partsOf(pool: SessionPool, nodes: NodeWatch, troubles: readonly Trouble[]): Record<Fault, PartState> {
  const error = pool.state.kind === 'ready' ? null : pool.state.error;
  const now = error === null ? null : faultOf(error);
  const of = (fault: Fault): PartState => {
    if (now === fault && error !== null) return { state: 'trouble', code: error.code, message: error.message.slice(0, MESSAGE_LENGTH) };
    const trouble = troubles.find((each) => each.fault === fault);
    if (trouble !== undefined) return { state: 'trouble', code: trouble.code, message: trouble.message.slice(0, MESSAGE_LENGTH), since: new Date(trouble.atMs).toISOString() };
    const known = fault === 'local' || (fault === 'node' ? nodes.state().verified > 0 : pool.state.kind === 'ready');
    return { state: known ? 'ok' : 'unknown' };
  };
  return { local: of('local'), ton: of('ton'), proxy: of('proxy'), node: of('node') };
}

export function stats({ pool, nodes, board, breakers, callers, now }: StatusOptions, totals: EndpointTotals, startedMs: number): HttpReply {
  const { spentNano, reservedNano } = callers.spending;
  return {
    json: {
      uptimeS: Math.floor((now() - startedMs) / 1000), state: pool.state.kind,
      proxies: pool.sessions().map(({ address, peer, roundTripMs, session }) => ({ address, evidence: peer.evidence, simulated: peer.evidence === 'simulated', roundTripMs, protocolVersion: session.version, running: session.runningRequests })),
      nodes: nodes.state().verified, parts: partsOf(pool, nodes, board.troubles()),
      circuits: breakers.states(),
      requests: totals, spentNano: spentNano.toString(), reservedNano: reservedNano.toString(),
    },
  };
}
