// `cocoon infer` beyond a single answer: schemas, receipts, choice of nodes, dry runs, and batches that are killed. Terminal
// sessions of the plain cases are in golden/.
import { spawn } from 'node:child_process';
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { startTestNetwork, until } from '../fakes/network.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';
import type { EngineRequest } from '../../src/node/engine.ts';
import type { TestNetwork, TestNode } from '../fakes/network.ts';

const lastMessage = ({ prompt }: EngineRequest): string => (prompt.kind === 'chat' ? prompt.messages.at(-1)?.content ?? '' : prompt.text);

let network: TestNetwork;
let echo: TestNode;
beforeAll(async () => {
  network = await startTestNetwork({ nodes: [] });
  echo = await network.startNode({ model: 'echo', engine: { pieces: (request) => [lastMessage(request)], sequences: 4, firstDelayMs: 10 } });
});
afterAll(() => network.close());

async function cocoon(...argv: readonly string[]) {
  const run = fakeContext({ home: network.home });
  const exit = await main(argv, run.context);
  return { exit, stdout: run.stdout(), stderr: run.stderr() };
}
const path = (name: string): string => join(network.home, name);
const write = (name: string, ...lines: readonly unknown[]): Promise<void> => writeFile(path(name), lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'));
const read = (name: string): Promise<string> => readFile(path(name), 'utf8');
const jsonLines = async (name: string): Promise<Record<string, unknown>[]> => (await read(name)).trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);

describe('cocoon infer --schema', () => {
  beforeAll(() => write('person.json', { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false }));

  it('an answer that fits is printed, and its value is in the document', async () => {
    expect(await cocoon('infer', '-q', '--schema', 'person.json', ' {"name":"Ada"} ')).toMatchObject({ exit: 0, stdout: '{"name":"Ada"}\n' });
    const { exit, stdout } = await cocoon('--json', 'infer', '--schema', 'person.json', '{"name":"Ada"}');
    expect([exit, JSON.parse(stdout)]).toMatchObject([0, { ok: true, data: { value: { name: 'Ada' }, finishReason: 'stop' } }]);
  });

  it('an answer that does not fit: exit 10, and nothing of it on stdout', async () => {
    expect(await cocoon('infer', '-q', '--schema', 'person.json', 'my name is Ada')).toMatchObject({ exit: 10, stdout: '', stderr: expect.stringContaining('does not fit the schema: it is not JSON') });
    const { stdout } = await cocoon('--json', 'infer', '--schema', 'person.json', '{"nome":"Ada"}');
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, data: { answer: '{"nome":"Ada"}' }, error: { code: 'E_ANSWER', exit: 10 } });
  });

  it('a schema that cannot be used is refused before anything is connected', async () => {
    await write('wrong.json', { type: 'objekt' });
    const before = echo.engine.requests.length;
    expect(await cocoon('infer', '--schema', 'wrong.json', 'x')).toMatchObject({ exit: 2, stderr: expect.stringMatching(/^cocoon: cannot use the schema "wrong.json"/) });
    expect(await cocoon('infer', '--schema', 'nobody.json', 'x')).toMatchObject({ exit: 7 });
    expect(echo.engine.requests).toHaveLength(before);
  });
});

