// What leaves with what: the sending half of a connection over a stream that keeps account of its writes.
import { describe, expect, it } from '@jest/globals';
import { Writable } from 'node:stream';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { NetworkError } from '../../src/core/errors.ts';
import { FrameWriter, LINGER_MS } from '../../src/wire/frame-writer.ts';
import { FrameReader } from '../../src/wire/framing.ts';
import { decodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlByType } from '../../src/wire/tl/types.ts';

const ping = (id: bigint): TlByType['tcp.Packet'] => ({ _: 'tcp.ping', id });

/** A stream that takes everything at once; `writes` has the ids of the packets of each of its writes. */
function recorder(): { stream: Writable; writes: bigint[][] } {
  const writes: bigint[][] = [];
  const reader = new FrameReader();
  const ids = (bytes: Uint8Array): bigint[] => reader.push(bytes).map((payload) => {
    const packet = decodeBoxed(payload);
    return packet._ === 'tcp.ping' ? packet.id : -1n;
  });
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writes.push(ids(chunk));
      done();
    },
    writev(chunks: { chunk: Buffer }[], done) {
      writes.push(chunks.flatMap(({ chunk }) => ids(chunk)));
      done();
    },
  } as ConstructorParameters<typeof Writable>[0]);
  return { stream, writes };
}

describe('FrameWriter', () => {
  it('write: frames of one turn leave together, also those of promises that it settles', async () => {
    const { stream, writes } = recorder();
    const writer = new FrameWriter(stream, 1_000);
    writer.write(ping(1n), 'own');
    const later = Promise.resolve().then(() => Promise.resolve()).then(() => writer.write(ping(3n), 'own'));
    writer.write(ping(2n), 'reply');
    await later;
    await turn();
    writer.write(ping(4n), 'own');
    await turn();
    expect(writes).toEqual([[1n, 2n, 3n], [4n]]);
    expect(writer.bufferedBytes).toBe(0);
  });

  it('write: what waits for the end of the turn counts as waiting', async () => {
    const { stream, writes } = recorder();
    const writer = new FrameWriter(stream, 20);
    writer.write(ping(1n), 'own');
    expect(writer.bufferedBytes).toBe(20);
    expect(() => writer.write(ping(2n), 'own')).toThrow(expect.objectContaining({ code: 'E_BUSY' }));
    await turn();
    writer.write(ping(3n), 'own');
    await turn();
    expect(writes).toEqual([[1n], [3n]]);
  });

  it('write: a lazy frame leaves with the next one, in order, or alone a little later', async () => {
    const { stream, writes } = recorder();
    const writer = new FrameWriter(stream, 1_000);
    writer.write(ping(1n), 'own', true);
    await turn();
    expect(writes).toEqual([]);
    expect(writer.bufferedBytes).toBe(20);
    writer.write(ping(2n), 'reply');
    writer.write(ping(3n), 'own', true);
    await turn();
    expect(writes).toEqual([[1n, 2n, 3n]]);
    writer.write(ping(4n), 'own', true);
    writer.write(ping(5n), 'own', true);
    await sleep(LINGER_MS + 15);
    expect(writes).toEqual([[1n, 2n, 3n], [4n, 5n]]);
    expect(writer.bufferedBytes).toBe(0);
  });

  it('write: as much as a TLS record holds leaves at once; a large frame in pieces, after what was gathered', () => {
    const { stream, writes } = recorder();
    const writer = new FrameWriter(stream, 1 << 20);
    writer.write(ping(1n), 'own', true);
    writer.send({ _: 'proxy.queryAnswerPartEx', request_id: new Uint8Array(32), answer: new Uint8Array(150_000), flags: 0 }, 'own');
    expect(writes).toEqual([[1n], [], [], [-1n]]);
    for (let id = 0n; id < 900n; id += 1n) writer.write(ping(id), 'reply');
    expect(writes.at(-1)).toHaveLength(820); // 16 KiB of 20 bytes
  });

  it('flush: everything, now; fail: nothing to a stream that has ended', () => {
    const { stream, writes } = recorder();
    const writer = new FrameWriter(stream, 1_000);
    writer.write(ping(1n), 'own', true);
    writer.flush();
    expect(writes).toEqual([[1n]]);
    stream.end();
    writer.fail(new NetworkError('E_CLOSED', 'gone'));
    expect(writes).toEqual([[1n]]);
  });

  it('fail: what was queued is handed to the stream first', () => {
    const { stream, writes } = recorder();
    const writer = new FrameWriter(stream, 1_000);
    writer.write(ping(1n), 'own');
    writer.fail(new NetworkError('E_CLOSED', 'gone'));
    stream.destroy();
    expect(writes).toEqual([[1n]]);
    expect(() => writer.write(ping(2n), 'own')).toThrow('gone');
  });
});
