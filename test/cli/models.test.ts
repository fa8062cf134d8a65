// The commands about models of this machine, against a scripted server.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { main } from '../../src/main.ts';
import { openRegistry } from '../../src/node/models/registry.ts';
import { fakeContext } from '../fakes/context.ts';
import { fakeGguf } from '../fakes/gguf.ts';
import { startModelServer } from '../fakes/model-server.ts';
import type { ModelServer } from '../fakes/model-server.ts';

const COMMIT = '1f'.repeat(20);
const metadata = { 'general.architecture': 'llama', 'general.name': 'Small', 'llama.block_count': 2, 'llama.context_length': 2_048, 'llama.embedding_length': 64, 'llama.attention.head_count': 4 };
const gguf = fakeGguf(metadata, [{ name: 'blk.0.w', shape: [64, 64], type: 0 }, { name: 'blk.1.w', shape: [64, 64], type: 0 }], 32_768);
const huge = fakeGguf(metadata, [{ name: 'blk.0.w', shape: [2 ** 20, 2 ** 22], type: 0 }], 1_000);

let home = '';
let server: ModelServer;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cocoon-cli-models-'));
  server = await startModelServer();
  server.repository('org/small-GGUF', COMMIT, { 'small-q8_0.gguf': gguf });
  server.repository('org/huge-GGUF', COMMIT, { 'huge-f32.gguf': huge });
});
afterAll(async () => {
  await server.close();
  await rm(home, { recursive: true });
});

async function cocoon(...argv: string[]): Promise<{ exit: number; stdout: string; stderr: string; json: () => { data: Record<string, unknown>; error: { code: string } | null } }> {
  const run = fakeContext({ home, env: { COCOON_MODELS_HUB: server.url } });
  const exit = await main(argv, run.context);
  return { exit, stdout: run.stdout(), stderr: run.stderr(), json: () => JSON.parse(run.stdout()) as { data: Record<string, unknown>; error: { code: string } | null } };
}

describe('cocoon models', () => {
  it('fit: says what a model needs before anything of it is downloaded', async () => {
    const { exit, stdout } = await cocoon('models', 'fit', 'org/small-GGUF:q8_0', '--parallel', '2');
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: expect.stringMatching(/weights +32 KiB[\s\S]*KV cache a sequence +1 MiB for 2048 tokens[\s\S]*fits +yes/) });
    expect(server.asked.every(({ range }) => range === undefined || range === 'bytes=0-1048575')).toBe(true);
  });

  it('fit: exit 3 for what this machine cannot hold', async () => {
    const { exit, json } = await cocoon('--json', 'models', 'fit', 'org/huge-GGUF');
    expect(exit).toBe(3);
    expect(json()).toMatchObject({ error: { code: 'E_MODEL_FIT' }, data: { fits: false, weightsBytes: 2 ** 44, largestContext: 0 } });
  });

  it('pull, list --local, verify, rm', async () => {
    const pulled = await cocoon('--json', 'models', 'pull', 'org/small-GGUF:q8_0');
    expect(pulled.exit).toBe(0);
    const { fullName, rootHash } = pulled.json().data as { fullName: string; rootHash: string };
    expect(fullName).toMatch(new RegExp(`^small-q8_0@${COMMIT}:[0-9a-f]{64}$`));
    expect(rootHash).toMatch(/^[0-9a-f]{64}$/);
    const listed = await cocoon('models', 'list', '--local');
    expect(listed.stdout).toContain(fullName);
    expect((await cocoon('models', 'verify')).stdout).toBe(`good  ${fullName}\n`);
    expect((await cocoon('models', 'fit', 'small-q8_0', '--ctx', '64')).exit).toBe(0);
    const entry = await openRegistry(home).find('small-q8_0');
    const [path = ''] = entry?.paths ?? [];
    const bytes = await readFile(path);
    bytes[bytes.length - 1] = 0x55;
    await writeFile(path, bytes);
    expect(await cocoon('models', 'verify', 'small-q8_0')).toMatchObject({ exit: 3, stderr: expect.stringContaining('cocoon models rm small-q8_0') });
    expect(await cocoon('models', 'rm', 'small-q8_0')).toMatchObject({ exit: 2, stderr: expect.stringContaining('confirmation') });
    expect((await cocoon('models', 'rm', 'small-q8_0', '--yes')).stdout).toBe('removed small-q8_0, 32.3 KiB freed\n');
    expect((await cocoon('models', 'rm', 'small-q8_0', '--yes')).exit).toBe(7);
  });

  it('verify: a file that is no model of this machine gets the name that a node would serve', async () => {
    await writeFile(join(home, 'own.gguf'), gguf);
    expect((await cocoon('models', 'verify', './own.gguf')).stdout).toMatch(/^good {2}own@local:[0-9a-f]{64}\n$/);
  });

  it('pull: names that are none, and what is not there', async () => {
    expect((await cocoon('models', 'pull', 'nonsense')).exit).toBe(2);
    expect((await cocoon('models', 'pull', 'org/none')).exit).toBe(7);
    expect((await cocoon('models', 'pull', 'org/small-GGUF:Q2_K')).exit).toBe(7);
    expect((await cocoon('models', 'pull', 'org/small-GGUF', '--sha256', 'abc')).exit).toBe(2);
  });
});
