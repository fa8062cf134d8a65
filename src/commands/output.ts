// How results and messages reach the reader: data on stdout, talk on stderr, or with --json one document on stdout
// (one a line for commands that run on). The only writer of both streams.
import type { OutputStream } from '../core/context.ts';
import type { CocoonError } from '../core/errors.ts';

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Schema name without version, for example `localnet.start`. */
  readonly schema: string;
}

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue | undefined };

/** The document of --json (ARCHITECTURE.md, "Output"). */
interface Envelope {
  readonly schema: string;
  readonly ok: boolean;
  readonly data: JsonValue;
  readonly error: { code: string; message: string; hint: string | null; retryable: boolean; exit: number } | null;
  readonly warnings: readonly string[];
}

/** Removes what could move the cursor or colour the terminal: text of peers and files is shown as text only. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\u{fffd}');
}

export class Output {
  readonly json: boolean;
  readonly #options: OutputOptions;
  readonly #stdout: OutputStream;
  readonly #stderr: OutputStream;
  readonly #warnings: string[] = [];
  #data: JsonValue = {};
  #events = 0;

  constructor(stdout: OutputStream, stderr: OutputStream, options: OutputOptions) {
    this.json = options.json;
    this.#options = options;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** True when progress may be drawn: a person is looking, and neither --json nor --quiet was given. */
  get interactive(): boolean {
    return this.#stderr.isTTY && !this.json && !this.#options.quiet;
  }

  /** Human data; silent with --json. */
  async text(text: string): Promise<void> {
    if (!this.json) await this.#stdout.write(text);
  }

  async line(text = ''): Promise<void> {
    await this.text(`${text}\n`);
  }

  /** Talk on stderr: progress and hints. Silent with --quiet. */
  async note(text: string): Promise<void> {
    if (!this.#options.quiet && !this.json) await this.#stderr.write(`${printable(text)}\n`);
  }

  /** Talk on one line of the terminal that the next text replaces; an empty one removes it. Silent where nobody is looking. */
  async progress(text: string): Promise<void> {
    if (this.interactive) await this.#stderr.write(`\r\u001b[K${printable(text).slice(0, Math.max(1, this.#stderr.columns - 1))}`);
  }

  /** Talk on stderr that only --verbose shows. */
  async detail(text: string): Promise<void> {
    if (this.#options.verbose) await this.#stderr.write(`${printable(text)}\n`);
  }

  /** A warning: on stderr for people, in the document with --json. */
  async warn(text: string): Promise<void> {
    this.#warnings.push(text);
    if (!this.json) await this.#stderr.write(`cocoon: warning: ${printable(text)}\n`);
  }

  /** Sets the data of the final document. */
  result(data: JsonValue): void {
    this.#data = data;
  }

  /** One document now, for commands that run on. */
  async event(data: JsonValue): Promise<void> {
    this.#events += 1;
    if (this.json) await this.#document(data, null);
  }

  /** Ends a command that succeeded. A command that wrote events has said all it had to say. */
  async finish(): Promise<void> {
    if (this.json && this.#events === 0) await this.#document(this.#data, null);
  }

  /** Ends a command that failed: the only place where an error becomes text. */
  async fail(error: CocoonError): Promise<void> {
    if (this.json) {
      await this.#document(this.#data, error);
      return;
    }
    await this.#stderr.write(`cocoon: ${printable(error.message)}\n`);
    if (error.hint !== undefined) await this.#stderr.write(`hint: ${printable(error.hint)}\n`);
    if (this.#options.verbose || error.code === 'E_INTERNAL') {
      for (let cause: unknown = error.code === 'E_INTERNAL' ? error : error.cause; cause instanceof Error; cause = cause.cause) {
        await this.#stderr.write(`${printable(cause.stack ?? cause.message)}\n`);
      }
    }
  }

  async #document(data: JsonValue, error: CocoonError | null): Promise<void> {
    const envelope: Envelope = {
      schema: `cocoon.${this.#options.schema}/1`,
      ok: error === null,
      data,
      error: error === null ? null : {
        code: error.code, message: error.message, hint: error.hint ?? null, retryable: error.retryable, exit: error.exitCode,
      },
      warnings: this.#warnings,
    };
    await this.#stdout.write(`${JSON.stringify(envelope)}\n`);
  }
}
