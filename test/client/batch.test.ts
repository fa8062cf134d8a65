// Batches: questions that are read strictly, results that survive a crash at any byte, and what ends a batch.
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { inOrder, runBatch } from '../../src/client/batch.ts';
import { parseBatch } from '../../src/client/batch-questions.ts';
import { openBatchResults } from '../../src/client/batch-results.ts';
import { deferred } from '../../src/core/deferred.ts';
import { AttestationError, CapacityError, ConfigError, InterruptedError, NetworkError, UsageError } from '../../src/core/errors.ts';
import { text } from '../fakes/session-ports.ts';
import type { BatchOptions } from '../../src/client/batch.ts';
import type { BatchResult } from '../../src/client/batch-results.ts';

const DEFAULTS = { model: 'm', maxTokens: 100, system: 'be kind' };
const parse = (...lines: readonly unknown[]) => parseBatch(text(lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')), DEFAULTS);

describe('parseBatch', () => {
  it('prompts and messages, with the defaults where a line says nothing', () => {
    const [first, second, third] = parse({ id: 'a', prompt: 'why' }, '', { id: 7, messages: [{ role: 'system', content: 's' }, { role: 'user', content: 'q' }, { role: 'assistant', content: 'a' }, { role: 'user', content: 'last' }], model: 'n', max_tokens: 5, temperature: 0, top_p: 0.5, seed: 1, stop: 'x' }, { prompt: 'no id', system: 'own' });
    expect(first).toMatchObject({ id: 'a', line: 1, question: { model: 'm', prompt: 'why', system: 'be kind', maxTokens: 100, history: [] } });
    expect(second).toMatchObject({ id: '7', line: 3, question: { model: 'n', prompt: 'last', maxTokens: 5, temperature: 0, topP: 0.5, seed: 1, stop: ['x'] } });
    expect(second?.question.system).toBeUndefined();
    expect(second?.question.history).toHaveLength(3);
    expect(third).toMatchObject({ id: '4', question: { system: 'own' } });
  });

  it('the digest is of all that is asked', () => {
    const digests = [{ prompt: 'a' }, { prompt: 'b' }, { prompt: 'a', seed: 1 }, { prompt: 'a', model: 'n' }, { prompt: 'a', max_tokens: 9 }].map((line) => parse({ id: 'x', ...line })[0]?.digest);
    expect(new Set(digests).size).toBe(5);
    expect(parse({ id: 'y', prompt: 'a' })[0]?.digest).toBe(digests[0]);
  });

  it.each<[string, readonly unknown[], RegExp]>([
    ['no JSON', ['{"id"'], /^line 1 of the batch is not JSON/],
    ['no object', ['"why"'], /^line 1 of the batch cannot be used/],
    ['an unknown member', [{ prompt: 'a' }, { prompt: 'a', tools: [] }], /^line 2 of the batch cannot be used.*tools/],
    ['no question', [{ id: 'a' }], /needs either a prompt or messages/],
    ['two questions', [{ prompt: 'a', messages: [{ role: 'user', content: 'b' }] }], /needs either a prompt or messages/],
    ['a last message of the model', [{ messages: [{ role: 'assistant', content: 'b' }] }], /needs a last message of the user/],
    ['a limit that is none', [{ prompt: 'a', max_tokens: 0 }], /max_tokens/],
    ['an id twice', [{ id: '2', prompt: 'a' }, { prompt: 'b' }], /^lines 1 and 2 of the batch have the same id "2"/],
    ['nothing', ['', ' '], /has 0 questions/],
  ])('%s is refused, by line', (_, lines, message) => {
    expect(() => parse(...lines)).toThrow(expect.objectContaining({ code: 'E_USAGE', message: expect.stringMatching(message) }));
  });
});

describe('openBatchResults', () => {
  let folder = '';
  let path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cocoon-batch-'));
    path = join(folder, 'out.jsonl');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const result = (id: string, more: object = {}): BatchResult => ({ id, ok: true, request: 'd', answer: `answer ${id}`, ...more });
  const ids = async (): Promise<string[]> => (await readFile(path, 'utf8')).trimEnd().split('\n').map((line) => (JSON.parse(line) as { id: string }).id);

  it('what was appended is known to the next run, the newest of each id', async () => {
    const results = await openBatchResults(path);
    await Promise.all(['b', 'a', 'c'].map((id) => results.append(result(id))));
    await results.append(result('a', { ok: false }));
    await results.close();
    const again = await openBatchResults(path);
    expect([...again.known.values()]).toEqual([{ id: 'b', ok: true, request: 'd' }, { id: 'a', ok: false, request: 'd' }, { id: 'c', ok: true, request: 'd' }]);
    await again.close();
  });

  it('arrange: in the order of the questions, one result each, the rest behind; and again nothing to do', async () => {
    const results = await openBatchResults(path);
    for (const id of ['c', 'x', 'a', 'b', 'a']) await results.append(result(id));
    await results.arrange(['a', 'b', 'c', 'd']);
    expect(await ids()).toEqual(['a', 'b', 'c', 'x']);
    const before = await readFile(path);
    await results.arrange(['a', 'b', 'c']);
    expect(await readFile(path)).toEqual(before);
    await results.append(result('d'));
    await results.close();
    expect(await ids()).toEqual(['a', 'b', 'c', 'x', 'd']);
  });

  it('a crash at any byte of the last line: everything before it is there, and it is asked again', async () => {
    const results = await openBatchResults(path);
    await results.append(result('a'));
    await results.append(result('b', { answer: 'with a brace }' }));
    await results.close();
    const whole = await readFile(path);
    const first = whole.indexOf(0x0a) + 1;
    for (let end = first; end <= whole.length; end += 1) {
      await writeFile(path, whole.subarray(0, end));
      const again = await openBatchResults(path);
      // Without its line end the line is still whole.
      expect([end, [...again.known.keys()]]).toEqual([end, end >= whole.length - 1 ? ['a', 'b'] : ['a']]);
      if (!again.known.has('b')) await again.append(result('b'));
      await again.close();
      expect(await ids()).toEqual(['a', 'b']);
    }
  });

  it.each<[string, string]>([
    ['text', 'hello\n'],
    ['text without a line end', 'hello'],
    ['another document', '{"name":"cocoon"}'],
    ['lines of something else', '{"a":1}\n{"id":"x"}\n'],
    ['a document that begins like ours', '{"id":"x"}'],
  ])('%s is refused and left as it is', async (_, content) => {
    await writeFile(path, content);
    await expect(openBatchResults(path)).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringMatching(/is no result of a batch$/) });
    expect(await readFile(path, 'utf8')).toBe(content);
  });

  it('a folder, and a place that is not there, are refused', async () => {
    await expect(openBatchResults(folder)).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(openBatchResults(join(folder, 'no', 'where'))).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('a line in the middle that was damaged is refused', async () => {
    const results = await openBatchResults(path);
    await results.append(result('a'));
    await results.close();
    await truncate(path, 10);
    await appendFile(path, '\n{"id":"b","ok":true,"request":"d"}\n');
    await expect(openBatchResults(path)).rejects.toMatchObject({ message: expect.stringMatching(/line 1/) });
  });
});

describe('runBatch', () => {
  const questions = parse(...Array.from({ length: 12 }, (_, index) => ({ id: `q${index}`, prompt: 'p' })));
  const run = async (options: Partial<BatchOptions>) => {
    const recorded: BatchResult[] = [];
    const promise = runBatch({
      questions, parallel: 3, timeoutMs: 5_000, signal: new AbortController().signal, sleep: async () => {},
      ask: async ({ id }) => ({ answer: id }), record: async (result) => { recorded.push(result); }, ...options,
    });
    return { recorded, outcome: await promise.then((progress) => ({ progress, error: null }), (error: unknown) => ({ progress: null, error })) };
  };

  it('asks everything, no more at once than was said', async () => {
    let running = 0;
    let most = 0;
    const { recorded, outcome } = await run({
      ask: async ({ id }) => {
        most = Math.max(most, running += 1);
        await new Promise((resolve) => { setTimeout(resolve, 2); });
        running -= 1;
        return { answer: id };
      },
    });
    expect([outcome.progress, most]).toEqual([{ answered: 12, failed: 0, lastError: null }, 3]);
    expect(recorded.map(({ id }) => id).sort()).toEqual(questions.map(({ id }) => id).sort());
    expect(recorded[0]).toMatchObject({ ok: true, error: null, request: questions[0]?.digest });
  });

  it('a failure is that question\'s own; what a retry may help is asked again', async () => {
    const asked = new Map<string, number>();
    const { recorded, outcome } = await run({
      ask: async ({ id }) => {
        const times = (asked.get(id) ?? 0) + 1;
        asked.set(id, times);
        if (id === 'q3') throw new UsageError('E_REQUEST', 'too hot');
        if (id === 'q5' && times < 3) throw new CapacityError('E_NO_NODE', 'busy');
        if (id === 'q6') throw new NetworkError('E_TIMEOUT', 'late');
        return { answer: id };
      },
    });
    expect(outcome.progress).toMatchObject({ answered: 10, failed: 2 });
    expect([asked.get('q3'), asked.get('q5'), asked.get('q6')]).toEqual([1, 3, 1]);
    expect(recorded.find(({ id }) => id === 'q3')).toMatchObject({ ok: false, error: { code: 'E_REQUEST', retryable: false } });
  });

  it.each<[string, Error]>([
    ['evidence that is refused', new AttestationError('E_EVIDENCE_REFUSED', 'no')],
    ['a bug', new Error('what')],
    ['an interrupt', new InterruptedError('E_INTERRUPTED', 'x')],
  ])('%s stops everybody', async (_, thrown) => {
    let asked = 0;
    const { outcome } = await run({
      ask: async ({ id }, _timeoutMs, signal) => {
        asked += 1;
        if (id === 'q1') throw thrown;
        await new Promise((resolve) => { signal.addEventListener('abort', resolve); });
        throw signal.reason;
      },
    });
    expect(outcome.error).toMatchObject({ message: thrown.message });
    expect(asked).toBe(3);
  });

  it('results that cannot be recorded stop everybody', async () => {
    const full = new ConfigError('E_STATE', 'no room');
    const { outcome } = await run({ record: () => Promise.reject(full) });
    expect(outcome.error).toBe(full);
  });

  it('an interrupt ends it with its reason, and nothing half is recorded', async () => {
    const controller = new AbortController();
    const reason = new InterruptedError('E_INTERRUPTED', 'interrupted');
    const { recorded, outcome } = await run({
      signal: controller.signal,
      ask: async ({ id }, _timeoutMs, signal) => {
        if (id === 'q4') controller.abort(reason);
        if (id < 'q4') return { answer: id };
        throw signal.aborted ? signal.reason : new Error('never');
      },
    });
    expect(outcome.error).toBe(reason);
    expect(recorded.every(({ ok }) => ok)).toBe(true);
  });
});

describe('inOrder', () => {
  it('writes in the order of the questions, and holds back who is too far ahead', async () => {
    const written: string[] = [];
    const ids = Array.from({ length: 40 }, (_, index) => String(index));
    const record = inOrder(ids, 1, async ({ id }) => { written.push(id); });
    const given = (id: string): BatchResult => ({ id, ok: true, request: '' });
    const late = deferred<string>();
    for (const id of ids.slice(1, 17)) await record(given(id));
    void record(given('17')).then(() => late.resolve('later'));
    expect(await Promise.race([late.promise, new Promise((resolve) => { setTimeout(() => resolve('held'), 10); })])).toBe('held');
    expect(written).toEqual([]);
    await record(given('0'));
    await expect(late.promise).resolves.toBe('later');
    expect(written).toEqual(ids.slice(0, 18));
  });
});
