// The error tree. Every error that may reach a person is a CocoonError with a code of the table in codes.ts;
// anything else that reaches main is a bug and is shown as E_INTERNAL.
import { CODES } from './codes.ts';
import type { CodeWithExit, ErrorCode } from './codes.ts';

export interface ErrorOptions {
  /** One sentence that says what to do about it here, with a command to run where there is one. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/** Base of all errors. `message` completes "cocoon: cannot …" or states the fact; lower case, no full stop. */
export class CocoonError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly hint: string | undefined;

  constructor(code: C, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }

  /** Process exit code, from the table. */
  get exitCode(): number {
    return CODES[this.code].exit;
  }

  /** True when the same call may succeed later unchanged. */
  get retryable(): boolean {
    return CODES[this.code].retryable;
  }
}

export class UsageError extends CocoonError<CodeWithExit<2>> {}
export class ConfigError extends CocoonError<CodeWithExit<3>> {}
/** A locked wallet, a wrong passphrase or a damaged key file. */
export class WalletError extends CocoonError<CodeWithExit<4>> {}
/** Never retried, never downgraded. */
export class AttestationError extends CocoonError<CodeWithExit<5>> {}
export class NetworkError extends CocoonError<CodeWithExit<6>> {}
export class NotFoundError extends CocoonError<CodeWithExit<7>> {}
/** Not enough TON or stake; the message says how much is missing. */
export class FundsError extends CocoonError<CodeWithExit<8>> {}
/** A transaction left this machine and is not (or can no longer be) confirmed. */
export class UnconfirmedError extends CocoonError<CodeWithExit<9>> {}
export class EngineError extends CocoonError<CodeWithExit<10>> {}
export class DaemonError extends CocoonError<CodeWithExit<11>> {}
/** Refused by a limit or rule of the owner. */
export class PolicyError extends CocoonError<CodeWithExit<13>> {}
export class CapacityError extends CocoonError<CodeWithExit<14>> {}
export class InterruptedError extends CocoonError<CodeWithExit<130> | CodeWithExit<143>> {}

/** An error that a peer sent in a protocol answer. `remoteCode` is its number (WIRE.md section 11), `remoteMessage` its text. */
export class RemoteError extends CocoonError<'E_REMOTE'> {
  readonly remoteCode: number;
  readonly remoteMessage: string;

  constructor(remoteCode: number, remoteMessage: string, options: ErrorOptions = {}) {
    super('E_REMOTE', `peer answered error ${remoteCode}: ${remoteMessage}`, options);
    this.remoteCode = remoteCode;
    this.remoteMessage = remoteMessage;
  }
}

/** Turns anything thrown into a CocoonError; what is not one already becomes E_INTERNAL with the cause kept. */
export function asCocoonError(thrown: unknown): CocoonError {
  if (thrown instanceof CocoonError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CocoonError('E_INTERNAL', message, { cause: thrown });
}
