// Which key went into which external message, on disk. A batch file names all its intents and is written before anything is
// signed; a small file for each key then says for ever where it went. Everything happens under one lock between processes.
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigError, NotFoundError } from '../../core/errors.ts';
import type { CocoonError } from '../../core/errors.ts';
import { ensureFolder, listFolder, readBounded, removeFile, removeLeftovers, writeFileAtomic } from '../../core/files.ts';
import { withLock } from '../../core/lock.ts';
import { parseBoc } from '../cells/boc.ts';
import type { ModedMessage } from '../cells/wallet-messages.ts';
import type { Placed } from './narrow.ts';

export interface NewIntent {
  readonly key: string;
  /** Digest of its messages. */
  readonly hash: string;
  readonly messages: readonly ModedMessage[];
}

export interface Batch {
  readonly outboxKey: string;
  readonly placed: readonly Placed[];
  /** Null where all was decided before: the outbox has the record. */
  readonly messages: readonly ModedMessage[] | null;
}

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const index = z.int().min(0).max(255);
const outboxKey = z.string().regex(/^hot:[0-9a-f]{32}$/);
const placedSchema = z.strictObject({ key: z.string().min(1).max(200), hash, first: index, count: index.min(1) });
const keySchema = z.strictObject({ schema: z.literal('cocoon.intent/1'), outboxKey, ...placedSchema.shape });
const batchSchema = z.strictObject({
  schema: z.literal('cocoon.batch/1'), outboxKey, intents: z.array(placedSchema).min(1).max(255),
  messages: z.array(z.strictObject({ mode: z.int().min(0).max(255), boc: z.base64().max(1 << 20) })).min(1).max(255),
});
type KeyFile = z.infer<typeof keySchema>;

const MAX_BYTES = 4 << 20;
const BATCH_FILE = /^[0-9a-f]{32}\.json$/;

export class HotIntents {
  readonly #folder: string;
  readonly #onStep: (step: string) => void;

  constructor(folder: string, onStep: (step: string) => void = () => undefined) {
    this.#folder = folder;
    this.#onStep = onStep;
  }

  get #keys(): string {
    return join(this.#folder, 'keys');
  }

  get #open(): string {
    return join(this.#folder, 'open');
  }

  /** Runs `work` while no other process has intents of this wallet under way. */
  async locked<T>(work: () => Promise<T>, options: { readonly timeoutMs: number; readonly signal: AbortSignal; readonly busy: (holder: string) => CocoonError }): Promise<T> {
    await ensureFolder(this.#keys);
    await ensureFolder(this.#open);
    return withLock(join(this.#folder, 'intents'), work, options);
  }

  /** Batches that a process left undecided; their keys are all on file when this resolves. Under the lock. */
  async recover(): Promise<Batch[]> {
    await removeLeftovers(this.#open);
    const batches: Batch[] = [];
    for (const name of await listFolder(this.#open)) {
      if (!BATCH_FILE.test(name)) continue;
      const path = join(this.#open, name);
      const { outboxKey: key, intents, messages } = await readAs(path, batchSchema);
      await this.#writeKeys(key, intents);
      batches.push({
        outboxKey: key, placed: intents.map(({ key: intent, first, count }) => ({ key: intent, first, count })),
        messages: messages.map(({ mode, boc }) => ({ mode, message: parseBoc(Buffer.from(boc, 'base64'), path) })),
      });
    }
    return batches;
  }

  /**
   * Where each intent goes: into one new batch, which is durable when this resolves, or where its key went before unless that is dead
   * (nothing was or can be executed). `refused` were used for other messages. Under the lock.
   */
  async place(intents: readonly NewIntent[], isDead: (outboxKey: string) => Promise<boolean>): Promise<{ readonly batches: Batch[]; readonly refused: NewIntent[] }> {
    const refused: NewIntent[] = [];
    const batches: Batch[] = [];
    const fresh: NewIntent[] = [];
    for (const intent of intents) {
      const known = await this.#readKey(intent.key);
      if (known === null || await isDead(known.outboxKey)) {
        fresh.push(intent);
      } else if (known.hash !== intent.hash) {
        refused.push(intent);
      } else {
        batches.push({ outboxKey: known.outboxKey, placed: [{ key: known.key, first: known.first, count: known.count }], messages: null });
      }
    }
    if (fresh.length > 0) batches.push(await this.#newBatch(fresh));
    return { batches, refused };
  }

  /** To be called when the outbox has the batch's final record: it is not under way any more. */
  settle({ outboxKey: key }: Batch): Promise<void> {
    return removeFile(this.#batchPath(key));
  }

  /** Frees the keys of a batch of which nothing was or can be executed. */
  async dissolve(batch: Batch): Promise<void> {
    for (const { key } of batch.placed) {
      if ((await this.#readKey(key))?.outboxKey === batch.outboxKey) await removeFile(this.#keyPath(key));
    }
    await removeFile(this.#batchPath(batch.outboxKey));
  }

  /** Where a key went; null for one that is unknown. Under the lock. */
  async find(key: string): Promise<{ readonly outboxKey: string; readonly count: number } | null> {
    return this.#readKey(key);
  }

  /** Makes a key unknown again. Under the lock. */
  forget(key: string): Promise<void> {
    return removeFile(this.#keyPath(key));
  }

  async #newBatch(fresh: readonly NewIntent[]): Promise<Batch> {
    const key = `hot:${randomBytes(16).toString('hex')}`;
    let first = 0;
    const placed = fresh.map(({ key: intent, hash: digest, messages }) => {
      const place = { key: intent, hash: digest, first, count: messages.length };
      first += messages.length;
      return place;
    });
    const messages = fresh.flatMap((intent) => [...intent.messages]);
    await writeFileAtomic(this.#batchPath(key), `${JSON.stringify({
      schema: 'cocoon.batch/1', outboxKey: key, intents: placed, messages: messages.map(({ mode, message }) => ({ mode, boc: message.toBoc().toString('base64') })),
    })}\n`, { onStep: (step) => this.#onStep(`batch-${step}`) });
    await this.#writeKeys(key, placed);
    this.#onStep('placed');
    return { outboxKey: key, placed, messages };
  }

  async #writeKeys(key: string, intents: readonly z.infer<typeof placedSchema>[]): Promise<void> {
    for (const intent of intents) {
      if ((await this.#readKey(intent.key))?.outboxKey === key) continue;
      await writeFileAtomic(this.#keyPath(intent.key), `${JSON.stringify({ schema: 'cocoon.intent/1', outboxKey: key, ...intent })}\n`, { onStep: (step) => this.#onStep(`key-${step}`) });
    }
  }

  async #readKey(key: string): Promise<KeyFile | null> {
    const path = this.#keyPath(key);
    try {
      const known = await readAs(path, keySchema);
      if (known.key !== key) throw new ConfigError('E_STATE', `${path} is damaged: it holds another key than its name says`);
      return known;
    } catch (error) {
      if (error instanceof NotFoundError) return null;
      throw error;
    }
  }

  #keyPath(key: string): string {
    return join(this.#keys, `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`);
  }

  #batchPath(key: string): string {
    return join(this.#open, `${key.slice('hot:'.length)}.json`);
  }
}

async function readAs<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const bytes = await readBounded(path, MAX_BYTES, { private: true });
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw new ConfigError('E_STATE', `${path} is damaged: it is no record of transfers`, { cause, hint: 'restore it from a backup; it may name a transfer under way' });
  }
}
