// Accepts connections: proof of work, TLS, tcp.connect, each within its deadline (WIRE.md sections 2, 3 and 7, defect 12
// of section 20). No TLS work is done without a proof. Refuses peers above the limits; under a flood of half-open
// connections the oldest of them go, so memory stays bounded and others are served meanwhile.
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { asCocoonError, NetworkError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { VerifyPeer } from '../tee/peer.ts';
import { formatAddress, sourceOf } from './address.ts';
import type { Connection } from './connection.ts';
import { HalfOpenTable } from './half-open.ts';
import type { HalfOpen, HalfOpenLimits } from './half-open.ts';
import { keepAppraised } from './keep-appraised.ts';
import type { ConnectionLimits, ConnectionTimeouts } from './limits.ts';
import { openConnection } from './open-connection.ts';
import { DEFAULT_DIFFICULTY_BITS } from './pow.ts';
import { demandProof } from './proof-exchange.ts';
import { secureAsAcceptor } from './tls.ts';
import type { TlsIdentity } from './tls.ts';

export interface ListenLimits extends HalfOpenLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerSource: number;
}

const DEFAULT_LIMITS: ListenLimits = {
  maxUnproven: 1024,
  maxUnprovenPerSource: 128,
  maxProven: 256,
  maxProvenPerSource: 64,
  maxConnections: 4096,
  maxConnectionsPerSource: 512,
};

/** Milliseconds for each stage, and the times of the connections afterwards. */
export interface ListenTimeouts extends ConnectionTimeouts {
  /** For the proof of work; a C++ dialer needs about 2 s for 20 bits. */
  readonly proofMs: number;
  readonly tlsMs: number;
}

/** `tlsMs` has room for fetching collateral, which decides whether the peer may be spoken to. */
const DEFAULT_TIMEOUTS = { proofMs: 30_000, tlsMs: 30_000 };

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** This side's certificate, asked for each new connection: a renewed one needs no restart. */
  readonly identity: () => TlsIdentity;
  readonly verifyPeer: VerifyPeer;
  /** Default 20; 0 for networks that need no protection. */
  readonly powDifficultyBits?: number;
  readonly limits?: Partial<ListenLimits>;
  readonly timeouts?: Partial<ListenTimeouts>;
  readonly connectionLimits?: Partial<ConnectionLimits>;
  /** A connection that is verified and open; call `handle` on it at once. */
  readonly onConnection: (connection: Connection) => void;
  readonly log: Log;
  readonly random?: (length: number) => Uint8Array;
}

type Stage = 'proof' | 'tls' | 'connect';

/** Counters since the start; `halfOpen` and `open` are what there is now. */
export interface ListenCounters {
  readonly accepted: number;
  /** Closed at once: too many established connections. */
  readonly refused: number;
  /** Closed half-open to make room. */
  readonly evicted: number;
  /** Failed or late in a stage, evicted ones not counted. */
  readonly failed: Readonly<Record<Stage, number>>;
  readonly established: number;
  readonly halfOpen: number;
  readonly open: number;
}

export interface Listener {
  readonly address: { readonly host: string; readonly port: number };
  readonly counters: ListenCounters;
  /** Accepts nothing more, drops half-open connections, closes the others in order. Resolves when all are gone. Idempotent. */
  close(): Promise<void>;
}

