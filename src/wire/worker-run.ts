// One request from a proxy to a worker: its message, and the way of its answer into a sink (WIRE.md section 11).
import { asCocoonError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import { AnswerError } from './answer.ts';
import type { AnswerSink, FinalInfo } from './answer.ts';
import { nextHopSeconds } from './asking.ts';
import type { Asked } from './asking.ts';
import type { TlPacket } from './connection.ts';
import { toSignedPayment } from './peer-info-codec.ts';
import { FAILURE, failureOf, NOT_READY } from './remote-codes.ts';
import type { RemoteFailure } from './remote-codes.ts';
import { toWorkerRun } from './sealed-codec.ts';
import type { SealedRun } from './sealed.ts';
import type { Capabilities } from './versions.ts';

const KEY_BYTES = 32;
const ENABLE_DEBUG_FLAG = 1;
const PRIVATE_KEY_FLAG = 2;

export interface RunRequest {
  /** Boxed `http.request`, passed on unchanged. */
  readonly query: Uint8Array;
  readonly signedPayment: Uint8Array | null;
  /** The worker's own announced price, in thousandths. */
  readonly coefficient: number;
  /** Own deadline for the whole answer. The worker is told 0.95 of it. */
  readonly timeoutMs: number;
  readonly enableDebug: boolean;
  /** 32 bytes, for workers of version 3 on; zeroes when absent. */
  readonly privateKey?: Uint8Array;
  /** Sealed to this worker, for workers of version 8 on; `query` counts for nothing then. */
  readonly sealed?: SealedRun;
}

/** How a request ended. The promise that carries it resolves when the worker's slot is free again. */
export interface RunOutcome {
  /** Of this hop, 32 bytes. */
  readonly id: Uint8Array;
  /** `failed` is the worker's doing (or its connection's); `cancelled` is this side's: the client left or did not read. */
  readonly kind: 'ended' | 'failed' | 'cancelled';
  /** What the worker reported last; null where it reported nothing. */
  readonly info: FinalInfo | null;
}

/** `proxy.runSealed`, `proxy.runQueryEx`, or `proxy.runQuery` for a worker of version 0. */
export function runMessage(request: RunRequest, requestId: Uint8Array, capabilities: Capabilities): TlPacket {
  const hop = {
    signed_payment: toSignedPayment(request.signedPayment), coefficient: BigInt(request.coefficient), timeout: nextHopSeconds(request.timeoutMs),
  };
  if (request.sealed !== undefined) return toWorkerRun(requestId, request.sealed, hop);
  const base = { query: request.query, ...hop, request_id: requestId };
  if (!capabilities.exAnswers) return { _: 'proxy.runQuery', ...base };
  return {
    _: 'proxy.runQueryEx', ...base,
    flags: ENABLE_DEBUG_FLAG | (capabilities.promptKeys ? PRIVATE_KEY_FLAG : 0),
    enable_debug: request.enableDebug,
    ...(capabilities.promptKeys && { private_key: request.privateKey ?? new Uint8Array(KEY_BYTES) }),
  };
}

/** Moves an answer into its sink until it ends. The sink's pace holds back this answer only; its failure gives the request up. */
export async function relay(asked: Asked, sink: AnswerSink, signal: AbortSignal): Promise<RunOutcome['kind']> {
  let sinkFailed = false;
  const take = async (taken: Promise<void>): Promise<void> => {
    try {
      await taken;
    } catch (error) {
      sinkFailed = true;
      throw error;
    }
  };
  try {
    for (;;) {
      const event = await asked.queue.next();
      if (event.kind === 'end') {
        sink.end(event.info, event.bytes).catch(() => undefined); // the answer was complete, whoever is left to read it
        return 'ended';
      }
      await asked.queue.unlessAborted(take(event.kind === 'head' ? sink.head(event.head) : sink.part(event.bytes)));
    }
  } catch (thrown) {
    const error = asCocoonError(thrown);
    asked.giveUp(error);
    failSink(sink, error);
    return signal.aborted || sinkFailed || error.code === 'E_BACKLOG' ? 'cancelled' : 'failed';
  }
}

/** Not waited for: a reader that takes nothing more must not keep the worker's slot. */
function failSink(sink: AnswerSink, error: CocoonError): void {
  const { code, message } = toldToReader(error);
  const info = error instanceof AnswerError && error.info !== null ? error.info : undefined;
  sink.fail(code, message, info).catch(() => undefined); // its reader is gone too
}

/** The reader is the client: it learns neither the worker's address nor is the worker's violation its own. */
function toldToReader(error: CocoonError): RemoteFailure {
  switch (error.code) {
    case 'E_CLOSED': return { code: NOT_READY, message: 'worker connection ended before the answer was complete' };
    case 'E_PROTOCOL': return { code: FAILURE, message: 'worker sent an answer that the protocol does not allow' };
    default: return failureOf(error);
  }
}
