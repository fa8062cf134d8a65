// Own queries that wait for an answer (WIRE.md section 7): random unique ids, a deadline each, and one error for all of
// them as soon as the connection ends. Refuses an answer that is not of the type the function promises.
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import type { Deferred } from '../core/deferred.ts';
import { NetworkError, RemoteError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { QueryOptions } from './connection.ts';
import { DECLARATIONS, decodeBoxedAs } from './tl/codec.ts';
import type { TlFunction, TlObject, TlTypeName } from './tl/types.ts';

const MAX_TIMER_MS = 2 ** 31 - 1;

/** Type of the answer by name of the function. */
const RESULT_TYPES: ReadonlyMap<string, string> = new Map(DECLARATIONS.filter(({ isFunction }) => isFunction).map(({ name, type }) => [name, type]));

interface OpenQuery {
  readonly name: string;
  readonly answer: Deferred<TlObject>;
  release(): void;
}

export interface OpenQueriesOptions {
  readonly max: number;
  /** Source of random 64-bit ids. */
  readonly randomId: () => bigint;
}

export class OpenQueries {
  readonly #options: OpenQueriesOptions;
  readonly #open = new Map<bigint, OpenQuery>();

  constructor(options: OpenQueriesOptions) {
    this.#options = options;
  }

  /**
   * Sends `query` through `send`, which gets its id and throws when it cannot, and waits for the answer.
   * Rejects with RemoteError, E_TIMEOUT, E_BUSY, the signal's reason, or what `send` throws or `failAll` is given.
   */
  async ask(query: TlFunction, { timeoutMs, signal }: QueryOptions, send: (id: bigint) => void): Promise<TlObject> {
    if (signal?.aborted === true) throw abortError(signal);
    if (this.#open.size >= this.#options.max) {
      throw new NetworkError('E_BUSY', `cannot send ${query._}: ${this.#open.size} queries wait for an answer already`);
    }
    let id = this.#options.randomId();
    while (this.#open.has(id)) id = this.#options.randomId();
    send(id);
    const answer = deferred<TlObject>();
    const timer = setTimeout(
      () => this.#settle(id)?.reject(new NetworkError('E_TIMEOUT', `peer did not answer ${query._} within ${timeoutMs} ms`)),
      Math.min(timeoutMs, MAX_TIMER_MS),
    );
    const onAbort = (): void => {
      if (signal !== undefined) this.#settle(id)?.reject(abortError(signal));
    };
    signal?.addEventListener('abort', onAbort);
    const release = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    this.#open.set(id, { name: query._, answer, release });
    return answer.promise;
  }

  /** A `tcp.queryAnswer`. Throws E_PROTOCOL when it is malformed, after failing its query; an unknown id is ignored. */
  answer(id: bigint, data: Uint8Array): void {
    const name = this.#open.get(id)?.name;
    const waiting = this.#settle(id);
    if (name === undefined || waiting === null) return;
    const type = RESULT_TYPES.get(name);
    if (type === undefined) return waiting.reject(new NetworkError('E_PROTOCOL', `${name} is not a function, so it has no answer`));
    try {
      waiting.resolve(decodeBoxedAs(type as TlTypeName, data) as TlObject);
    } catch (error) {
      waiting.reject(error);
      throw error;
    }
  }

  /** A `tcp.queryError`; an unknown id is ignored. */
  answerError(id: bigint, code: number, message: string): void {
    this.#settle(id)?.reject(new RemoteError(code, message));
  }

  failAll(error: CocoonError): void {
    for (const id of this.#open.keys()) this.#settle(id)?.reject(error);
  }

  #settle(id: bigint): Deferred<TlObject> | null {
    const query = this.#open.get(id);
    if (query === undefined) return null;
    this.#open.delete(id);
    query.release();
    return query.answer;
  }
}
