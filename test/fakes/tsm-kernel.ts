// A kernel with the configfs-tsm report interface, in memory, that behaves like drivers/virt/coco/guest/report.c: entries
// are folders, each write counts the generation up, the answer is made when it is first read after a write. Failures, races
// and slowness are switched on by a test. Other files are given as they are.
import type { TeeKernel } from '../../src/tee/collect/kernel.ts';

const FOLDER = '/sys/kernel/config/tsm/report';
const INBLOB_MAX = 64;
const PRIVLEVEL_MAX = 3;

/** The error of a failed system call. */
export const systemError = (code: string): Error => Object.assign(new Error(code), { code });

interface Entry {
  generation: number;
  readGeneration: number;
  inblob: Uint8Array | null;
  privlevel: number;
  outblob: Uint8Array;
}

export interface FakeKernelOptions {
  /** Null: the module is loaded and no driver has registered (mkdir fails with ENXIO). */
  readonly provider?: string | null;
  /** The answer for report data at a privilege level. */
  readonly answer?: (inblob: Uint8Array, privlevel: number) => Uint8Array;
  /** Certificate table; sev_guest only. */
  readonly auxblob?: Uint8Array;
  /** False: no configfs-tsm at all. Default true. */
  readonly interface?: boolean;
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
  readonly release?: string;
  /** Lowest privilege level that the driver takes. */
  readonly privlevelFloor?: number;
}

/** A step of the interface, as tests name it: an attribute, `mkdir` or `rmdir`. */
export type Step = 'mkdir' | 'rmdir' | 'provider' | 'generation' | 'inblob' | 'privlevel' | 'outblob' | 'auxblob';

export class FakeTsmKernel implements TeeKernel {
  readonly entries = new Map<string, Entry>();
  /** Every step that was taken, in order. */
  readonly steps: Step[] = [];
  /** Folders that existed at any time. */
  readonly names: string[] = [];
  readonly #options: FakeKernelOptions;
  readonly #failures = new Map<Step, string[]>();
  /** Called before each step; a test waits in it or writes to an entry as somebody else. */
  onStep: (step: Step, entry: Entry | undefined) => Promise<void> | void = () => undefined;

  constructor(options: FakeKernelOptions = {}) {
    this.#options = options;
  }

  /** The next times this step is taken it fails with these codes. */
  fail(step: Step, ...codes: readonly string[]): this {
    this.#failures.set(step, [...this.#failures.get(step) ?? [], ...codes]);
    return this;
  }

  release(): string {
    return this.#options.release ?? '6.11.0-test';
  }

  async exists(path: string): Promise<boolean> {
    const files = this.#options.files ?? {};
    if (Object.hasOwn(files, path)) return true;
    if (this.#options.interface === false) return Object.keys(files).some((name) => name.startsWith(`${path}/`));
    return FOLDER === path || FOLDER.startsWith(`${path}/`) || this.entries.has(path);
  }

  async makeFolder(path: string): Promise<void> {
    await this.#step('mkdir', undefined);
    if (this.#options.interface === false) throw systemError('ENOENT');
    if (this.#options.provider === null) throw systemError('ENXIO');
    if (this.entries.has(path)) throw systemError('EEXIST');
    this.names.push(path);
    this.entries.set(path, { generation: 0, readGeneration: 0, inblob: null, privlevel: this.#options.privlevelFloor ?? 0, outblob: new Uint8Array(0) });
  }

  async removeFolder(path: string): Promise<void> {
    await this.#step('rmdir', this.entries.get(path));
    if (!this.entries.delete(path)) throw systemError('ENOENT');
  }

  async read(path: string, maxBytes: number): Promise<Uint8Array> {
    const file = this.#options.files?.[path];
    const content = file === undefined ? await this.#attribute(path) : Buffer.from(file);
    if (content.length > maxBytes) throw systemError('EFBIG');
    return new Uint8Array(content);
  }

  async write(path: string, data: Uint8Array): Promise<void> {
    const { entry, name } = this.#resolve(path);
    await this.#step(name, entry);
    if (name === 'inblob') {
      if (data.length > INBLOB_MAX) throw systemError('EINVAL');
      entry.inblob = Uint8Array.from(data);
    } else if (name === 'privlevel') {
      const level = Number(Buffer.from(data).toString('latin1'));
      if (this.#options.provider !== 'sev_guest') throw systemError('ENOENT');
      if (!(level >= (this.#options.privlevelFloor ?? 0) && level <= PRIVLEVEL_MAX)) throw systemError('EINVAL');
      entry.privlevel = level;
    } else {
      throw systemError('EACCES');
    }
    entry.generation += 1;
  }

  async #attribute(path: string): Promise<Uint8Array> {
    const { entry, name } = this.#resolve(path);
    await this.#step(name, entry);
    switch (name) {
      case 'provider': return Buffer.from(`${this.#options.provider ?? 'tdx_guest'}\n`);
      case 'generation': return Buffer.from(`${entry.generation}\n`);
      case 'outblob': return this.#report(entry);
      case 'auxblob':
        if (this.#options.provider !== 'sev_guest') throw systemError('ENOENT');
        this.#report(entry);
        return this.#options.auxblob ?? new Uint8Array(0);
      default: throw systemError('EACCES');
    }
  }

  #report(entry: Entry): Uint8Array {
    if (entry.inblob === null) throw systemError('EINVAL');
    if (entry.readGeneration !== entry.generation) {
      entry.outblob = this.#options.answer?.(entry.inblob, entry.privlevel) ?? new Uint8Array(0);
      entry.readGeneration = entry.generation;
    }
    return entry.outblob;
  }

  #resolve(path: string): { entry: Entry; name: Step } {
    const slash = path.lastIndexOf('/');
    const entry = this.entries.get(path.slice(0, slash));
    if (entry === undefined) throw systemError('ENOENT');
    return { entry, name: path.slice(slash + 1) as Step };
  }

  async #step(step: Step, entry: Entry | undefined): Promise<void> {
    this.steps.push(step);
    await this.onStep(step, entry);
    const code = this.#failures.get(step)?.shift();
    if (code !== undefined) throw systemError(code);
  }
}
