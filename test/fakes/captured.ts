// Captured conversations as a test wants them: the payloads of both directions in order, decoded.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import type { AnswerSink } from '../../src/wire/answer.ts';
import type { AnswerPiece } from '../../src/wire/answer-codec.ts';
import type { TlPacket } from '../../src/wire/connection.ts';
import { encodeFrame, FRAME_HEADER_BYTES, FrameReader } from '../../src/wire/framing.ts';
import { decodeBoxed, decodeBoxedAs } from '../../src/wire/tl/codec.ts';
import type { TlByType } from '../../src/wire/tl/types.ts';

export const VECTORS = fileURLToPath(new URL('../vectors/wire/', import.meta.url));

export interface CapturedFrame {
  /** The dialling side sent it. */
  readonly fromOpener: boolean;
  readonly payload: Uint8Array;
  readonly packet: TlByType['tcp.Packet'];
  /** What the packet, query or answer carries; null for connect, ping and errors. */
  readonly inner: TlPacket | null;
}

interface Line { readonly kind: string; readonly dir: string; readonly hex: string }

/** Frames of a session, without those of the local router, keep-alive and end. */
export function capturedSession(file: string): CapturedFrame[] {
  return readFileSync(VECTORS + file, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Line)
    .filter(({ kind }) => kind === 'frame')
    .map(({ dir, hex }) => capturedFrame(dir === 'opener->acceptor', fromHex(hex).subarray(FRAME_HEADER_BYTES)))
    .filter(({ packet }) => packet._ !== 'tcp.ping' && packet._ !== 'tcp.pong');
}

/** Session files whose name contains one of `parts`. */
export const sessionFiles = (...parts: string[]): string[] => ['sessions', 'sessions-errors'].flatMap((folder) =>
  readdirSync(VECTORS + folder).filter((name) => name.endsWith('.jsonl') && parts.some((part) => name.includes(part))).map((name) => `${folder}/${name}`));

export function capturedFrame(fromOpener: boolean, payload: Uint8Array): CapturedFrame {
  const packet = decodeBoxedAs('tcp.Packet', payload);
  return { fromOpener, payload, packet, inner: 'data' in packet ? decodeBoxed(packet.data) : null };
}

/** Payloads of a byte stream, in hex. */
export const payloadsOf = (bytes: Uint8Array): string[] => new FrameReader().push(bytes).map(toHex);

/** Numbers payloads as one direction of a connection does. */
export function framer(): (payload: Uint8Array) => Uint8Array {
  let seqno = 0;
  return (payload) => encodeFrame(seqno++, payload);
}

/** Says into `sink` what a captured answer message said. */
export async function replayPiece(piece: AnswerPiece, sink: AnswerSink): Promise<void> {
  if (piece.kind === 'malformed') throw piece.error;
  if (piece.kind === 'error') return sink.fail(piece.code, piece.message, piece.info ?? undefined);
  if (piece.kind === 'head') {
    await sink.head(piece.head);
    if (piece.info !== null) await sink.end(piece.info);
    return;
  }
  await (piece.info === null ? sink.part(piece.bytes) : sink.end(piece.info, piece.bytes));
}

/** The first inner object with constructor `name`; throws when the capture has none. */
export function innerOf<N extends TlPacket['_']>(frames: readonly CapturedFrame[], name: N): Extract<TlPacket, { readonly _: N }> {
  const found = frames.find(({ inner }) => inner?._ === name)?.inner;
  if (found === undefined || found === null) throw new Error(`capture has no ${name}`);
  return found as Extract<TlPacket, { readonly _: N }>;
}
