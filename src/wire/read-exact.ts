// Reads an exact number of bytes from a stream and leaves what follows in it, for the bytes before TLS (WIRE.md section 2).
// Refuses a stream that ends or fails before.
import type { Duplex } from 'node:stream';
import { NetworkError } from '../core/errors.ts';

/**
 * `length` bytes. Rejects with NetworkError E_CLOSED; `what` names the bytes in its message ("proof of work").
 * Wrap it in `withDeadline`; when `signal` aborts, it lets go of the stream and rejects.
 */
export function readExact(stream: Duplex, length: number, what: string, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      stream.off('readable', onReadable);
      stream.off('end', onGone);
      stream.off('close', onGone);
      stream.off('error', onError);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const onReadable = (): void => {
      const bytes = stream.read(length) as Buffer | null;
      if (bytes === null) return;
      // A stream that has ended gives what is left, which may be less.
      if (bytes.length < length) onGone();
      else settle(() => resolve(new Uint8Array(bytes)));
    };
    const onGone = (): void => settle(() => reject(new NetworkError('E_CLOSED', `peer closed the connection before its ${what}`)));
    const onError = (cause: Error): void =>
      settle(() => reject(new NetworkError('E_CLOSED', `connection failed before the peer's ${what}: ${cause.message}`, { cause })));
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    stream.on('readable', onReadable);
    stream.on('end', onGone);
    stream.on('close', onGone);
    stream.on('error', onError);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else if (stream.destroyed) onGone();
    else onReadable();
  });
}
