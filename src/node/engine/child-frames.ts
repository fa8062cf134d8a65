// Messages between the node and the process of its engine: JSON behind its length (4 bytes, little endian) over one socket.
// What is sent within one turn of the event loop leaves in one write. Refuses frames over a bound and what is not JSON.
import type { Duplex } from 'node:stream';

const HEAD_BYTES = 4;
/** A request body of 8 MiB whose every byte needs an escape, and room beside it. */
const MAX_FRAME_BYTES = 64 << 20;

export interface FrameChannel {
  /** Queues a message; silently dropped once the channel is closed. */
  send(message: unknown): void;
  /** Sends what is queued, then ends the channel. Idempotent. */
  end(): void;
  /** Ends at once. */
  destroy(): void;
}

export interface FrameListener {
  /** May throw: the channel is then closed with that error. */
  message(message: unknown): void;
  /** Once: the other side has gone (null), or what it sent cannot be read. */
  closed(error: Error | null): void;
}

/** Reads and writes frames on `socket`, which is the channel's from then on. */
export function openFrameChannel(socket: Duplex, listener: FrameListener): FrameChannel {
  let unsent: Buffer[] = [];
  let scheduled = false;
  let open = true;

  const close = (error: Error | null): void => {
    if (!open) return;
    open = false;
    unsent = [];
    socket.destroy();
    listener.closed(error);
  };
  const flush = (): void => {
    scheduled = false;
    if (!open || unsent.length === 0) return;
    const bytes = unsent.length === 1 && unsent[0] !== undefined ? unsent[0] : Buffer.concat(unsent);
    unsent = [];
    socket.write(bytes);
  };
  const read = createFrameReader((message) => {
    if (open) listener.message(message);
  });

  socket.on('data', (bytes: Buffer) => {
    try {
      read(bytes);
    } catch (error) {
      close(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.on('error', () => close(null)); // the other side has gone
  socket.on('end', () => close(null));
  socket.on('close', () => close(null));

  return {
    send(message) {
      if (!open) return;
      unsent.push(frameOf(message));
      if (scheduled) return;
      scheduled = true;
      setImmediate(flush);
    },
    end() {
      flush();
      if (open) socket.end();
    },
    destroy: () => close(null),
  };
}

function frameOf(message: unknown): Buffer {
  const text = JSON.stringify(message);
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(HEAD_BYTES + length);
  frame.writeUInt32LE(length, 0);
  frame.write(text, HEAD_BYTES);
  return frame;
}

/** Takes bytes as they come and calls `onMessage` for each whole frame. Throws on a frame that is too long or not JSON. */
export function createFrameReader(onMessage: (message: unknown) => void): (bytes: Buffer) => void {
  let parts: Buffer[] = [];
  let held = 0;
  let wanted = HEAD_BYTES;

  return (bytes) => {
    parts.push(bytes);
    held += bytes.length;
    if (held < wanted) return;
    const all = parts.length === 1 ? bytes : Buffer.concat(parts);
    let at = 0;
    wanted = HEAD_BYTES;
    while (all.length - at >= HEAD_BYTES) {
      const length = all.readUInt32LE(at);
      if (length > MAX_FRAME_BYTES) throw new Error(`frame has ${length} bytes, expected at most ${MAX_FRAME_BYTES}`);
      wanted = HEAD_BYTES + length;
      if (all.length - at < wanted) break;
      const message: unknown = JSON.parse(all.toString('utf8', at + HEAD_BYTES, at + wanted));
      at += wanted;
      wanted = HEAD_BYTES;
      onMessage(message);
    }
    const rest = all.subarray(at);
    parts = rest.length === 0 ? [] : [rest];
    held = rest.length;
  };
}
