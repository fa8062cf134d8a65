// Captured byte streams of C++ programs, replayed into a connection: it accepts them whole, and its own frames would be
// the same bytes. The framing probes of vectors/wire/probes are answered as the C++ proxy answers them.
import { readFileSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NetworkError } from '../../src/core/errors.ts';
import type { TlPacket } from '../../src/wire/connection.ts';
import { encodeFrame, FrameReader } from '../../src/wire/framing.ts';
import { openConnection } from '../../src/wire/open-connection.ts';
import { decodeBoxed, decodeBoxedAs, encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlFunction, TlObject } from '../../src/wire/tl/types.ts';
import { Cleanup, expectTyped, PEER, ScriptedPeer, sleep, tcpPair, until } from './peers.ts';
import type { Packet } from './peers.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const vectors = new URL('../vectors/wire/', import.meta.url);
const load = (path: string): Buffer => readFileSync(new URL(path, vectors));

/** SOCKS5 greeting and request (3 + 10 bytes), or its two answers (2 + 10 bytes); then the frames of one direction. */
const SOCKS_DIALER = 13;
const SOCKS_ACCEPTOR = 12;
const afterPeerInfo = (bytes: Buffer, offset: number): Buffer => bytes.subarray(offset + 4 + bytes.readUInt32LE(offset));

interface Capture {
  readonly name: string;
  /** Bytes that the dialling program sent, and that it received. */
  readonly dialer: Buffer;
  readonly acceptor: Buffer;
}

/** On a runner's own leg the router is the acceptor; on a proxy's port the proxy is, and its peer info comes first. */
const runnerLeg = (name: string, dialer: string, acceptor: string): Capture => ({
  name, dialer: load(`sessions/${dialer}`).subarray(SOCKS_DIALER), acceptor: afterPeerInfo(load(`sessions/${acceptor}`), SOCKS_ACCEPTOR),
});
const proxyLeg = (name: string): Capture => ({
  name, dialer: afterPeerInfo(load(`sessions/${name}.opener.bin`), 0), acceptor: load(`sessions/${name}.acceptor.bin`),
});

const CAPTURES: readonly Capture[] = [
  runnerLeg('client-runner', 'client-runner.c2s.bin', 'client-runner.s2c.bin'),
  runnerLeg('worker-runner', 'worker-runner.c2s.bin', 'worker-runner.s2c.bin'),
  runnerLeg('coef1000-client-runner', 'coef1000-client-runner.opener.bin', 'coef1000-client-runner.acceptor.bin'),
  runnerLeg('coef1000-worker-runner', 'coef1000-worker-runner.opener.bin', 'coef1000-worker-runner.acceptor.bin'),
  proxyLeg('coef1000-proxy-runner-client-port'),
  proxyLeg('coef1000-proxy-runner-worker-port'),
];

const packetsOf = (bytes: Buffer): Packet[] => new FrameReader().push(bytes).map((payload) => decodeBoxedAs('tcp.Packet', payload));

/** A stream that plays `bytes` in pieces of `step`, then stays open, and keeps what is written. */
function player(bytes: Buffer, step: number): { stream: Duplex; written: Buffer[] } {
  const written: Buffer[] = [];
  let offset = 0;
  const stream = new Duplex({
    read() {
      if (offset >= bytes.length) return;
      const piece = bytes.subarray(offset, offset + step);
      offset += piece.length;
      setImmediate(() => this.push(piece));
    },
    write(chunk: Buffer, _, done) {
      written.push(chunk);
      done();
    },
  });
  cleanup.add(stream, () => stream.destroy());
  return { stream, written };
}

const bodies = (packets: readonly Packet[], name: 'tcp.packet' | 'tcp.query'): Uint8Array[] =>
  packets.flatMap((packet) => (packet._ === name ? [packet.data] : []));

/** What a queried side said, in the order of the queries. */
const answersOf = (packets: readonly Packet[]): TlObject[] =>
  packets.flatMap((packet) => (packet._ === 'tcp.queryAnswer' ? [decodeBoxed(packet.data) as TlObject] : []));