describe('cocoon infer --batch', () => {
  beforeEach(() => rm(path('out.jsonl'), { force: true }));

  it('without --out: one line a question, in their order', async () => {
    await write('in.jsonl', { id: 'a', prompt: 'one' }, { id: 'b', messages: [{ role: 'user', content: 'two' }] }, { prompt: 'three' });
    const { exit, stdout, stderr } = await cocoon('infer', '--batch', 'in.jsonl', '--parallel', '3');
    expect(exit).toBe(0);
    expect(stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as object)).toMatchObject([
      { id: 'a', ok: true, model: 'echo', answer: 'one', finishReason: 'stop', evidence: 'simulated', error: null }, { id: 'b', answer: 'two' }, { id: '3', answer: 'three' },
    ]);
    expect(stderr).toContain('3 answered, 0 failed, 0 were done before');
  });

  it('with --out: what is answered is not asked again, what failed is; the file is in the order of the questions', async () => {
    await write('in.jsonl', { id: 'a', prompt: 'one' }, { id: 'b', prompt: 'two', model: 'nobody' }, { id: 'c', prompt: 'three' });
    const first = await cocoon('--json', 'infer', '--batch', 'in.jsonl', '--out', 'out.jsonl');
    expect([first.exit, JSON.parse(first.stdout)]).toMatchObject([12, { ok: false, data: { questions: 3, done: 0, answered: 2, failed: 1 }, error: { code: 'E_BATCH', message: expect.stringMatching(/^1 of 3 questions have no answer, the last one because unknown model nobody|^1 of 3/) } }]);
    expect(await jsonLines('out.jsonl')).toMatchObject([{ id: 'a', ok: true }, { id: 'b', ok: false, error: { code: expect.any(String) } }, { id: 'c', ok: true }]);
    const before = echo.engine.requests.length;
    await network.startNode({ model: 'nobody', engine: { pieces: ['here I am'] } }).then(async (node) => {
      const second = await cocoon('infer', '-m', 'echo', '--batch', 'in.jsonl', '--out', 'out.jsonl');
      expect(second).toMatchObject({ exit: 0, stdout: '', stderr: expect.stringContaining('1 answered, 0 failed, 2 were done before') });
      await node.close();
    });
    expect(echo.engine.requests).toHaveLength(before);
    expect(await jsonLines('out.jsonl')).toMatchObject([{ id: 'a' }, { id: 'b', ok: true, answer: 'here I am' }, { id: 'c' }]);
  });

  it('an id that was answered for something else is refused', async () => {
    await write('in.jsonl', { id: 'a', prompt: 'one' });
    await cocoon('infer', '-m', 'echo', '--batch', 'in.jsonl', '--out', 'out.jsonl');
    expect(await cocoon('infer', '-m', 'echo', '--seed', '4', '--batch', 'in.jsonl', '--out', 'out.jsonl')).toMatchObject({ exit: 2, stderr: expect.stringContaining('was answered in out.jsonl for another question or with other options') });
  });

  it('killed in the middle: nothing in the file is lost or asked again', async () => {
    const all = Array.from({ length: 60 }, (_, index) => ({ id: `q${index}`, prompt: `question ${index}` }));
    await write('in.jsonl', ...all);
    const before = echo.engine.requests.length;
    const args = ['--home', network.home, 'infer', '-m', 'echo', '--batch', path('in.jsonl'), '--out', path('out.jsonl'), '--parallel', '4'];
    const child = spawn(SOURCE_PROGRAM.command, [...SOURCE_PROGRAM.args, ...args], { stdio: 'ignore' });
    await until(() => echo.engine.requests.length > before + 14, 30_000);
    const ended = new Promise((resolve) => { child.on('exit', (_code, signal) => resolve(signal)); });
    child.kill('SIGKILL');
    await expect(ended).resolves.toBe('SIGKILL');
    await appendFile(path('out.jsonl'), '{"id":"q29'); // as if it had been writing
    const kept = (await read('out.jsonl')).split('\n').slice(0, -1).map((line) => (JSON.parse(line) as { id: string }).id);
    expect(kept.length).toBeGreaterThan(8);
    expect(kept.length).toBeLessThan(60);
    const asked = echo.engine.requests.length;
    expect(await cocoon('infer', '-m', 'echo', '--batch', 'in.jsonl', '--out', 'out.jsonl')).toMatchObject({ exit: 0 });
    expect(echo.engine.requests.length - asked).toBe(60 - kept.length);
    const lines = await jsonLines('out.jsonl');
    expect(lines.map(({ id, answer }) => [id, answer])).toEqual(all.map(({ id, prompt }) => [id, prompt]));
  }, 60_000);

  it('two runs never write to the same file', async () => {
    // Longer than the second one waits for the first.
    const lazy = await network.startNode({ model: 'lazy', engine: { firstDelayMs: 400 } });
    await write('in.jsonl', ...Array.from({ length: 5 }, (_, index) => ({ prompt: `q ${index}` })));
    const both = await Promise.all([1, 2].map(() => cocoon('infer', '-m', 'lazy', '--parallel', '1', '--batch', 'in.jsonl', '--out', 'out.jsonl')));
    await lazy.close();
    expect(both.map(({ exit }) => exit).sort()).toEqual([0, 3]);
    expect(await jsonLines('out.jsonl')).toHaveLength(5);
  });

  it('a schema judges every answer', async () => {
    await write('list.json', { type: 'array' });
    await write('in.jsonl', { id: 'a', prompt: '[1]' }, { id: 'b', prompt: 'no' });
    const { exit, stdout } = await cocoon('infer', '-m', 'echo', '--schema', 'list.json', '--batch', 'in.jsonl');
    expect(exit).toBe(12);
    expect(stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as object)).toMatchObject([{ id: 'a', value: [1] }, { id: 'b', ok: false, error: { code: 'E_ANSWER' } }]);
  });

  it('what is wrong with a line is said before anything is asked', async () => {
    await write('in.jsonl', { id: 'a', prompt: 'one' }, { id: 'a', prompt: 'two' });
    const before = echo.engine.requests.length;
    expect(await cocoon('infer', '--batch', 'in.jsonl')).toMatchObject({ exit: 2, stderr: expect.stringContaining('lines 1 and 2 of the batch have the same id "a"') });
    expect(echo.engine.requests).toHaveLength(before);
  });
});

