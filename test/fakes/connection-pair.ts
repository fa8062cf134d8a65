// Two Connections joined in memory. Everything that passes is encoded and decoded by the real codec, so what would not
// survive the wire fails here too. Order, back-pressure, limits and the orderly close are those of connection.ts.
import { asCocoonError, CocoonError, NetworkError, RemoteError } from '../../src/core/errors.ts';
import { deferred } from '../../src/core/deferred.ts';
import type { Deferred } from '../../src/core/deferred.ts';
import type { VerifiedPeer } from '../../src/tee/peer.ts';
import type { Connection, ConnectionHandlers, QueryOptions, TlPacket } from '../../src/wire/connection.ts';
import { decodeBoxed, encodeBoxed, isTlFunction } from '../../src/wire/tl/codec.ts';
import type { TlFunction, TlObject } from '../../src/wire/tl/types.ts';
import type { Timers } from '../../src/wire/timers.ts';
import { systemTimers } from '../../src/wire/timers.ts';

type Frame =
  | { readonly kind: 'packet'; readonly data: Uint8Array }
  | { readonly kind: 'query'; readonly id: number; readonly data: Uint8Array }
  | { readonly kind: 'answer'; readonly id: number; readonly data: Uint8Array }
  | { readonly kind: 'error'; readonly id: number; readonly code: number; readonly message: string };

/** One end, with what a test may do to it. */
export interface FakeConnection extends Connection {
  /** Everything this end has sent, decoded: packets, queries and answers. */
  readonly sent: readonly TlPacket[];
  readonly maxFrameBytes: number;
  /** While stalled, `send` does not resolve; what is sent arrives. */
  stalled: boolean;
  /** The connection breaks: nothing more arrives, both ends learn it. */
  cut(): void;
}

const PEER: VerifiedPeer = { evidence: 'simulated', publicKey: new Uint8Array(32).fill(1), imageHash: new Uint8Array(32).fill(2) };

export interface PairOptions {
  readonly timers?: Timers;
  readonly peer?: VerifiedPeer;
}

export function connectionPair({ timers = systemTimers, peer = PEER }: PairOptions = {}): { readonly dialer: FakeConnection; readonly acceptor: FakeConnection } {
  const dialer = new FakeEnd(timers, peer);
  const acceptor = new FakeEnd(timers, peer);
  dialer.other = acceptor;
  acceptor.other = dialer;
  return { dialer, acceptor };
}

class FakeEnd implements FakeConnection {
  readonly remoteAddress = '192.0.2.1:1';
  readonly peer: VerifiedPeer;
  readonly bufferedBytes = 0;
  readonly sent: TlPacket[] = [];
  other: FakeEnd | null = null;
  maxFrameBytes = 64 * 1024;
  readonly #timers: Timers;
  readonly #closed = deferred<CocoonError | null>();
  readonly #handlers = deferred<ConnectionHandlers>();
  readonly #inbox: Frame[] = [];
  readonly #queries = new Map<number, Deferred<TlObject>>();
  readonly #answering = new Set<Promise<void>>();
  #nextId = 1;
  #up = true;
  #reading = false;
  #stalled: Deferred<void> | null = null;

  constructor(timers: Timers, peer: VerifiedPeer) {
    this.#timers = timers;
    this.peer = peer;
  }

  get closed(): Promise<CocoonError | null> {
    return this.#closed.promise;
  }

  get stalled(): boolean {
    return this.#stalled !== null;
  }

  set stalled(value: boolean) {
    if (!value) this.#stalled?.resolve();
    this.#stalled = value ? (this.#stalled ?? deferred()) : null;
  }

  handle(handlers: ConnectionHandlers): void {
    this.#handlers.resolve(handlers);
  }

  setMaxFrameBytes(bytes: number): void {
    this.maxFrameBytes = bytes;
  }