/** Throws NetworkError E_UNREACHABLE when the address cannot be listened on. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const acceptor = new Acceptor(options);
  const server = createServer({ noDelay: true }, (socket) => acceptor.accept(socket));
  const address = await bind(server, options.host, options.port);
  server.on('error', (error) => options.log.error('listener failed', { error: error.message }));
  let closed: Promise<void> | null = null;
  return {
    address: { host: address.address, port: address.port },
    get counters() {
      return acceptor.counters;
    },
    close: () => closed ??= shut(server, acceptor),
  };
}

function bind(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error & { code?: string }): void =>
      reject(new NetworkError('E_UNREACHABLE', `cannot listen on ${formatAddress(host, port)}: ${cause.code ?? cause.message}`, { cause }));
    server.once('error', onError);
    server.listen({ host, port }, () => {
      server.off('error', onError);
      resolve(server.address() as AddressInfo);
    });
  });
}

async function shut(server: Server, acceptor: Acceptor): Promise<void> {
  const gone = new Promise<void>((resolve) => { server.close(() => resolve()); });
  await acceptor.close();
  await gone;
}

class Acceptor {
  readonly #options: ListenOptions;
  readonly #limits: ListenLimits;
  readonly #halfOpen: HalfOpenTable;
  readonly #open = new Set<Connection>();
  readonly #openBySource = new Map<string, number>();
  readonly #counts = { accepted: 0, refused: 0, evicted: 0, established: 0 };
  readonly #failed: Record<Stage, number> = { proof: 0, tls: 0, connect: 0 };
  #closing = false;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#halfOpen = new HalfOpenTable(this.#limits);
  }

  get counters(): ListenCounters {
    return { ...this.#counts, failed: { ...this.#failed }, halfOpen: this.#halfOpen.size, open: this.#open.size };
  }

  accept(socket: Socket): void {
    // Stays for good: an error between two stages must not be thrown into the process.
    socket.on('error', () => undefined);
    this.#counts.accepted += 1;
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined || this.#closing || !this.#hasRoom(sourceOf(remoteAddress))) {
      this.#counts.refused += 1;
      socket.destroy();
      return;
    }
    let evicted = false;
    const entry: HalfOpen = {
      source: sourceOf(remoteAddress),
      evict: () => {
        evicted = true;
        this.#counts.evicted += 1;
        socket.destroy();
      },
    };
    this.#halfOpen.enter(entry);
    let stage: Stage = 'proof';
    this.#admit(socket, formatAddress(remoteAddress, remotePort), entry, (next) => { stage = next; }).catch((error: unknown) => {
      this.#halfOpen.leave(entry);
      socket.destroy();
      if (!evicted) this.#failed[stage] += 1;
      this.#options.log.debug('connection refused', { from: remoteAddress, stage, evicted, error: asCocoonError(error).message });
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#halfOpen.evictAll();
    const open = [...this.#open];
    for (const connection of open) connection.close();
    await Promise.all(open.map(({ closed }) => closed));
  }

  async #admit(socket: Socket, remoteAddress: string, entry: HalfOpen, enter: (stage: Stage) => void): Promise<void> {
    const { identity, verifyPeer, powDifficultyBits = DEFAULT_DIFFICULTY_BITS, connectionLimits, random } = this.#options;
    const timeouts = { ...DEFAULT_TIMEOUTS, ...this.#options.timeouts };
    await demandProof(socket, { difficultyBits: powDifficultyBits, timeoutMs: timeouts.proofMs, random });
    this.#halfOpen.prove(entry);
    enter('tls');
    const secure = await secureAsAcceptor(socket, { identity: identity(), verifyPeer, timeoutMs: timeouts.tlsMs, remoteAddress });
    enter('connect');
    const connection = openConnection(secure.socket, {
      role: 'acceptor', remoteAddress, peer: secure.peer, channel: secure.channel, limits: connectionLimits, timeouts: this.#options.timeouts, random,
    });
    await connection.ready;
    this.#halfOpen.leave(entry);
    keepAppraised(connection);
    this.#establish(connection, entry.source);
  }

  #establish(connection: Connection, source: string): void {
    // Looked at again: others may have finished since this one was let in.
    if (this.#closing || !this.#hasRoom(source)) {
      this.#counts.refused += 1;
      connection.close();
      return;
    }
    this.#counts.established += 1;
    this.#open.add(connection);
    this.#countSource(source, 1);
    void connection.closed.then(() => {
      this.#open.delete(connection);
      this.#countSource(source, -1);
    });
    try {
      this.#options.onConnection(connection);
    } catch (error) {
      this.#options.log.error('connection handler failed', { error: asCocoonError(error).message });
      connection.close(asCocoonError(error));
    }
  }

  #hasRoom(source: string): boolean {
    const { maxConnections, maxConnectionsPerSource } = this.#limits;
    return this.#open.size < maxConnections && (this.#openBySource.get(source) ?? 0) < maxConnectionsPerSource;
  }

  #countSource(source: string, change: 1 | -1): void {
    const count = (this.#openBySource.get(source) ?? 0) + change;
    if (count === 0) this.#openBySource.delete(source);
    else this.#openBySource.set(source, count);
  }
}