describe('cocoon infer --receipt, receipt', () => {
  it('the receipt is written, shown and verified offline, with the bodies that it is for', async () => {
    const asked = await cocoon('infer', '-q', '-m', 'echo', '--receipt', 'r.json', '--receipt-bodies', 'what is cocoon?');
    expect(asked).toMatchObject({ exit: 0, stdout: 'what is cocoon?\n' });
    expect(await read('r.json')).not.toContain('what is cocoon');
    const shown = await cocoon('--json', 'receipt', 'show', 'r.json');
    expect(JSON.parse(shown.stdout)).toMatchObject({ ok: true, data: { model: 'echo@test:0', network: 'local', tokens: { total: expect.any(String) } } });
    const verified = await cocoon('receipt', 'verify', 'r.json', '--request', 'r.json.request', '--answer', 'r.json.answer');
    expect(verified).toMatchObject({ exit: 0, stdout: expect.stringMatching(/PASS {2}record-signature[\s\S]*PASS {2}request[\s\S]*PASS {2}answer[\s\S]*PASS \(simulated\): all \d+ required checks passed/) });
  });

  it('another answer, another request, and a changed receipt are refused', async () => {
    await cocoon('infer', '-q', '-m', 'echo', '--receipt', 'r.json', '--receipt-bodies', 'what is cocoon?');
    await writeFile(path('other'), 'something else');
    expect(await cocoon('receipt', 'verify', 'r.json', '--answer', 'other')).toMatchObject({ exit: 5, stderr: expect.stringContaining('the receipt is refused by the check "answer"') });
    expect(await cocoon('receipt', 'verify', 'r.json', '--request', 'other')).toMatchObject({ exit: 5, stderr: expect.stringContaining('the check "request"') });
    const file = JSON.parse(await read('r.json')) as { receipt: string };
    const bytes = Buffer.from(file.receipt, 'base64');
    const last = bytes.length - 1;
    bytes[last] = (bytes[last] ?? 0) ^ 1;
    await write('changed.json', { ...file, receipt: bytes.toString('base64') });
    expect(await cocoon('receipt', 'verify', 'changed.json')).toMatchObject({ exit: 5, stderr: expect.stringContaining('"receipt-signature"') });
    await write('foreign.json', { kind: 'something' });
    expect(await cocoon('receipt', 'verify', 'foreign.json')).toMatchObject({ exit: 3, stderr: expect.stringContaining('expected a receipt that `cocoon infer --receipt` wrote') });
    expect(await cocoon('receipt', 'show', 'nobody.json')).toMatchObject({ exit: 7 });
  });

  it('from a node that seals nothing there is none, and that is not passed over', async () => {
    const old = await network.startNode({ model: 'old', versions: { min: 0, max: 7 } });
    expect(await cocoon('infer', '-q', '-m', 'old', '--seal', 'prefer', '--receipt', 'none.json', 'hello')).toMatchObject({ exit: 12, stdout: 'Hello there.\n', stderr: expect.stringContaining('the answer has no receipt') });
    await expect(read('none.json')).rejects.toThrow('ENOENT');
    expect(await cocoon('infer', '-q', '-m', 'old', 'hello')).toMatchObject({ exit: expect.any(Number), stdout: '' }); // sealing is required
    await old.close();
  });
});

