// What the transport tests stand on: certificates, pairs of streams, a peer that speaks single packets, typed failures.
import { createConnection, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { expect } from '@jest/globals';
import { systemClock } from '../../src/core/clock.ts';
import type { ErrorCode } from '../../src/core/codes.ts';
import { CocoonError } from '../../src/core/errors.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import type { VerifiedPeer } from '../../src/tee/peer.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { encodeFrame, FrameReader } from '../../src/wire/framing.ts';
import { decodeBoxedAs, encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlByType, TlObject } from '../../src/wire/tl/types.ts';
import type { TlsIdentity } from '../../src/wire/tls.ts';

export type Packet = TlByType['tcp.Packet'];

export const PEER: VerifiedPeer = { evidence: 'none', publicKey: new Uint8Array(32), imageHash: new Uint8Array(32) };

export const verifyAny = createVerifyPeer({ kind: 'any' }, { clock: systemClock });

export const makeIdentity = async (): Promise<TlsIdentity & { readonly publicKey: Uint8Array }> =>
  makeCertificate({ keys: generateTlsKeys(), evidence: { family: 'none' }, notBefore: Date.now() - 60_000 });

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Waits for `test` to hold; fails after `withinMs`. */
export async function until(test: () => boolean, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!test()) {
    if (performance.now() > end) throw new Error(`never became true: ${test.toString()}`);
    await sleep(2);
  }
}

/** Things to undo after each test, last first. */
export class Cleanup {
  readonly #undo: (() => unknown)[] = [];

  add<T>(thing: T, undo: (thing: T) => unknown): T {
    this.#undo.push(() => undo(thing));
    return thing;
  }

  async run(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }
}

export async function listenTcp(cleanup: Cleanup, onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    cleanup.add(socket, () => socket.destroy());
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  cleanup.add(server, () => new Promise((resolve) => { server.close(resolve); }));
  return { server, port: (server.address() as AddressInfo).port };
}

export async function dialTcp(cleanup: Cleanup, port: number, localAddress?: string): Promise<Socket> {
  const socket = createConnection({ port, host: '127.0.0.1', ...(localAddress === undefined ? {} : { localAddress }) });
  cleanup.add(socket, () => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject); // stays: later errors are the test's to see in other ways
    socket.once('connect', resolve);
  });
  return socket;
}

/** Both ends of a loopback TCP connection. */
export async function tcpPair(cleanup: Cleanup): Promise<[Socket, Socket]> {
  let accept: (socket: Socket) => void = () => undefined;
  const accepted = new Promise<Socket>((resolve) => { accept = resolve; });
  const { port } = await listenTcp(cleanup, (socket) => accept(socket));
  return [await dialTcp(cleanup, port), await accepted];
}

/** A peer under the test's full control: sends any bytes, and shows the packets that come. */
export class ScriptedPeer {
  readonly stream: Duplex;
  readonly received: Packet[] = [];
  closed = false;
  readonly #reader = new FrameReader();
  #seqno = 0;

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.on('error', () => undefined);
    stream.on('end', () => { this.closed = true; });
    stream.on('close', () => { this.closed = true; });
    stream.on('data', (chunk: Buffer) => {
      for (const payload of this.#reader.push(chunk)) this.received.push(decodeBoxedAs('tcp.Packet', payload));
    });
  }

  get seqno(): number {
    return this.#seqno;
  }

  send(packet: Packet): void {
    this.sendPayload(encodeBoxed(packet));
  }

  sendPayload(payload: Uint8Array): void {
    this.sendBytes(encodeFrame(this.#seqno, payload));
    this.#seqno += 1;
  }

  sendBytes(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }

  /** The `n`th packet that this peer receives, from 0. */
  async packet(n: number): Promise<Packet> {
    await until(() => this.received.length > n || this.closed);
    const packet = this.received[n];
    if (packet === undefined) throw new Error(`closed after ${this.received.length} packets`);
    return packet;
  }
}

export const coefficient = (value: number): TlObject => ({ _: 'worker.newCoefficient', new_coefficient: value });

/** An object of about `size` bytes. */
export const blob = (size: number): TlObject => ({ _: 'proxy.signedPayment', data: new Uint8Array(size) });

export const packetOf = (object: TlObject): Packet => ({ _: 'tcp.packet', data: encodeBoxed(object) });

/** Waits for a rejection with a typed error of this code whose message matches. */
export async function expectRejection(promise: Promise<unknown>, code: ErrorCode, message: RegExp = /./): Promise<CocoonError> {
  const error = await promise.then(() => null, (thrown: unknown) => thrown);
  return expectTyped(error, code, message);
}

export function expectTyped(error: unknown, code: ErrorCode, message: RegExp = /./): CocoonError {
  expect(error).toBeInstanceOf(CocoonError);
  if (!(error instanceof CocoonError)) throw new Error('not typed');
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  return error;
}
