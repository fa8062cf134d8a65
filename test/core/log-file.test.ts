// Logs of daemons: kept in bounds while others write to them, read over their pieces, followed over a cut. And what is redacted.
import { appendFileSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { rotateLog } from '../../src/core/log-file.ts';
import { followLog, readLog } from '../../src/core/log-read.ts';
import { redactJson, redactor } from '../../src/core/redact.ts';

const folder = mkdtempSync(join(tmpdir(), 'cocoon-log-'));
afterAll(() => rmSync(folder, { recursive: true }));
const line = (second: number, msg: string, level = 30): string => `${JSON.stringify({ level, time: new Date(second * 1000).toISOString(), n: second, msg })}\n`;

describe('rotateLog', () => {
  it('copies away and empties; a writer with the file open goes on at its begin; old ones move on and the oldest goes', () => {
    const path = join(folder, 'a.log');
    const writer = openSync(path, 'a', 0o600);
    for (let round = 1; round <= 4; round += 1) {
      writeSync(writer, `round ${round} ${'x'.repeat(100)}\n`);
      expect(rotateLog(path, { maxBytes: 50, keep: 2 })).toBe(true);
      expect(statSync(path).size).toBe(0);
    }
    writeSync(writer, 'after\n');
    closeSync(writer);
    expect(rotateLog(path, { maxBytes: 50, keep: 2 })).toBe(false);
    expect([path, `${path}.1`, `${path}.2`].map((file) => readFileSync(file, 'utf8').slice(0, 7))).toEqual(['after\n', 'round 4', 'round 3']);
    expect(statSync(`${path}.1`).mode & 0o777).toBe(0o600);
    expect(() => statSync(`${path}.3`)).toThrow('ENOENT');
    expect(rotateLog(join(folder, 'none.log'))).toBe(false);
  });
});

describe('readLog and followLog', () => {
  it('reads the pieces in order, from a time on or the last lines; other programs\' lines have the time before them', async () => {
    const path = join(folder, 'b.log');
    writeFileSync(`${path}.1`, line(1, 'one') + line(2, 'two'));
    writeFileSync(path, `${line(3, 'three', 40)}ggml: something native\n`);
    expect((await readLog(path, { last: 100 })).lines.map(({ message, level, atMs }) => [message, level, atMs])).toEqual([
      ['one', 'info', 1_000], ['two', 'info', 2_000], ['three', 'warn', 3_000], ['ggml: something native', null, 3_000],
    ]);
    expect((await readLog(path, { last: 100, sinceMs: 2_000 })).lines.map(({ message }) => message)).toEqual(['two', 'three', 'ggml: something native']);
    expect((await readLog(path, { last: 2 })).lines.map(({ message }) => message)).toEqual(['three', 'ggml: something native']);
  });

  it('goes on with what comes, also behind a cut', async () => {
    const path = join(folder, 'c.log');
    writeFileSync(path, line(1, 'before'));
    const stop = new AbortController();
    const seen: string[] = [];
    const following = (async () => {
      for await (const { message } of followLog(path, statSync(path).size, stop.signal)) {
        seen.push(message);
        if (message === 'first') writeFileSync(path, line(3, 'second'));
        if (message === 'second') stop.abort();
      }
    })();
    appendFileSync(path, line(2, 'first') + line(2, 'a line that is long enough to make the next file shorter than this one'));
    await following;
    expect(seen[0]).toBe('first');
    expect(seen.at(-1)).toBe('second');
  });
});

describe('redactor', () => {
  const redact = redactor(['correct horse battery', 'abc', 'with "quotes" in it']);

  it.each([
    ['the passphrase is correct horse battery.', 'the passphrase is [redacted].'],
    ['"p":"with \\"quotes\\" in it"', '"p":"[redacted]"'],
    ['authorization: Bearer abcdefghijklmnop', 'authorization: Bearer [redacted]'],
    ['https://user:pw@host/x', 'https://[redacted]@host/x'],
    ['https://host/x?a=1&api_key=zzz&b=2', 'https://host/x?a=1&api_key=[redacted]&b=2'],
    ['hf_abcdefghijklmnop in a line', '[redacted] in a line'],
    ['at https://h/?q=correct%20horse%20battery', 'at https://h/?q=[redacted]'],
    ['abc is too short to be told from a word', 'abc is too short to be told from a word'],
  ])('%s', (text, expected) => expect(redact(text)).toBe(expected));

  it('redactJson: strings of every depth, also as names; numbers stay', () => {
    expect(redactJson({ a: ['correct horse battery', 1, null], b: { c: 'x', 'correct horse battery': 2 } }, redact)).toEqual({ a: ['[redacted]', 1, null], b: { c: 'x', '[redacted]': 2 } });
  });
});
