// The package's entry: what it exports, that importing it loads next to nothing, and every example of docs/library.md as it is
// written there, against a network in this process.
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as library from '../../src/index.ts';
import { startTestNetwork, until } from '../fakes/network.ts';
import type { EngineRequest } from '../../src/node/engine.ts';
import type { TestNetwork, TestNode } from '../fakes/network.ts';

const { chat, connect, verify } = library;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Follows schemas by heart, and otherwise says what it was told. */
function pieces({ prompt }: EngineRequest): string[] {
  const last = prompt.kind === 'chat' ? prompt.messages.at(-1)?.content ?? '' : '';
  if (last.includes('JSON')) return ['{"answer":', '"42"}'];
  return prompt.kind === 'chat' ? prompt.messages.map(({ content }) => `${content} `) : [];
}

let network: TestNetwork;
let node: TestNode;
const before = process.env['COCOON_HOME'];
beforeAll(async () => {
  network = await startTestNetwork({ nodes: [] });
  node = await network.startNode({ model: 'parrot', engine: { pieces } });
  process.env['COCOON_HOME'] = network.home;
});
afterAll(async () => {
  if (before === undefined) delete process.env['COCOON_HOME'];
  else process.env['COCOON_HOME'] = before;
  await network.close();
});

describe('docs/library.md', () => {
  it('every example runs as it is written', async () => {
    const document = await readFile(here('../../docs/library.md'), 'utf8');
    const examples = [...document.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code = '']) => code);
    expect(examples.shift()).toBe('import { chat, connect, verify } from \'cocoon\';\n');
    const said: string[][] = [];
    for (const code of examples) {
      const lines: string[] = [];
      const AsyncFunction = (async () => {}).constructor as new (...args: string[]) => (...args: unknown[]) => Promise<void>;
      await new AsyncFunction('connect', 'chat', 'verify', 'console', code)(connect, chat, verify, { log: (...values: unknown[]) => { lines.push(values.map(String).join(' ')); } });
      said.push(lines);
    }
    const [ask, stream, json, limits, receipt, errors] = said;
    expect(ask).toEqual(['What is cocoon?  simulated']);
    expect(stream?.join('')).toContain('What is my name?');
    expect(stream?.at(-1)).toBe('3 null');
    expect(json).toEqual(['42']);
    expect(limits).toEqual(['parrot: 1 nodes, from ×1', '0 nanoTON']);
    expect(receipt?.[0]).toBe('pass true');
    expect(receipt).toContain('receipt receipt-signature pass');
    expect(errors?.[0]).toMatch(/^E_\w+ /);
    expect(said).toHaveLength(6);
  });
});

describe('the package entry', () => {
  it('exports connect, chat and verify, and nothing else', () => {
    expect(Object.keys(library).sort()).toEqual(['chat', 'connect', 'verify']);
  });

  it('importing it loads no engine, server, chain or logger, and leaves the process alone', () => {
    const script = (file: string): string => `
      const look = () => [process.eventNames().map((name) => [name, process.listenerCount(name)]).join(), process.getActiveResourcesInfo().join()];
      const before = look();
      await import(${JSON.stringify(here(`../../src/${file}`))});
      console.log(JSON.stringify([before, look()]));`;
    const load = (file: string): { looks: string[][]; modules: string[] } => {
      const { stdout } = spawnSync(process.execPath, ['--import', here('../fakes/ts-hooks.mjs'), '--import', here('imports.mjs'), '--input-type=module', '-e', script(file)], { encoding: 'utf8' });
      const [looks = '', modules = ''] = stdout.trim().split('\n');
      return { looks: JSON.parse(looks) as string[][], modules: (JSON.parse(modules) as string[]).filter((url) => !url.includes('/@swc/') && !url.includes('/test/')) };
    };
    const { looks, modules } = load('index.ts');
    expect(looks[1]).toEqual(looks[0]);
    expect(modules).toEqual([expect.stringMatching(/\/src\/index\.ts$/)]);
    // Neither does using it.
    const used = load('library/client.ts');
    expect(used.looks[1]).toEqual(used.looks[0]);
    expect(used.modules.length).toBeGreaterThan(50);
    expect(used.modules.filter((url) => /node-llama-cpp|@node-llama|fastify|@ton\/sandbox|\/pino\/|@inquirer/.test(url))).toEqual([]);
  }, 40_000);
});

describe('connect, chat', () => {
  it('leaving the loop cancels the request and frees the node; the client goes on', async () => {
    const slow = await network.startNode({ model: 'slow', engine: { pieces: Array.from({ length: 500 }, () => 'x '), pieceDelayMs: 20 } });
    const client = await connect();
    const stream = chat(client, { model: 'slow', prompt: 'go on' });
    for await (const piece of stream) {
      expect(piece).toContain('x');
      break;
    }
    await until(() => slow.engine.running === 0);
    await expect(stream.answer()).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(chat(client, { model: 'parrot', prompt: 'still there' }).answer()).resolves.toMatchObject({ text: 'still there ' });
    await client.close();
    await slow.close();
  });

  it('a signal ends it; a request without a question, and one after the end, are refused', async () => {
    const client = await connect();
    const reason = new Error('enough');
    await expect(chat(client, { prompt: 'x', model: 'parrot', signal: AbortSignal.abort(reason) }).answer()).rejects.toMatchObject({ code: 'E_CLOSED' });
    await expect(chat(client, { messages: [{ role: 'assistant', content: 'x' }] }).answer()).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(chat({} as typeof client, { prompt: 'x' }).answer()).rejects.toMatchObject({ code: 'E_USAGE' });
    await client.close();
    await expect(chat(client, { prompt: 'x', model: 'parrot' }).answer()).rejects.toMatchObject({ code: 'E_CLOSED' });
  });

  it('nothing is sent before somebody asks for the answer', async () => {
    const client = await connect();
    const asked = node.engine.requests.length;
    chat(client, { prompt: 'never', model: 'parrot' });
    await client.models();
    await client.close();
    expect(node.engine.requests).toHaveLength(asked);
  });

  it('verify: a changed receipt is refused, by a verdict; what is no evidence is thrown', async () => {
    const client = await connect({ home: network.home, network: 'local' });
    const { receipt, node: answering, proxy } = await chat(client, { prompt: 'hello', model: 'parrot' }).answer();
    await client.close();
    expect([answering?.evidence, proxy.evidence, client.proxy.address]).toEqual(['simulated', 'simulated', proxy.address]);
    const other = await verify(receipt ?? new Uint8Array(0), { offline: true, answer: new Uint8Array(1) });
    expect(other).toMatchObject({ overall: 'fail', simulated: true, imageHash: answering?.imageHash });
    await expect(verify(new Uint8Array(10))).rejects.toMatchObject({ exitCode: 5 });
    await expect(verify(new Uint8Array(10), { answer: new Uint8Array(1) })).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});
