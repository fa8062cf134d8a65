// A Connection over any byte stream, plain or TLS, in either role (WIRE.md section 7; defects 10 and 11 of section 20).
// Refuses malformed or out-of-order packets, a peer that is silent, slow or floods; each ends the connection with E_PROTOCOL
// or E_TIMEOUT. A query that cannot be read is answered with an error and costs the peer nothing else.
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { deferred } from '../core/deferred.ts';
import type { Deferred } from '../core/deferred.ts';
import { asCocoonError, NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import { Answering } from './answering.ts';
import type { ChannelBinding, Connection, ConnectionHandlers, QueryOptions, SendOptions, TlPacket } from './connection.ts';
import { FrameWriter } from './frame-writer.ts';
import { FrameReader } from './framing.ts';
import { KeepAlive } from './keep-alive.ts';
import { connectionLimits, connectionTimeouts } from './limits.ts';
import type { ConnectionLimits, ConnectionRole, ConnectionTimeouts } from './limits.ts';
import { OpenQueries } from './open-queries.ts';
import { readPacket } from './payload.ts';
import { decodeBoxedAs, lendBoxed } from './tl/codec.ts';
import type { TlByName, TlByType, TlFunction, TlObject } from './tl/types.ts';

type Packet = TlByType['tcp.Packet'];

export interface OpenConnectionOptions {
  readonly role: ConnectionRole;
  /** "ip:port" of the other end. */
  readonly remoteAddress: string;
  readonly peer: VerifiedPeer;
  /** Of the TLS session under the stream. */
  readonly channel?: ChannelBinding | undefined;
  readonly limits?: Partial<ConnectionLimits> | undefined;
  readonly timeouts?: Partial<ConnectionTimeouts> | undefined;
  /** Source of ids; default node:crypto. */
  readonly random?: ((length: number) => Uint8Array) | undefined;
}

export interface OpenConnection extends Connection {
  /**
   * Resolves when `tcp.connect` and `tcp.connected` were exchanged; rejects with why the connection ended before.
   * What is sent earlier waits for it.
   */
  readonly ready: Promise<void>;
  /** The end at once: nothing that is still waiting is delivered. For a peer that must not be spoken to any more. The first reason counts. */
  abort(reason: CocoonError): void;
}

/** Starts the protocol on `stream`, which belongs to the connection from then on; bytes read from it before are lost to it. */
export function openConnection(stream: Duplex, options: OpenConnectionOptions): OpenConnection {
  return new WireConnection(stream, options);
}

/** Own pings that may wait for their pong. */
const MAX_PINGS = 4;

type State = 'opening' | 'open' | 'closing' | 'closed';

class WireConnection implements OpenConnection {
  readonly remoteAddress: string;
  readonly peer: VerifiedPeer;
  readonly channel?: ChannelBinding;
  readonly #role: ConnectionRole;
  readonly #limits: ConnectionLimits;
  readonly #timeouts: ConnectionTimeouts;
  readonly #stream: Duplex;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #queries: OpenQueries;
  readonly #answering: Answering;
  readonly #keepAlive: KeepAlive;
  readonly #handshakeTimer: NodeJS.Timeout;
  readonly #randomId: () => bigint;
  readonly #connectId: bigint;
  readonly #ready = deferred<void>();
  readonly #handlers = deferred<ConnectionHandlers>();
  /** As soon as there are some. */
  #handling: ConnectionHandlers | null = null;
  readonly #closed = deferred<CocoonError | null>();
  readonly #pings = new Map<bigint, { readonly sentAt: number; readonly answer: Deferred<number> }>();
  #state: State = 'opening';
  #reason: CocoonError | null = null;
  #inputEnded = false;
  /** Set while this side waits for the stream to have bytes. */
  #wantsInput: Deferred<void> | null = null;

  constructor(stream: Duplex, { role, remoteAddress, peer, channel, limits, timeouts, random = randomBytes }: OpenConnectionOptions) {
    this.remoteAddress = remoteAddress;
    this.peer = peer;
    if (channel !== undefined) this.channel = channel;
    this.#role = role;
    this.#limits = connectionLimits(role, limits);
    this.#timeouts = connectionTimeouts(role, timeouts);
    this.#stream = stream;
    this.#reader = new FrameReader({ maxFrameBytes: this.#limits.maxFrameBytes });
    this.#writer = new FrameWriter(stream, this.#limits.maxBufferedBytes);
    this.#randomId = () => int64Of(random(8));
    this.#queries = new OpenQueries({ max: this.#limits.maxOutboundQueries, randomId: this.#randomId });
    this.#answering = new Answering({
      max: this.#limits.maxInboundQueries,
      maxBytes: this.#limits.maxInboundQueryBytes,
      reply: (packet) => this.#reply(packet),
      failed: (error) => this.close(asCocoonError(error)),
    });
    this.#keepAlive = this.#watch();
    this.#handshakeTimer = this.#limitHandshake();
    this.#connectId = this.#randomId();
    // These rejections are for who asks; nobody has to.
    this.#ready.promise.catch(() => undefined);
    this.#handlers.promise.catch(() => undefined);
    stream.on('readable', this.#wake);
    stream.on('error', (error) => this.#lost(error));
    stream.on('end', () => this.#endInput());
    stream.on('close', () => this.#endInput());
    if (role === 'dialer') this.#writer.write({ _: 'tcp.connect', id: this.#connectId }, 'own');
    void this.#read();
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get closed(): Promise<CocoonError | null> {
    return this.#closed.promise;
  }

  get bufferedBytes(): number {
    return this.#writer.bufferedBytes;
  }

  handle(handlers: ConnectionHandlers): void {
    this.#handlers.resolve(handlers);
    this.#handling ??= handlers;
  }

  setMaxFrameBytes(bytes: number): void {
    this.#reader.setMaxFrameBytes(bytes);
  }

  query(query: TlFunction, options: QueryOptions): Promise<TlObject> {
    return heeded(this.#query(query, options));
  }

  send(packet: TlPacket, options?: SendOptions): Promise<void> {
    // Most packets by far are sent on an open connection, and wait for nothing.
    if (this.#state !== 'open') return heeded(this.#send(packet, options));
    try {
      return this.#write(packet, options);
    } catch (error) {
      return heeded(Promise.reject(error));
    }
  }

  ping(): Promise<number> {
    return heeded(this.#ping());
  }

  close(reason?: CocoonError): void {
    if (!this.#isUp) return;
    this.#state = 'closing';
    this.#reason = reason ?? null;
    this.#stopWaiting();
    void this.#disconnect();
  }

  abort(reason: CocoonError): void {
    this.#end(reason);
  }

  get #isUp(): boolean {
    return this.#state === 'opening' || this.#state === 'open';
  }

  // Both reach their `write` before their first wait when the connection is open: packets leave in the order of the calls.
  async #query(query: TlFunction, options: QueryOptions): Promise<TlObject> {
    if (this.#state === 'opening') await this.#ready.promise;
    if (!this.#isUp) throw this.#gone();
    return this.#queries.ask(query, options, (id) => lendBoxed(query, (data) => this.#writer.write({ _: 'tcp.query', id, data }, 'own')));
  }

  async #send(packet: TlPacket, options?: SendOptions): Promise<void> {
    if (this.#state === 'opening') await this.#ready.promise;
    if (!this.#isUp) throw this.#gone();
    await this.#write(packet, options);
  }

  #write(packet: TlPacket, options?: SendOptions): Promise<void> {
    this.#writer.send(packet, 'own', options?.lazy);
    return this.#writer.drained();
  }

  async #ping(): Promise<number> {
    if (this.#state === 'opening') await this.#ready.promise;
    if (!this.#isUp) throw this.#gone();
    if (this.#pings.size >= MAX_PINGS) throw new NetworkError('E_BUSY', `cannot send a ping: ${this.#pings.size} wait for an answer already`);
    const id = this.#randomId();
    const answer = deferred<number>();
    this.#writer.write({ _: 'tcp.ping', id }, 'own');
    this.#pings.set(id, { sentAt: performance.now(), answer });
    return answer.promise;
  }

  /** Nothing when no ping of that id was sent by `ping`: the keep-alive's own have done their work by being answered at all. */
  #pong(id: bigint): null {
    const ping = this.#pings.get(id);
    this.#pings.delete(id);
    ping?.answer.resolve(performance.now() - ping.sentAt);
    return null;
  }

  /** The reading loop: one frame after the other, the next one only when the one before has been dealt with. */
  async #read(): Promise<void> {
    try {
      for (let chunk = await this.#nextChunk(); chunk !== null; chunk = await this.#nextChunk()) {
        const payloads = this.#reader.push(chunk);
        this.#keepAlive.received(payloads.length > 0, this.#reader.bufferedBytes);
        for (const payload of payloads) {
          const dealtWith = this.#receive(decodeBoxedAs('tcp.Packet', payload));
          if (dealtWith !== null) await dealtWith;
          const taken = this.#writer.repliesTaken(this.#limits.maxReplyBytes);
          if (taken !== null) await taken;
          if (!this.#isUp) return;
        }
      }
      if (this.#isUp) this.#end(new NetworkError('E_CLOSED', `${this.remoteAddress} closed the connection`));
    } catch (error) {
      this.close(asCocoonError(error));
    }
  }

  /** Null when no more bytes will come or are wanted. */
  async #nextChunk(): Promise<Uint8Array | null> {
    while (this.#isUp) {
      const chunk = this.#stream.read() as Buffer | null;
      if (chunk !== null) return chunk;
      if (this.#inputEnded) return null;
      this.#wantsInput = deferred();
      await this.#wantsInput.promise;
      this.#wantsInput = null;
    }
    return null;
  }

  /** A promise when reading has to wait for it. Throws E_PROTOCOL. */
  #receive(packet: Packet): Promise<void> | null {
    if (this.#state === 'opening') return this.#open(packet);
    switch (packet._) {
      case 'tcp.packet':
        if (this.#handling !== null) return onPacket(this.#handling, packet.data);
        return this.#handlers.promise.then((handlers) => onPacket(handlers, packet.data) ?? undefined);
      case 'tcp.query':
        if (this.#handling !== null) return this.#answer(this.#handling, packet);
        return this.#handlers.promise.then((handlers) => void this.#answer(handlers, packet));
      case 'tcp.queryAnswer':
        this.#queries.answer(packet.id, packet.data);
        return null;
      case 'tcp.queryError':
        this.#queries.answerError(packet.id, packet.code, packet.message);
        return null;
      case 'tcp.ping':
        this.#reply({ _: 'tcp.pong', id: packet.id });
        return null;
      case 'tcp.pong':
        return this.#pong(packet.id);
      default:
        return null; // a stray tcp.connect or tcp.connected means nothing
    }
  }

  #answer(handlers: ConnectionHandlers, { id, data }: TlByName['tcp.query']): null {
    this.#answering.start(handlers, id, data);
    return null;
  }

  #open(packet: Packet): null {
    const expected = this.#role === 'dialer' ? 'tcp.connected' : 'tcp.connect';
    if (packet._ !== expected) throw new NetworkError('E_PROTOCOL', `${this.remoteAddress} began with ${packet._}, expected ${expected}`);
    if (this.#role === 'acceptor') this.#writer.write({ _: 'tcp.connected', id: packet.id }, 'own');
    else if (packet.id !== this.#connectId) throw new NetworkError('E_PROTOCOL', `${this.remoteAddress} answered tcp.connect with another id`);
    clearTimeout(this.#handshakeTimer);
    this.#state = 'open';
    this.#ready.resolve();
    return null;
  }

  /** Never refused for a full buffer: the reading loop stops at `maxReplyBytes` instead. */
  #reply(packet: Packet): void {
    if (this.#state !== 'closed') this.#writer.write(packet, 'reply');
  }

  #watch(): KeepAlive {
    return new KeepAlive({
      role: this.#role,
      look: () => ({
        listening: this.#wantsInput !== null,
        partialBytes: this.#reader.bufferedBytes,
        bufferedBytes: this.#writer.bufferedBytes,
        progressAt: this.#writer.progressAt,
        sentAt: this.#writer.sentAt,
      }),
      ping: () => {
        if (this.#state === 'open') this.#reply({ _: 'tcp.ping', id: this.#randomId() });
      },
      dead: (error) => this.#end(error),
    }, this.#timeouts);
  }

  #limitHandshake(): NodeJS.Timeout {
    const { handshakeMs } = this.#timeouts;
    const missing = this.#role === 'dialer' ? 'tcp.connected' : 'tcp.connect';
    return setTimeout(() => this.#end(new NetworkError('E_TIMEOUT', `${this.remoteAddress} did not send ${missing} within ${handshakeMs} ms`)), handshakeMs);
  }

  readonly #wake = (): void => this.#wantsInput?.resolve();

  #endInput(): void {
    this.#inputEnded = true;
    // What was received before is still dealt with, but nothing can be sent any more.
    if (this.#stream.destroyed) this.#writer.fail(this.#gone());
    if (this.#state === 'closing') this.#end(null);
    this.#wake();
  }

  #lost(cause: Error & { code?: string }): void {
    const code = cause.code?.startsWith('ERR_SSL') === true ? 'E_PROTOCOL' : 'E_CLOSED';
    this.#end(new NetworkError(code, `connection with ${this.remoteAddress} failed: ${cause.code ?? cause.message}`, { cause }));
  }

  /** The orderly end: what is queued or being answered leaves first, then the peer may close its side. */
  async #disconnect(): Promise<void> {
    const cut = setTimeout(() => this.#end(null), this.#timeouts.closeMs);
    void this.#closed.promise.then(() => clearTimeout(cut));
    await this.#answering.settled();
    // Unread bytes at the close would make the operating system throw away what the peer has not fetched yet.
    this.#stream.off('readable', this.#wake);
    this.#stream.resume();
    this.#writer.flush();
    if (this.#inputEnded) this.#end(null);
    else this.#stream.end();
  }

  #stopWaiting(): void {
    clearTimeout(this.#handshakeTimer);
    this.#keepAlive.stop();
    const gone = this.#gone();
    this.#ready.reject(this.#reason ?? gone);
    this.#handlers.reject(gone);
    this.#queries.failAll(gone);
    for (const { answer } of this.#pings.values()) answer.reject(gone);
    this.#pings.clear();
    this.#wake();
  }

  /** The end at once. `reason` counts when there is none yet. */
  #end(reason: CocoonError | null): void {
    if (this.#state === 'closed') return;
    if (this.#isUp) this.#reason = reason;
    this.#state = 'closed';
    this.#stopWaiting();
    this.#writer.fail(this.#gone());
    this.#stream.destroy();
    this.#closed.resolve(this.#reason);
  }

  #gone(): NetworkError {
    const why = this.#reason === null ? '' : `: ${this.#reason.message}`;
    return new NetworkError('E_CLOSED', `connection with ${this.remoteAddress} is closed${why}`, { cause: this.#reason ?? undefined });
  }
}

/** A promise when reading has to wait for it. */
function onPacket(handlers: ConnectionHandlers, data: Uint8Array): Promise<void> | null {
  const packet = readPacket(handlers, data);
  return packet === null ? null : handlers.onPacket(packet) ?? null;
}

const int64Of = (bytes: Uint8Array): bigint => new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true);

/** A caller that does not wait for `promise` is not punished with an unhandled rejection when the connection ends. */
function heeded<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
