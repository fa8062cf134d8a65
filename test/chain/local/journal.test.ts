// The journal: records survive, a cut-off end is removed at every byte, damage anywhere else is refused.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createJournal, Journal } from '../../../src/chain/local/journal.ts';
import type { Place } from '../../../src/chain/local/journal.ts';
import { silentLog } from '../../../src/core/log.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-'));
  path = join(folder, 'journal');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function readAll(): Promise<unknown[]> {
  const records: unknown[] = [];
  await (await Journal.open(path, (record) => records.push(record), silentLog)).close();
  return records;
}

describe('Journal', () => {
  it('gives back what was appended, in order and by place', async () => {
    await createJournal(path, { n: 0 });
    const journal = await Journal.open(path, () => undefined, silentLog);
    const places: Place[] = [];
    for (let n = 1; n <= 20; n += 1) places.push(await journal.append({ n, text: 'ä\n'.repeat(n) }));
    expect(await journal.read(places[6]!)).toEqual({ n: 7, text: 'ä\n'.repeat(7) });
    const { size } = journal;
    await journal.close();
    expect(readFileSync(path)).toHaveLength(size);
    expect(await readAll()).toEqual([{ n: 0 }, ...places.map((_, i) => ({ n: i + 1, text: 'ä\n'.repeat(i + 1) }))]);
    await expect(journal.append({})).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('reads records longer than a read at once', async () => {
    await createJournal(path, { text: 'x'.repeat(3 << 20) });
    const journal = await Journal.open(path, () => undefined, silentLog);
    await journal.append({ text: 'y'.repeat(1 << 20) });
    await journal.close();
    expect(await readAll()).toHaveLength(2);
  });

  it('loses only the unfinished record, wherever it was cut off, and goes on from there', async () => {
    await createJournal(path, { n: 0 });
    const journal = await Journal.open(path, () => undefined, silentLog);
    const { offset, length } = await journal.append({ n: 1 });
    await journal.close();
    const whole = readFileSync(path);
    for (let cut = offset; cut < offset + length; cut += 1) {
      writeFileSync(path, whole);
      truncateSync(path, cut);
      expect(await readAll()).toEqual([{ n: 0 }]);
      expect(readFileSync(path)).toHaveLength(offset);
    }
    const again = await Journal.open(path, () => undefined, silentLog);
    await again.append({ n: 2 });
    await again.close();
    expect(await readAll()).toEqual([{ n: 0 }, { n: 2 }]);
  });

  it('refuses a file that was changed', async () => {
    await createJournal(path, { n: 0 });
    const journal = await Journal.open(path, () => undefined, silentLog);
    await journal.append({ n: 1 });
    await journal.close();
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length - 1; at += 3) {
      const changed = Buffer.from(whole);
      changed[at] = changed[at]! ^ 1;
      writeFileSync(path, changed);
      await expect(readAll()).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining('damaged') });
    }
    writeFileSync(path, whole);
    appendFileSync(path, 'not a record\n');
    await expect(readAll()).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('createJournal: never replaces one', async () => {
    await createJournal(path, { n: 0 });
    await expect(createJournal(path, { n: 1 })).rejects.toMatchObject({ code: 'E_STATE' });
    expect(await readAll()).toEqual([{ n: 0 }]);
  });
});
