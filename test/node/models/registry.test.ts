import { createHash } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InterruptedError } from '../../../src/core/errors.ts';
import { ownProcess } from '../../../src/core/process-identity.ts';
import { parseFullName } from '../../../src/node/models/identity.ts';
import { openRegistry, resolveModel, verifyModel } from '../../../src/node/models/registry.ts';
import { fileRoot, hashFileTree, LEAF_BYTES, leafHash, modelRoot } from '../../../src/node/models/tree-hash.ts';
import type { ModelEntry } from '../../../src/node/models/registry.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const sha256 = (...parts: readonly (string | Uint8Array)[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};
const COMMIT = 'ab'.repeat(20);

let home = '';
beforeEach(async () => { home = await mkdtemp(join(tmpdir(), 'cocoon-models-')); });
afterEach(() => rm(home, { recursive: true, force: true }));

/** Puts content under a name, as a pull does. */
async function put(name: string, content: string, options: { replace?: boolean; file?: string } = {}): Promise<ModelEntry> {
  const registry = openRegistry(home);
  const folder = join(registry.partialFolder, name, 'files');
  await mkdir(folder, { recursive: true });
  const file = options.file ?? 'm.gguf';
  await writeFile(join(folder, file), content);
  const { root } = await hashFileTree(join(folder, file));
  return registry.add({ name, fullName: `${name}@${COMMIT}:${hex(root)}`, files: [{ name: file, size: content.length, sha256: sha256(content) }], source: `hf:org/${name}@${COMMIT}/${file}` }, folder, options);
}

describe('tree hash', () => {
  it.each([0, 1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1, 2 * LEAF_BYTES])('hashFileTree: %d bytes are the specified composition of SHA-256', async (size) => {
    const bytes = Buffer.alloc(size, 7);
    const path = join(home, 'f');
    await writeFile(path, bytes);
    const leaves = Array.from({ length: Math.ceil(size / LEAF_BYTES) }, (_unused, index) => Buffer.from(sha256(bytes.subarray(index * LEAF_BYTES, (index + 1) * LEAF_BYTES)), 'hex'));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(size));
    const { root, size: seen } = await hashFileTree(path, { parallel: 3 });
    expect({ seen, root: hex(root) }).toEqual({ seen: size, root: sha256('cocoon-model-file-1\n', length, ...leaves) });
  });

  it('modelRoot: one file is itself; several are bound in their order', () => {
    const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    expect(modelRoot([a])).toBe(a);
    expect(hex(modelRoot([a, b]))).toBe(sha256('cocoon-model-set-1\n', Buffer.from([2, 0, 0, 0]), a, b));
    expect(hex(modelRoot([b, a]))).not.toBe(hex(modelRoot([a, b])));
    expect(() => modelRoot([])).toThrow(RangeError);
  });

  it('fileRoot: refuses another number of leaves than the size has', async () => {
    const leaf = await leafHash(new Uint8Array(5));
    expect(() => fileRoot(LEAF_BYTES + 1, leaf)).toThrow(RangeError);
  });

  it('hashFileTree: refuses what is no regular file, and stops when told', async () => {
    await expect(hashFileTree(home)).rejects.toThrow(/regular file/);
    const path = join(home, 'f');
    await writeFile(path, Buffer.alloc(3 * LEAF_BYTES));
    const controller = new AbortController();
    await expect(hashFileTree(path, { signal: controller.signal, parallel: 1, onProgress: () => controller.abort() })).rejects.toMatchObject({ code: 'E_CLOSED' });
  });
});

