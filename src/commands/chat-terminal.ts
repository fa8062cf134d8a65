// The terminal of `cocoon chat`: a line editor with its history in memory only, pasted texts of several lines, and Ctrl-C, which
// interrupts an answer, clears a line, and leaves when it is pressed twice at an empty one.
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { abortError } from '../core/deadline.ts';
import { deferred } from '../core/deferred.ts';
import { InterruptedError } from '../core/errors.ts';
import { PASTE_OFF, PASTE_ON, PasteFilter } from './paste-filter.ts';
import type { Interface } from 'node:readline';
import type { Context } from '../core/context.ts';
import type { Deferred } from '../core/deferred.ts';

export interface ChatTerminal {
  /** What the person sends next; null when they leave. Throws the reason of the context's signal. */
  read(prompt: string): Promise<string | null>;
  /** Does something that Ctrl-C interrupts: `signal` is then aborted. Lines that are typed meanwhile are read afterwards. */
  during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const MAX_WAITING_LINES = 100;
const HISTORY_LINES = 200;

export async function openChatTerminal(context: Pick<Context, 'stdin' | 'stderr' | 'signal'>): Promise<ChatTerminal> {
  await context.stderr.write(PASTE_ON);
  return new Terminal(context);
}

class Terminal implements ChatTerminal {
  readonly #context: Pick<Context, 'stdin' | 'stderr' | 'signal'>;
  readonly #filter: PasteFilter;
  readonly #lines: Interface;
  /** Typed while nobody read. */
  readonly #waiting: string[] = [];
  #reader: Deferred<string | null> | null = null;
  #answering: AbortController | null = null;
  #leaving = false;
  #closed = false;

  constructor(context: Pick<Context, 'stdin' | 'stderr' | 'signal'>) {
    this.#context = context;
    this.#filter = new PasteFilter(context.stdin.source);
    const output = new Writable({
      decodeStrings: false,
      // While an answer comes the screen is the answer's: what is typed is shown with the next prompt.
      write: (text: string | Buffer, _encoding, done) => {
        if (this.#answering === null) void context.stderr.write(text.toString());
        done();
      },
    });
    Object.assign(output, { columns: context.stderr.columns, isTTY: true });
    this.#lines = createInterface({ input: this.#filter, output, terminal: true, historySize: HISTORY_LINES, escapeCodeTimeout: 50 });
    this.#lines.on('line', (line) => this.#line(this.#filter.expand(line)));
    this.#lines.on('SIGINT', () => this.#interrupt());
    this.#lines.on('close', () => this.#left());
    context.signal.addEventListener('abort', () => this.#lines.close(), { once: true });
  }

  async read(prompt: string): Promise<string | null> {
    const { signal } = this.#context;
    if (signal.aborted) throw abortError(signal);
    const typed = this.#waiting.shift();
    if (typed !== undefined) return typed;
    if (this.#closed) return null;
    this.#reader = deferred<string | null>();
    this.#lines.setPrompt(prompt);
    this.#lines.prompt(true);
    const line = await this.#reader.promise;
    if (signal.aborted) throw abortError(signal);
    return line;
  }

  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.#context;
    const answering = new AbortController();
    this.#answering = answering;
    this.#leaving = false;
    try {
      return await work(AbortSignal.any([signal, answering.signal]));
    } finally {
      this.#answering = null;
    }
  }

  async close(): Promise<void> {
    this.#lines.close();
    this.#filter.detach();
    this.#filter.forget();
    await this.#context.stderr.write(PASTE_OFF);
  }

  #line(line: string): void {
    this.#leaving = false;
    const reader = this.#reader;
    this.#reader = null;
    if (reader !== null) reader.resolve(line);
    else if (this.#waiting.length < MAX_WAITING_LINES) this.#waiting.push(line);
  }

  #interrupt(): void {
    if (this.#answering !== null) {
      this.#answering.abort(new InterruptedError('E_INTERRUPTED', 'the answer was interrupted'));
      return;
    }
    if (this.#lines.line !== '') {
      // As in a shell: the line is given up.
      this.#leaving = false;
      this.#lines.write(null, { ctrl: true, name: 'e' });
      this.#lines.write(null, { ctrl: true, name: 'u' });
      return;
    }
    if (this.#leaving) {
      this.#lines.close();
      return;
    }
    this.#leaving = true;
    void this.#context.stderr.write('\n(Ctrl-C again, or /quit, leaves)\n').then(() => {
      if (!this.#closed) this.#lines.prompt();
    });
  }

  #left(): void {
    this.#closed = true;
    this.#answering?.abort(new InterruptedError('E_INTERRUPTED', 'the terminal is gone'));
    this.#reader?.resolve(null);
    this.#reader = null;
  }
}