describe.each(CAPTURES)('capture $name', ({ dialer, acceptor }) => {
  it.each([1 << 16, 7])('openConnection: an acceptor takes the dialer\'s bytes in pieces of %d and writes what the acceptor wrote', async (step) => {
    const { stream, written } = player(dialer, step);
    const seen: TlPacket[] = [];
    const queries: TlFunction[] = [];
    const answers = answersOf(packetsOf(acceptor));
    const connection = openConnection(stream, { role: 'acceptor', remoteAddress: 'x:1', peer: PEER });
    cleanup.add(connection, () => connection.close());
    connection.handle({
      onPacket(packet) { seen.push(packet); },
      async onQuery(query) {
        const answer = answers[queries.push(query) - 1];
        if (answer === undefined) throw new NetworkError('E_PROTOCOL', 'no captured answer');
        return answer;
      },
    });
    const sent = packetsOf(dialer);
    await until(() => seen.length === bodies(sent, 'tcp.packet').length && queries.length === bodies(sent, 'tcp.query').length);
    expect(seen.map((packet) => encodeBoxed(packet))).toEqual(bodies(sent, 'tcp.packet'));
    expect(queries.map((query) => encodeBoxed(query))).toEqual(bodies(sent, 'tcp.query'));
    // Everything the acceptor says by itself is the captured bytes, but for what its session pushes.
    const replies = (packets: readonly Packet[]): Packet[] => packets.filter(({ _ }) => _ !== 'tcp.packet' && _ !== 'tcp.query');
    const expected = replies(packetsOf(acceptor));
    await until(() => packetsOf(Buffer.concat(written)).length >= expected.length);
    const own = packetsOf(Buffer.concat(written));
    expect(new Set(own.map((packet) => Buffer.from(encodeBoxed(packet)).toString('hex'))))
      .toEqual(new Set(expected.map((packet) => Buffer.from(encodeBoxed(packet)).toString('hex'))));
  });

  it('openConnection: a dialer with the captured id takes the acceptor\'s bytes', async () => {
    const [first] = packetsOf(dialer);
    if (first?._ !== 'tcp.connect') throw new Error('capture does not begin with tcp.connect');
    const id = Buffer.alloc(8);
    id.writeBigInt64LE(first.id);
    const { stream, written } = player(acceptor, 1000);
    const connection = openConnection(stream, { role: 'dialer', remoteAddress: 'x:1', peer: PEER, random: () => id });
    cleanup.add(connection, () => connection.close());
    const seen: TlPacket[] = [];
    connection.handle({ onPacket(packet) { seen.push(packet); }, onQuery: async () => { throw new NetworkError('E_PROTOCOL', 'not asked'); } });
    await connection.ready;
    const pushed = bodies(packetsOf(acceptor), 'tcp.packet');
    await until(() => seen.length === pushed.length);
    expect(seen.map((packet) => encodeBoxed(packet))).toEqual(pushed);
    // The first frame on the wire is the captured one, byte for byte.
    expect(Buffer.concat(written).subarray(0, 20)).toEqual(dialer.subarray(0, 20));
  });

  it('encodeFrame: packets decoded from the capture and sent again are the same bytes', () => {
    for (const bytes of [dialer, acceptor]) {
      const again = packetsOf(bytes).map((packet, seqno) => encodeFrame(seqno, encodeBoxed(packet)));
      expect(Buffer.concat(again).equals(bytes)).toBe(true);
    }
  });
});

interface ProbeStep { readonly dir: 'send' | 'recv'; readonly hex?: string; readonly closed?: boolean }
interface Probe { readonly closed_after: boolean | null; readonly log: readonly ProbeStep[] }

const PROBES = JSON.parse(load('probes/client-port.json').toString()) as Readonly<Record<string, Probe>>;

/** Probes that are decided below the sessions. The bytes of two of them are not in the log, only their names. */
const LEFT_OUT: Readonly<Record<string, string>> = { oversize_len: '0100000101000000', len_3: '0300000001000000010203' };
const FRAMING_PROBES = [
  'ping', 'second_tcp_connect', 'bad_seqno', 'oversize_len', 'len_3', 'unknown_constructor', 'trailing_bytes', 'first_packet_not_connect',
];

describe('probes', () => {
  it.each(FRAMING_PROBES)('openConnection: %s is answered as the C++ proxy does', async (name) => {
    const probe = PROBES[name];
    if (probe === undefined) throw new Error(`no probe ${name}`);
    const [near, far] = await tcpPair(cleanup);
    const connection = openConnection(near, { role: 'acceptor', remoteAddress: 'x:1', peer: PEER, limits: { maxFrameBytes: 2 ** 24 } });
    connection.handle({ onPacket() {}, onQuery: async () => { throw new NetworkError('E_PROTOCOL', 'not asked'); } });
    const peer = new ScriptedPeer(far);
    const expected: string[] = [];
    for (const step of probe.log) {
      if (step.dir === 'send') peer.sendBytes(Buffer.from(step.hex ?? LEFT_OUT[name] ?? '', 'hex'));
      else if (step.hex !== undefined) expected.push(step.hex);
      if (step.dir === 'recv' && step.hex !== undefined) await until(() => peer.received.length === expected.length);
    }
    expect(peer.received.map((packet, seqno) => Buffer.from(encodeFrame(seqno, encodeBoxed(packet))).toString('hex'))).toEqual(expected);
    // What stays open was closed by the probing program in the end (its last log line).
    const staysOpen = ['ping', 'second_tcp_connect'].includes(name);
    expect(probe.closed_after === true || name === 'first_packet_not_connect').toBe(!staysOpen);
    if (staysOpen) {
      await sleep(30);
      expect(peer.closed).toBe(false);
      connection.close();
    } else {
      await until(() => peer.closed);
      expectTyped(await connection.closed, 'E_PROTOCOL');
    }
  });
});
