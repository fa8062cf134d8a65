// What provisioning has done, written before each change with what was there before, so that a run that was killed at any instant is
// gone on with, or taken back exactly. One folder, private to root; the last undo removes it.
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ConfigError, NotFoundError } from '../../core/errors.ts';
import { ensureFolder, readBounded, writeFileAtomic } from '../../core/files.ts';

const MAX_BYTES = 16 << 20;

const Before = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('absent') }),
  /** base64. */
  z.strictObject({ kind: z.literal('file'), content: z.string(), mode: z.int(), uid: z.int(), gid: z.int() }),
]);
const Entry = z.discriminatedUnion('kind', [
  /** `made`: folders on the way that were not there, outermost first. `sha256`: of what was written. */
  z.strictObject({ id: z.string(), kind: z.literal('file'), path: z.string(), before: Before, made: z.array(z.string()), sha256: z.string(), done: z.boolean() }),
  z.strictObject({ id: z.string(), kind: z.literal('folder'), path: z.string(), made: z.array(z.string()), done: z.boolean() }),
  /** `check`: exits 0 while there is something to take back; null where taking back twice does no harm. */
  z.strictObject({ id: z.string(), kind: z.literal('command'), check: z.array(z.string()).nullable(), undo: z.array(z.array(z.string())), done: z.boolean() }),
  z.strictObject({ id: z.string(), kind: z.literal('refresh'), undo: z.array(z.array(z.string())), done: z.boolean() }),
]);
/** `made`: folders above the journal's own that were not there, outermost first. */
const Journal = z.strictObject({ version: z.literal(1), role: z.enum(['host', 'guest', 'bare']), made: z.array(z.string()), entries: z.array(Entry) });

export type JournalEntry = z.infer<typeof Entry>;
export type BeforeFile = z.infer<typeof Before>;
export type JournalData = z.infer<typeof Journal>;

export class ProvisionJournal {
  readonly folder: string;
  readonly #file: string;

  /** `folder`: absolute, in the root that is provisioned. */
  constructor(folder: string) {
    this.folder = folder;
    this.#file = join(folder, 'journal.json');
  }

  /** Null where nothing was provisioned. Throws ConfigError `E_STATE` for what is no journal. */
  async read(): Promise<JournalData | null> {
    let text: string;
    try {
      text = Buffer.from(await readBounded(this.#file, MAX_BYTES)).toString('utf8');
    } catch (error) {
      if (error instanceof NotFoundError) return null;
      throw error;
    }
    try {
      return Journal.parse(JSON.parse(text));
    } catch (cause) {
      throw new ConfigError('E_STATE', `cannot read "${this.#file}": it is no journal of a provisioning`, { cause, hint: 'nothing is done before it is: restore it from a backup' });
    }
  }

  async write(data: JournalData): Promise<void> {
    await ensureFolder(dirname(this.folder), 0o755);
    await ensureFolder(this.folder, 0o700);
    await writeFileAtomic(this.#file, `${JSON.stringify(data)}\n`);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
