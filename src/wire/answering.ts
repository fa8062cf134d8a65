// The peer's queries (WIRE.md section 7): each becomes one tcp.queryAnswer or tcp.queryError. Refuses more of them at once,
// or more bytes, than agreed, and answers one that cannot be read with an error, as the C++ programs do.
import { RemoteError } from '../core/errors.ts';
import type { ConnectionHandlers } from './connection.ts';
import { readQuery } from './payload.ts';
import { failureOf, NOT_READY } from './remote-codes.ts';
import { encodeBoxed } from './tl/codec.ts';
import type { TlByType } from './tl/types.ts';

export interface AnsweringOptions {
  readonly max: number;
  readonly maxBytes: number;
  /** Queues a packet for the peer; does nothing when the connection is gone. May throw E_TOO_LARGE. */
  readonly reply: (packet: TlByType['tcp.Packet']) => void;
  /** An answer could not even be refused: our own bug. */
  readonly failed: (error: unknown) => void;
}

export class Answering {
  readonly #options: AnsweringOptions;
  readonly #running = new Set<Promise<void>>();
  #bytes = 0;

  constructor(options: AnsweringOptions) {
    this.#options = options;
  }

  /** Starts answering and returns at once. */
  start(handlers: ConnectionHandlers, id: bigint, data: Uint8Array): void {
    const { max, maxBytes, failed } = this.#options;
    const size = data.byteLength;
    if (this.#running.size >= max || (this.#running.size > 0 && this.#bytes + size > maxBytes)) {
      this.#replyError(id, new RemoteError(NOT_READY, `too many queries at once, expected at most ${max} and ${maxBytes} bytes`));
      return;
    }
    this.#bytes += size;
    const answer = this.#answer(handlers, id, data).catch(failed).finally(() => {
      this.#bytes -= size;
      this.#running.delete(answer);
    });
    this.#running.add(answer);
  }

  /** Resolves when every answer that was begun has been queued. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #answer(handlers: ConnectionHandlers, id: bigint, data: Uint8Array): Promise<void> {
    try {
      const answer = await handlers.onQuery(readQuery(handlers, data));
      this.#options.reply({ _: 'tcp.queryAnswer', id, data: encodeBoxed(answer) });
    } catch (error) {
      this.#replyError(id, error);
    }
  }

  #replyError(id: bigint, error: unknown): void {
    const { code, message } = failureOf(error);
    this.#options.reply({ _: 'tcp.queryError', id, code, message });
  }
}