  async query(query: TlFunction, { timeoutMs, signal }: QueryOptions): Promise<TlObject> {
    this.#assertUp();
    const id = this.#nextId++;
    const answer = deferred<TlObject>();
    this.#queries.set(id, answer);
    this.#send({ kind: 'query', id, data: encodeBoxed(query) }, query);
    const stop = this.#timers.after(timeoutMs, () => answer.reject(new NetworkError('E_TIMEOUT', `no answer within ${timeoutMs} ms`)));
    const onAbort = (): void => answer.reject(signal?.reason);
    signal?.addEventListener('abort', onAbort);
    try {
      return await answer.promise;
    } finally {
      stop();
      signal?.removeEventListener('abort', onAbort);
      this.#queries.delete(id);
    }
  }

  async send(packet: TlPacket): Promise<void> {
    this.#assertUp();
    this.#send({ kind: 'packet', data: encodeBoxed(packet) }, packet);
    await this.#stalled?.promise;
  }

  async ping(): Promise<number> {
    this.#assertUp();
    return 1;
  }

  close(reason?: CocoonError): void {
    if (!this.#up) return;
    this.#up = false;
    for (const query of this.#queries.values()) query.reject(new NetworkError('E_CLOSED', 'connection is closed'));
    // One turn later: the close may come from within the call whose answer is still to be delivered.
    void Promise.resolve().then(() => Promise.allSettled(this.#answering)).then(() => {
      this.#closed.resolve(reason ?? null);
      this.other?.lose();
    });
  }

  cut(): void {
    this.lose();
    this.other?.lose();
  }

  /** The other end has gone, after everything it sent has been dealt with. */
  lose(): void {
    queueMicrotask(() => {
      if (this.#reading) {
        setImmediate(() => this.lose());
        return;
      }
      if (!this.#up) return;
      this.#up = false;
      for (const query of this.#queries.values()) query.reject(new NetworkError('E_CLOSED', 'connection is closed'));
      this.#closed.resolve(new NetworkError('E_CLOSED', 'peer closed the connection'));
      this.other?.lose();
    });
  }

  #assertUp(): void {
    if (!this.#up) throw new NetworkError('E_CLOSED', 'connection is closed');
  }

  #send(frame: Frame, object: TlPacket): void {
    this.sent.push(object);
    this.other?.receive(frame);
  }

  receive(frame: Frame): void {
    this.#inbox.push(frame);
    if (!this.#reading) void this.#read();
  }

  async #read(): Promise<void> {
    this.#reading = true;
    try {
      for (let frame = this.#inbox.shift(); frame !== undefined; frame = this.#inbox.shift()) {
        await Promise.resolve(); // never in the stack of the sender
        if (!this.#up) return;
        await this.#receive(frame);
      }
    } catch (error) {
      this.close(asCocoonError(error));
    } finally {
      this.#reading = false;
    }
  }

  async #receive(frame: Frame): Promise<void> {
    if (frame.kind !== 'error' && frame.data.byteLength > this.maxFrameBytes) {
      throw new NetworkError('E_PROTOCOL', `frame of ${frame.data.byteLength} bytes, expected at most ${this.maxFrameBytes}`);
    }
    switch (frame.kind) {
      case 'error': this.#queries.get(frame.id)?.reject(new RemoteError(frame.code, frame.message)); break;
      case 'answer': this.#queries.get(frame.id)?.resolve(decodeBoxed(frame.data) as TlObject); break;
      case 'packet': await (await this.#handlers.promise).onPacket(decodeBoxed(frame.data)); break;
      case 'query': {
        const query = decodeBoxed(frame.data);
        if (!isTlFunction(query)) throw new CocoonError('E_INTERNAL', 'query is no function');
        const answering = this.#answer(frame.id, (await this.#handlers.promise).onQuery(query)).finally(() => this.#answering.delete(answering));
        this.#answering.add(answering);
      }
    }
  }

  async #answer(id: number, answer: Promise<TlObject>): Promise<void> {
    try {
      const object = await answer;
      this.#send({ kind: 'answer', id, data: encodeBoxed(object) }, object);
    } catch (error) {
      const [code, message] = error instanceof RemoteError ? [error.remoteCode, error.remoteMessage] : [601, 'internal failure'];
      this.other?.receive({ kind: 'error', id, code, message });
    }
  }
}
