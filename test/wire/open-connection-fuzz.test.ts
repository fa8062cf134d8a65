// Hostile bytes against a connection in either role: whatever comes, it ends closed, with a typed error, and no promise
// stays open. The bytes reach past the handshake and past the framing as often as not.
import { Duplex } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CocoonError } from '../../src/core/errors.ts';
import { encodeFrame } from '../../src/wire/framing.ts';
import { openConnection } from '../../src/wire/open-connection.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { coefficient, packetOf, PEER } from './peers.ts';
import type { Packet } from './peers.ts';

const ID = new Uint8Array(8);

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength });
const id = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

const anyPacket: fc.Arbitrary<Packet> = fc.oneof(
  id.map((one): Packet => ({ _: 'tcp.ping', id: one })),
  id.map((one): Packet => ({ _: 'tcp.connect', id: one })),
  bytes(40).map((data): Packet => ({ _: 'tcp.packet', data })),
  fc.integer().map((value) => packetOf(coefficient(value | 0))),
  fc.tuple(id, bytes(40)).map(([one, data]): Packet => ({ _: 'tcp.query', id: one, data })),
  id.map((one): Packet => ({ _: 'tcp.query', id: one, data: encodeBoxed({ _: 'client.getWorkerTypes' }) })),
  fc.tuple(id, bytes(40)).map(([one, data]): Packet => ({ _: 'tcp.queryAnswer', id: one, data })),
  fc.tuple(id, fc.string()).map(([one, message]): Packet => ({ _: 'tcp.queryError', id: one, code: 1, message })),
);

/** A valid beginning, then frames that are valid, or valid but for their payload, or no frames at all. */
const script = fc.record({
  shakesHands: fc.boolean(),
  parts: fc.array(fc.oneof(
    { weight: 4, arbitrary: anyPacket.map((packet) => ({ payload: encodeBoxed(packet) })) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 4, maxLength: 64 }).map((payload) => ({ payload })) },
    { weight: 1, arbitrary: bytes(64).map((raw) => ({ raw })) },
  ), { maxLength: 12 }),
  cuts: fc.integer({ min: 1, max: 50 }),
});

describe.each(['dialer', 'acceptor'] as const)('%s', (role) => {
  it('openConnection: any bytes end it closed, with nothing thrown that is not typed', async () => {
    await fc.assert(fc.asyncProperty(script, async ({ shakesHands, parts, cuts }) => {
      const hello = encodeBoxed(role === 'dialer' ? { _: 'tcp.connected', id: 0n } : { _: 'tcp.connect', id: 0n });
      let seqno = 0;
      const stream = new Duplex({ read() {}, write(_chunk, _encoding, done) { done(); } });
      const connection = openConnection(stream, { role, remoteAddress: 'x:1', peer: PEER, random: () => ID, timeouts: { closeMs: 50 } });
      connection.handle({ onPacket() {}, onQuery: async () => ({ _: 'client.workerTypes', types: [] }) });
      const asked = connection.query({ _: 'client.getWorkerTypes' }, { timeoutMs: 10_000 });
      if (shakesHands) stream.push(encodeFrame(seqno++, hello));
      for (const part of parts) {
        const piece = 'raw' in part ? part.raw : encodeFrame(seqno++, part.payload);
        for (let offset = 0; offset < piece.length; offset += cuts) stream.push(piece.subarray(offset, offset + cuts));
      }
      stream.push(null);
      const outcome = await connection.closed;
      expect(outcome).toBeInstanceOf(CocoonError);
      expect(['E_CLOSED', 'E_PROTOCOL']).toContain(outcome?.code);
      const answered = await asked.then(() => null, (error: unknown) => error);
      if (answered !== null) expect(answered).toBeInstanceOf(CocoonError);
      expect(stream.destroyed).toBe(true);
      expect(connection.bufferedBytes).toBe(0);
    }), { numRuns: 300 });
  });
});