describe('cocoon infer --dry-run, --node, --tee', () => {
  it('says who would answer, and asks nobody', async () => {
    const before = echo.engine.requests.length;
    const { exit, stdout } = await cocoon('--json', 'infer', '-m', 'echo', '--dry-run', '--max-tokens', '50', 'twelve bytes');
    expect([exit, JSON.parse(stdout)]).toMatchObject([0, { data: { model: 'echo', questions: 1, estimatedPromptTokens: 3, maxTokens: 50, mostCostNano: null, proxy: { evidence: 'simulated' }, nodes: [{ verified: true, evidence: 'simulated', price: 1_000 }] } }]);
    await write('in.jsonl', { prompt: 'one' }, { prompt: 'two' });
    const batch = await cocoon('infer', '-m', 'echo', '--dry-run', '--batch', 'in.jsonl');
    expect(batch).toMatchObject({ exit: 0, stdout: expect.stringMatching(/questions\s+2[\s\S]*simulated/) });
    expect(echo.engine.requests).toHaveLength(before);
  });

  it('--node: the one whose key or image begins so, or nobody', async () => {
    const { stdout } = await cocoon('--json', 'infer', '-m', 'echo', '--dry-run', 'x');
    const { data: { nodes: [node] } } = JSON.parse(stdout) as { data: { nodes: [{ tlsPublicKey: string; imageHash: string }] } };
    for (const hash of [node.tlsPublicKey, node.imageHash.slice(0, 8).toUpperCase()]) {
      expect(await cocoon('infer', '-q', '-m', 'echo', '--node', hash, 'hello')).toMatchObject({ exit: 0, stdout: 'hello\n' });
    }
    expect(await cocoon('infer', '-q', '-m', 'echo', '--node', 'ffffffff', 'hello')).toMatchObject({ exit: 14, stdout: '' });
    expect(await cocoon('infer', '-m', 'echo', '--dry-run', '--node', 'ffffffff', 'hello')).toMatchObject({ exit: 14 });
    expect(await cocoon('infer', '-m', 'echo', '--node', 'node1', 'hello')).toMatchObject({ exit: 2 });
  });

  it('--tee: simulated evidence is not what was asked for; without sealing nobody can be named', async () => {
    expect(await cocoon('infer', '-q', '-m', 'echo', '--tee', 'tdx', 'hello')).toMatchObject({ exit: 14, stdout: '' });
    expect(await cocoon('infer', '-q', '-m', 'echo', '--seal', 'off', '--tee', 'tdx', 'hello')).toMatchObject({ exit: 2, stderr: expect.stringContaining('only for a request that is sealed') });
  });

  it('--max-price: nodes above it are not asked', async () => {
    expect(await cocoon('infer', '-q', '-m', 'echo', '--max-price', '0.5', 'hello')).toMatchObject({ exit: 14, stdout: '' });
  });
});