describe('full names', () => {
  it('parseFullName: name@commit:hash and nothing else', () => {
    expect(parseFullName(`org/m-q4@${COMMIT}:${'0'.repeat(64)}`)).toEqual({ name: 'org/m-q4', commit: COMMIT, hash: '0'.repeat(64) });
    for (const text of ['m', `m@local:${'0'.repeat(63)}`, `m@main:${'0'.repeat(64)}`, `@local:${'0'.repeat(64)}`, `../m@local:${'0'.repeat(64)}`, `m@local:${'0'.repeat(64)}x`]) expect(parseFullName(text)).toBeNull();
  });

  it('verifyModel: a file of unknown origin is its name and the SHA-256 of its bytes', async () => {
    await writeFile(join(home, 'tiny.GGUF'), 'model');
    const resolved = await resolveModel('./tiny.GGUF', { home, cwd: home });
    expect(await verifyModel(resolved)).toBe(`tiny@local:${sha256('model')}`);
    expect(await verifyModel({ ...resolved, name: 'org/Name-1.5' })).toBe(`org/Name-1.5@local:${sha256('model')}`);
  });

  it.each(['', 'with space', 'a@b', '../up', 'x'.repeat(129), 'é'])('verifyModel: refuses the name %j', async (name) => {
    await writeFile(join(home, 'tiny.gguf'), 'model');
    await expect(verifyModel({ ...await resolveModel('./tiny.gguf', { home, cwd: home }), name })).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('verifyModel: refuses what is no regular file, at once', async () => {
    execFileSync('mkfifo', [join(home, 'pipe.gguf')]);
    await mkdir(join(home, 'folder.gguf'));
    for (const name of ['./pipe.gguf', './folder.gguf']) await expect(verifyModel(await resolveModel(name, { home, cwd: home }))).rejects.toMatchObject({ code: 'E_NOT_FOUND', exitCode: 7 });
  });

  it('verifyModel: the signal ends it', async () => {
    await writeFile(join(home, 'tiny.gguf'), 'model');
    const reason = new InterruptedError('E_INTERRUPTED', 'interrupted');
    await expect(verifyModel(await resolveModel('./tiny.gguf', { home, cwd: home }), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('openRegistry', () => {
  it('add, find, resolve, verify', async () => {
    const entry = await put('m', 'content');
    expect(entry).toMatchObject({ name: 'm', references: 1 });
    expect(await openRegistry(home).find('m')).toEqual(entry);
    expect(await openRegistry(home).find(entry.fullName)).toEqual(entry);
    const resolved = await resolveModel('m', { home, cwd: home });
    expect(resolved).toMatchObject({ path: entry.paths[0], expected: entry.fullName });
    expect(await verifyModel(resolved)).toBe(entry.fullName);
    expect((await stat(join(home, 'models', 'registry.json'))).mode & 0o777).toBe(0o600);
  });

  it('verifyModel: a changed byte, a shorter file and a missing one are refused', async () => {
    const entry = await put('m', 'content');
    const resolved = await resolveModel('m', { home, cwd: home });
    const [path = ''] = entry.paths;
    await writeFile(path, 'kontent');
    await expect(verifyModel(resolved)).rejects.toMatchObject({ code: 'E_MODEL_DAMAGED', message: expect.stringContaining('expected') });
    await writeFile(path, 'conten');
    await expect(verifyModel(resolved)).rejects.toMatchObject({ code: 'E_MODEL_DAMAGED' });
    await rm(path);
    await expect(verifyModel(resolved)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it('two names for the same files: the files go with the last one', async () => {
    await put('a', 'same');
    const second = await put('b', 'same');
    expect(second.references).toBe(2);
    expect((await readdir(join(home, 'models', 'content'))).length).toBe(1);
    expect(await openRegistry(home).remove('a')).toMatchObject({ freedBytes: 0 });
    expect((await stat(second.paths[0] ?? '')).size).toBe(4);
    expect(await openRegistry(home).remove('b')).toMatchObject({ freedBytes: 4 });
    expect(await readdir(join(home, 'models', 'content'))).toEqual([]);
    await expect(openRegistry(home).remove('b')).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it('a name is taken, unless it is to be replaced; the old files go', async () => {
    await put('m', 'old');
    await expect(put('m', 'new!')).rejects.toMatchObject({ code: 'E_STATE' });
    const entry = await put('m', 'new!', { replace: true });
    expect((await readdir(join(home, 'models', 'content'))).length).toBe(1);
    expect((await stat(entry.paths[0] ?? '')).size).toBe(4);
  });

  it('remove: refuses what a process has open, and not what a dead one had', async () => {
    const entry = await put('m', 'content');
    const release = await openRegistry(home).use(entry);
    expect(await openRegistry(home).users(entry)).toEqual([ownProcess().pid]);
    await expect(openRegistry(home).remove('m')).rejects.toMatchObject({ code: 'E_MODEL_IN_USE', message: expect.stringContaining(String(ownProcess().pid)) });
    await release();
    // A flag of a process that has ended.
    const child = spawn(process.execPath, ['-e', '0']);
    await once(child, 'exit');
    const [folder = ''] = await readdir(join(home, 'models', 'uses'));
    await writeFile(join(home, 'models', 'uses', folder, `${child.pid}-1-${'0'.repeat(16)}`), '');
    expect(await openRegistry(home).users(entry)).toEqual([]);
    await openRegistry(home).remove('m');
    expect(await openRegistry(home).list()).toEqual([]);
  });

  it('a name that shares the files of a model in use can go; the files stay', async () => {
    await put('a', 'same');
    const entry = await put('b', 'same');
    const release = await openRegistry(home).use(entry);
    await openRegistry(home).remove('a');
    await expect(openRegistry(home).remove('b')).rejects.toMatchObject({ code: 'E_MODEL_IN_USE' });
    await release();
  });

  it('refuses a registry that is damaged, and names that are none', async () => {
    await expect(put('..', 'x')).rejects.toMatchObject({ code: 'E_USAGE' });
    await put('m', 'content');
    await writeFile(join(home, 'models', 'registry.json'), '{"version":1,"models":[{}]}');
    await expect(openRegistry(home).list()).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('resolveModel: neither file nor model', async () => {
    await expect(resolveModel('nothing', { home, cwd: home })).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });
});
