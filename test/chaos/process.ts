// One process of a world as its supervisor sees it: started, killed at any moment, started again. What ends by itself is told to
// the judge, who says whether that may be.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { deferred } from '../../src/core/deferred.ts';
import type { Deferred } from '../../src/core/deferred.ts';
import type { Asked, Call, Command, Told } from './messages.ts';

export type Role = 'chain' | 'proxy' | 'node' | 'clients' | 'claim';

export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What the process said of its end. */
  readonly fatal: { readonly code: string; readonly message: string } | null;
  /** True: it was killed or told to stop. */
  readonly asked: boolean;
  /** True: it ended before it was ready. */
  readonly starting: boolean;
}

export interface ProcessOptions {
  /** The program: child.js among the stripped sources. */
  readonly entry: string;
  readonly role: Role;
  readonly index: number;
  readonly home: string;
  onViolation(text: string): void;
  /** Called with each end; may start it again. */
  onEnd(end: End): void;
}

interface Life {
  readonly child: ChildProcess;
  readonly ready: Deferred<boolean>;
  readonly ended: Deferred<End>;
  readonly calls: Map<number, (value: unknown) => void>;
  isReady: boolean;
  fatal: End['fatal'];
  asked: boolean;
  frozen: boolean;
}

export class WorldProcess {
  readonly name: string;
  readonly role: Role;
  readonly #options: ProcessOptions;
  #life: Life | null = null;
  #calls = 0;

  constructor(options: ProcessOptions) {
    this.#options = options;
    this.role = options.role;
    this.name = `${options.role}-${options.index}`;
  }

  get index(): number {
    return this.#options.index;
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  /** True: it was killed or told to stop, and has not ended yet. */
  get isEnding(): boolean {
    return this.#life?.asked === true;
  }

  /** True: it serves now. */
  get isReady(): boolean {
    return this.#life?.isReady === true && !this.#life.asked;
  }

  start(): void {
    if (this.#life !== null) return;
    const { entry, role, index, home } = this.#options;
    const child = spawn(process.execPath, [entry, role, String(index), home], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env: { PATH: process.env['PATH'], HOME: home } });
    const life: Life = { child, ready: deferred(), ended: deferred(), calls: new Map(), isReady: false, fatal: null, asked: false, frozen: false };
    this.#life = life;
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => { stderr = (stderr + chunk.toString()).slice(-4_000); });
    child.on('message', (told: Told) => this.#told(life, told));
    child.once('close', (code, signal) => {
      this.#life = null;
      const end: End = { code, signal, fatal: life.fatal ?? (stderr === '' ? null : { code: 'stderr', message: stderr }), asked: life.asked, starting: !life.isReady };
      for (const answer of life.calls.values()) answer({ outcome: 'process ended' } satisfies Asked);
      life.ready.resolve(false);
      life.ended.resolve(end);
      this.#options.onEnd(end);
    });
  }

  /** False when it ended first. */
  ready(): Promise<boolean> {
    return this.#life?.ready.promise ?? Promise.resolve(false);
  }

  /** Resolves when it has ended; null when it did not run. */
  async kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<End | null> {
    const life = this.#life;
    if (life === null) return null;
    life.asked = true;
    if (life.frozen && signal === 'SIGTERM') this.freeze(false);
    life.child.kill(signal);
    return life.ended.promise;
  }

  /** Stops its time, or lets it go on. */
  freeze(frozen: boolean): void {
    const life = this.#life;
    if (life === null) return;
    life.frozen = frozen;
    life.child.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  /** Never rejects: `{ outcome: 'process ended' }` where nobody answers any more. */
  call(command: Command): Promise<unknown> {
    const life = this.#life;
    if (life === null || !life.isReady) return Promise.resolve({ outcome: 'process ended' } satisfies Asked);
    this.#calls += 1;
    const call: Call = { id: this.#calls, command };
    return new Promise((resolve) => {
      life.calls.set(call.id, resolve);
      life.child.send(call, (error) => {
        if (error !== null) this.#answer(life, call.id, { outcome: 'process ended' } satisfies Asked);
      });
    });
  }

  #answer(life: Life, id: number, value: unknown): void {
    life.calls.get(id)?.(value);
    life.calls.delete(id);
  }

  #told(life: Life, told: Told): void {
    switch (told.kind) {
      case 'ready':
        life.isReady = true;
        life.ready.resolve(true);
        break;
      case 'fatal': life.fatal = { code: told.code, message: told.message }; break;
      case 'violation': this.#options.onViolation(told.text); break;
      case 'reply': this.#answer(life, told.id, told.value); break;
    }
  }
}
