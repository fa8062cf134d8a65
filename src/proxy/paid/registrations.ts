// Long authentication (WIRE.md section 9.2, ONCHAIN.md section 12): the client's owner writes the nonce of a connection into
// its contract, which reports it to the proxy contract. A nonce that was seen counts once, for the connection that has it.
import { abortError } from '../../core/deadline.ts';
import { RemoteError } from '../../core/errors.ts';

const ERROR = 602;
/** Seen and not asked for yet: an answer on chain may overtake the question. Oldest go first. */
const MAX_KEPT = 4_096;

interface Waiting {
  resolve(): void;
}

export class Registrations {
  readonly #seen = new Set<string>();
  readonly #waiting = new Map<string, Waiting>();

  /** A genuine client contract reported this nonce. */
  heard(contract: string, nonce: bigint): void {
    const key = keyOf(contract, nonce);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) {
      this.#waiting.delete(key);
      waiting.resolve();
      return;
    }
    this.#seen.add(key);
    const [oldest] = this.#seen;
    if (this.#seen.size > MAX_KEPT && oldest !== undefined) this.#seen.delete(oldest);
  }

  /** Resolves when the nonce was reported. Throws RemoteError 602 for one that another connection waits for; rejects with the signal's reason. */
  async wait(contract: string, nonce: bigint, signal: AbortSignal): Promise<void> {
    const key = keyOf(contract, nonce);
    if (signal.aborted) throw abortError(signal);
    if (this.#seen.delete(key)) return;
    if (this.#waiting.has(key)) throw new RemoteError(ERROR, 'this registration is waited for already');
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(key);
        reject(abortError(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.set(key, {
        resolve: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      });
    });
  }
}

const keyOf = (contract: string, nonce: bigint): string => `${contract} ${BigInt.asUintN(64, nonce)}`;
