// Where prompts come from, and how attached files are shown.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readPrompt } from '../../src/commands/prompt-input.ts';
import { fakeContext } from '../fakes/context.ts';

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cocoon-prompt-'));
  await writeFile(join(home, 'a.txt'), 'alpha\n');
  await writeFile(join(home, 'b.md'), '```js\nlet b\n```\n`````');
  await writeFile(join(home, 'empty.txt'), '');
  await writeFile(join(home, 'picture'), Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0xff));
  await writeFile(join(home, 'zero'), 'a\0b');
  await writeFile(join(home, 'large'), 'x'.repeat(5 * 1024 * 1024));
});
afterAll(() => rm(home, { recursive: true }));

const read = (argument: string | undefined, files: readonly string[] = [], stdin = '', stdinIsTTY = false): Promise<string> => readPrompt(fakeContext({ home, stdin, stdinIsTTY }).context, argument, files);

describe('readPrompt', () => {
  it('the argument, standard input, or a single file', async () => {
    await expect(read('why')).resolves.toBe('why');
    await expect(read('why', [], 'not read')).resolves.toBe('why');
    await expect(read('-', [], 'piped\n')).resolves.toBe('piped\n');
    await expect(read(undefined, [], 'piped\n')).resolves.toBe('piped\n');
    await expect(read(undefined, ['a.txt'])).resolves.toBe('alpha\n');
    await expect(read(undefined, ['-'], 'piped')).resolves.toBe('piped');
  });

  it('with a prompt, files are shown before it by name, between fences that do not occur in them', async () => {
    await expect(read('compare', ['a.txt', 'b.md'])).resolves.toBe('File `a.txt`:\n```\nalpha\n```\n\nFile `b.md`:\n``````\n```js\nlet b\n```\n`````\n``````\n\ncompare');
    await expect(read('-', ['a.txt'], 'what is this?')).resolves.toBe('File `a.txt`:\n```\nalpha\n```\n\nwhat is this?');
    await expect(read('what is this?', ['-'], 'log line')).resolves.toBe('File `standard input`:\n```\nlog line\n```\n\nwhat is this?');
    await expect(read(undefined, ['a.txt', 'empty.txt'], 'both?')).resolves.toBe('File `a.txt`:\n```\nalpha\n```\n\nFile `empty.txt`:\n```\n```\n\nboth?');
  });

  it.each<[string, string | undefined, readonly string[], string, boolean, RegExp]>([
    ['nothing at all', undefined, [], '', true, /^no prompt: expected an argument/],
    ['files and a terminal', undefined, ['a.txt', 'b.md'], '', true, /^no prompt: 2 files are attached/],
    ['an empty argument', ' ', [], '', false, /is empty$/],
    ['empty standard input', undefined, [], '', false, /from standard input is empty$/],
    ['an empty file', undefined, ['empty.txt'], '', false, /"empty.txt" is empty$/],
    ['standard input twice', '-', ['-'], 'x', false, /only once/],
    ['standard input attached twice', 'why', ['-', '-'], 'x', false, /only once/],
    ['what is not text', 'why', ['picture'], '', false, /attached file "picture": expected UTF-8 text/],
    ['a zero byte', undefined, ['zero'], '', false, /it contains a zero byte/],
    ['too much together', 'why', ['large', 'large'], '', false, /longer than 8388608 bytes together/],
    ['too many files', 'why', Array.from({ length: 65 }, () => 'a.txt'), '', false, /65 files are attached/],
  ])('%s is refused', async (_, argument, files, stdin, isTTY, message) => {
    await expect(read(argument, files, stdin, isTTY)).rejects.toMatchObject({ code: 'E_USAGE', message: expect.stringMatching(message) });
  });

  it('a file that is not there', async () => {
    await expect(read('why', ['nobody'])).rejects.toMatchObject({ code: 'E_NOT_FOUND', exitCode: 7 });
    await expect(read(undefined, ['nobody'])).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });
});
