// Two byte streams joined in memory, and one that a test feeds by hand.
import { Duplex } from 'node:stream';

/** A stream whose other side is the test: `feed` gives it bytes to read, `written` are the bytes it was given to send. */
export interface HandFedStream {
  readonly stream: Duplex;
  feed(bytes: Uint8Array): void;
  /** Everything written so far. */
  written(): Uint8Array;
  /** True when the owner has ended or destroyed it. */
  readonly ended: boolean;
}

export function handFedStream(): HandFedStream {
  const chunks: Uint8Array[] = [];
  let ended = false;
  const stream = new Duplex({
    read() {},
    write(chunk: Uint8Array, _encoding, done) {
      chunks.push(new Uint8Array(chunk));
      done();
    },
    final(done) {
      ended = true;
      this.push(null);
      done();
    },
    destroy(error, done) {
      ended = true;
      done(error);
    },
  });
  return {
    stream,
    feed: (bytes) => {
      stream.push(bytes);
    },
    written: () => new Uint8Array(Buffer.concat(chunks)),
    get ended() {
      return ended;
    },
  };
}
