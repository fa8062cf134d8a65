// Pulls against a scripted server: each ends in the right file under a name, or in a clear error and no model.
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InterruptedError } from '../../../src/core/errors.ts';
import { listFolder } from '../../../src/core/files.ts';
import { pullModel } from '../../../src/node/models/pull.ts';
import { openRegistry, verifyModel } from '../../../src/node/models/registry.ts';
import { fakeGguf } from '../../fakes/gguf.ts';
import { serveFile, sha256, startModelServer } from '../../fakes/model-server.ts';
import type { PullOptions } from '../../../src/node/models/pull.ts';
import type { ModelServer } from '../../fakes/model-server.ts';

const COMMIT = 'c0ffee'.repeat(6).concat('c0de');
/** Leaves of the tree have 4 MiB: the model has two. */
const SEGMENT = 3 << 19;
const model = fakeGguf({ 'general.architecture': 'llama' }, [], 3 * SEGMENT + 12_345);
const FILE = 'tiny-q4_k_m.gguf';
const PATH = `/org/tiny-GGUF/resolve/${COMMIT}/${FILE}`;

const mountSmall = (folder: string): void => { execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder], { stdio: 'ignore' }); };
/** A small disk needs the right to mount one. */
const canMount = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), 'cocoon-mount-'));
  try {
    mountSmall(folder);
    execFileSync('umount', [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(folder);
  }
})();

let home = '';
let server: ModelServer;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cocoon-pull-'));
  server = await startModelServer();
  server.repository('org/tiny-GGUF', COMMIT, { [FILE]: model, 'tiny-q8_0.gguf': fakeGguf(), 'README.md': Buffer.from('x'), 'mmproj-f16.gguf': fakeGguf() });
});
afterEach(async () => {
  await server.close();
  await rm(home, { recursive: true, force: true });
});

const pull = (options: Partial<PullOptions> = {}) => pullModel({
  reference: 'org/tiny-GGUF:Q4_K_M', registry: openRegistry(home), parallel: 3, hub: server.url, signal: new AbortController().signal,
  ...options, ports: { sleep: async () => undefined, stallMs: 400, segmentBytes: SEGMENT, freeBytes: async () => 1 << 30, ...options.ports },
});

/** The file is here, whole, and says so itself. */
async function expectGood(name = 'tiny-q4_k_m'): Promise<void> {
  const entry = await openRegistry(home).find(name);
  expect(entry).not.toBeNull();
  const [path = ''] = entry?.paths ?? [];
  expect(sha256(await readFile(path))).toBe(sha256(model));
  expect(await verifyModel({ paths: [path], name, expected: entry?.fullName ?? '' })).toBe(entry?.fullName);
  expect((await readdir(join(home, 'models', 'partial'))).filter((left) => !left.endsWith('.lock'))).toEqual([]);
}

/** No name, no file under a name; `kept`: what can be gone on with. */
async function expectNothing(kept: boolean): Promise<void> {
  expect(await openRegistry(home).list()).toEqual([]);
  expect(await listFolder(join(home, 'models', 'content'))).toEqual([]);
  expect((await listFolder(join(home, 'models', 'partial'))).some((left) => !left.endsWith('.lock'))).toBe(kept);
}

describe('pullModel', () => {
  it('gets the file in ranges, names it by commit and tree, and does not get it twice', async () => {
    const { entry, downloaded } = await pull();
    expect(downloaded).toBe(true);
    expect(entry.fullName).toMatch(new RegExp(`^tiny-q4_k_m@${COMMIT}:[0-9a-f]{64}$`));
    await expectGood();
    expect(server.asked.filter(({ range }) => range !== undefined && range !== 'bytes=0-0').length).toBe(4);
    const before = server.asked.length;
    expect((await pull()).downloaded).toBe(false);
    expect(server.asked.length).toBe(before + 1); // the API alone
  });

  it('a cut in the middle of a segment goes on from the byte that was reached', async () => {
    let cuts = 0;
    server.fault = (_request, response, asked) => {
      if (asked.path !== PATH || asked.range === 'bytes=0-0' || cuts >= 3) return false;
      cuts += 1;
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(asked.range ?? '') ?? [];
      response.writeHead(206, { etag: `"${sha256(model).slice(0, 16)}"`, 'content-range': `bytes ${from}-${to}/${model.length}`, 'content-length': Number(to) - Number(from) + 1 });
      response.write(model.subarray(Number(from), Number(from) + 100_000));
      setTimeout(() => response.destroy(), 20);
      return true;
    };
    await pull();
    expect(cuts).toBe(3);
    expect(server.asked.some(({ range }) => range?.startsWith('bytes=100000-') === true)).toBe(true);
    await expectGood();
  });

  it('an interrupted pull is resumed: segments that are there are not fetched again', async () => {
    const controller = new AbortController();
    const reason = new InterruptedError('E_INTERRUPTED', 'interrupted');
    let parts = 0;
    server.fault = (_request, response, asked) => {
      if (asked.path !== PATH || asked.range === 'bytes=0-0') return false;
      parts += 1;
      if (parts <= 2) return false;
      setTimeout(() => controller.abort(reason), 100);
      response.writeHead(206, { 'content-range': `bytes 0-1/${model.length}` }); // and then nothing
      return true;
    };
    await expect(pull({ parallel: 1, signal: controller.signal, ports: { stallMs: 5_000 } })).rejects.toBe(reason);
    await expectNothing(true);
    server.fault = () => false;
    server.asked.length = 0;
    await pull({ parallel: 1 });
    expect(server.asked.filter(({ range }) => range !== undefined && range !== 'bytes=0-0').map(({ range }) => range)).toEqual([`bytes=${2 * SEGMENT}-${3 * SEGMENT - 1}`, `bytes=${3 * SEGMENT}-${model.length - 1}`]);
    await expectGood();
  });

  it('what was left behind and is damaged is found, and nothing of it is kept', async () => {
    const controller = new AbortController();
    let parts = 0;
    server.fault = (_request, response, asked) => {
      if (asked.path !== PATH || asked.range === 'bytes=0-0') return false;
      parts += 1;
      if (parts <= 2) return false;
      controller.abort(new InterruptedError('E_INTERRUPTED', 'interrupted'));
      response.destroy();
      return true;
    };
    await expect(pull({ parallel: 1, signal: controller.signal })).rejects.toMatchObject({ code: 'E_INTERRUPTED' });
    server.fault = () => false;
    const [folder = ''] = (await readdir(join(home, 'models', 'partial'))).filter((name) => !name.endsWith('.lock'));
    const path = join(home, 'models', 'partial', folder, 'files', FILE);
    const bytes = await readFile(path);
    bytes[1_000] = (bytes[1_000] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(pull()).rejects.toMatchObject({ code: 'E_MODEL_SOURCE', message: expect.stringContaining('SHA-256') });
    await expectNothing(false);
    await pull();
    await expectGood();
  });

  it('wrong bytes from the source are no model', async () => {
    const wrong = Buffer.from(model);
    wrong[2 * SEGMENT] = (wrong[2 * SEGMENT] ?? 0) ^ 0x80;
    server.files.set(PATH, wrong);
    await expect(pull()).rejects.toMatchObject({ code: 'E_MODEL_SOURCE' });
    await expectNothing(false);
  });

  it('a file of another size than the repository states is not begun', async () => {
    server.files.set(PATH, model.subarray(0, 1_000));
    await expect(pull()).rejects.toMatchObject({ code: 'E_MODEL_SOURCE', message: expect.stringContaining(String(model.length)) });
    await expectNothing(false);
  });

  it('a file that changes under way is refused', async () => {
    let parts = 0;
    server.fault = (_request, _response, asked) => {
      if (asked.path !== PATH || asked.range === 'bytes=0-0') return false;
      parts += 1;
      if (parts === 2) {
        server.files.set(PATH, Buffer.concat([model, Buffer.alloc(5)]));
        server.etags.set(PATH, '"another"');
      }
      return false;
    };
    await expect(pull({ parallel: 1 })).rejects.toMatchObject({ code: 'E_MODEL_SOURCE', message: expect.stringContaining('another file than before') });
    await expectNothing(false);
  });

  it('a stalled source is given up after a bounded number of tries, and what is there is kept', async () => {
    let parts = 0;
    server.fault = (_request, response, asked) => {
      if (asked.path !== PATH || asked.range === 'bytes=0-0') return false;
      parts += 1;
      if (parts === 1) return false;
      response.destroy();
      return true;
    };
    await expect(pull({ parallel: 1 })).rejects.toMatchObject({ code: 'E_UNREACHABLE', hint: expect.stringContaining('goes on') });
    await expectNothing(true);
    expect(parts).toBe(7);
  });

  it('429 is waited out as long as the server wishes', async () => {
    let refused = 0;
    const waits: number[] = [];
    server.fault = (_request, response, asked) => {
      if (asked.path !== PATH || asked.range === 'bytes=0-0' || refused >= 2) return false;
      refused += 1;
      response.writeHead(429, { 'retry-after': '7' }).end();
      return true;
    };
    await pull({ parallel: 1, ports: { sleep: async (ms) => { waits.push(ms); } } });
    expect(waits).toEqual([7_000, 7_000]);
    await expectGood();
  });

  it('the room on the disk is looked at before a byte is fetched', async () => {
    await expect(pull({ ports: { freeBytes: async () => 1_000_000 } })).rejects.toMatchObject({ code: 'E_DISK_SPACE' });
    expect(server.asked.filter(({ range }) => range !== undefined && range !== 'bytes=0-0')).toEqual([]);
    await expectNothing(true);
  });

  (canMount ? it : it.skip)('a disk that fills up under way is told, and the pull goes on when there is room', async () => {
    const mounted = join(home, 'small');
    await mkdir(mounted);
    mountSmall(mounted);
    try {
      await expect(pull({ registry: openRegistry(mounted), parallel: 1 })).rejects.toMatchObject({ code: 'E_DISK_SPACE', hint: expect.stringContaining('goes on') });
      expect(await openRegistry(mounted).list()).toEqual([]);
      execFileSync('mount', ['-o', 'remount,size=64m', mounted]);
      server.asked.length = 0;
      expect((await pull({ registry: openRegistry(mounted), parallel: 1 })).downloaded).toBe(true);
      expect(server.asked.filter(({ range }) => range === `bytes=0-${SEGMENT - 1}`)).toEqual([]);
    } finally {
      execFileSync('umount', [mounted]);
    }
  });

  it('the token goes to the hub and not where the hub redirects', async () => {
    const cdn = await startModelServer();
    try {
      cdn.files.set('/blob', model);
      server.fault = (_request, response, asked) => {
        if (asked.path !== PATH) return false;
        response.writeHead(302, { location: `${cdn.url}/blob?signature=1` }).end();
        return true;
      };
      await pull({ token: 'hf_secret' });
      expect(server.asked.every(({ authorization }) => authorization === 'Bearer hf_secret')).toBe(true);
      expect(cdn.asked.length).toBeGreaterThan(3);
      expect(cdn.asked.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
      await expectGood();
    } finally {
      await cdn.close();
    }
  });

  it('the token does not go to mirrors; a mirror that is wrong is left, and the file is right', async () => {
    const mirror = await startModelServer();
    try {
      mirror.files.set(PATH, model);
      let answered = 0;
      mirror.fault = (_request, response, asked) => {
        if (asked.range === 'bytes=0-0') return false;
        answered += 1;
        if (answered === 1) return false;
        serveFile(Buffer.concat([model, model]), '"other"', { ...asked, ifRange: undefined }, response);
        return true;
      };
      await pull({ mirrors: [mirror.url], token: 'hf_secret', parallel: 1 });
      expect(answered).toBe(2);
      expect(mirror.asked.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
      await expectGood();
    } finally {
      await mirror.close();
    }
  });

  it('a repository that asks for its terms says so', async () => {
    server.fault = (_request, response) => {
      response.writeHead(403).end();
      return true;
    };
    await expect(pull()).rejects.toMatchObject({ code: 'E_MODEL_ACCESS', hint: expect.stringContaining('HF_TOKEN') });
  });

  it('names that could be several files, none, or a part too few are refused', async () => {
    await expect(pull({ reference: 'org/tiny-GGUF:Q5_K_M' })).rejects.toMatchObject({ code: 'E_NOT_FOUND', hint: expect.stringContaining('tiny-q8_0') });
    server.repository('org/two', COMMIT, { 'a-q8_0.gguf': model, 'b-q8_0.gguf': model });
    await expect(pull({ reference: 'org/two:q8_0' })).rejects.toMatchObject({ code: 'E_USAGE' });
    server.repository('org/split', COMMIT, { 'm-Q4_K_M-00001-of-00003.gguf': model, 'm-Q4_K_M-00003-of-00003.gguf': model });
    await expect(pull({ reference: 'org/split:Q4_K_M' })).rejects.toMatchObject({ code: 'E_MODEL_SOURCE', message: expect.stringContaining('3 parts') });
    server.repository('org/bare', COMMIT, { 'a.gguf': model }, { noHash: true });
    await expect(pull({ reference: 'org/bare' })).rejects.toMatchObject({ code: 'E_MODEL_SOURCE', message: expect.stringContaining('no SHA-256') });
    for (const reference of ['tiny', 'a/b:c:d', '../etc/passwd', 'org/../x', '']) await expect(pull({ reference })).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('a model in parts is one model', async () => {
    const parts = { 'm-Q4_K_M-00001-of-00002.gguf': model, 'm-Q4_K_M-00002-of-00002.gguf': fakeGguf({}, [], 777) };
    server.repository('org/split', COMMIT, parts);
    const { entry } = await pull({ reference: 'org/split:Q4_K_M' });
    expect(entry.name).toBe('m-Q4_K_M');
    expect(entry.paths.length).toBe(2);
    expect(await verifyModel({ paths: entry.paths, name: entry.name, expected: entry.fullName })).toBe(entry.fullName);
    await expect(verifyModel({ paths: [...entry.paths].reverse(), name: entry.name, expected: entry.fullName })).rejects.toMatchObject({ code: 'E_MODEL_DAMAGED' });
  });

  it('the same files under another name are shared and not fetched', async () => {
    await pull();
    server.asked.length = 0;
    const { entry, downloaded } = await pull({ name: 'second' });
    expect({ downloaded, references: entry.references }).toEqual({ downloaded: false, references: 2 });
    expect(server.asked.every(({ range }) => range === undefined)).toBe(true);
  });

  it('--sha256 that the repository does not state is refused before the download', async () => {
    await expect(pull({ sha256: 'a'.repeat(64) })).rejects.toMatchObject({ code: 'E_MODEL_SOURCE' });
    await expectNothing(false);
  });
});

describe('pullModel: addresses', () => {
  it('an address gives a local model, named by the SHA-256 of its bytes', async () => {
    server.files.set('/files/plain.gguf', model);
    const { entry } = await pull({ reference: `${server.url}/files/plain.gguf?token=secret` });
    expect(entry.fullName).toBe(`plain@local:${sha256(model)}`);
    expect(entry.source).not.toContain('secret');
    await expectGood('plain');
  });

  it('a server without ranges is read in one answer, begun anew after a cut', async () => {
    server.ranges = false;
    server.files.set('/plain.gguf', model);
    let answers = 0;
    server.fault = (_request, response) => {
      answers += 1;
      if (answers !== 2) return false;
      response.writeHead(200, { 'content-length': model.length });
      response.write(model.subarray(0, 50_000));
      setTimeout(() => response.destroy(), 20);
      return true;
    };
    await pull({ reference: `${server.url}/plain.gguf` });
    expect(answers).toBe(3);
    await expectGood('plain');
  });

  it('without validator and hash, parts are never put together', async () => {
    server.files.set('/plain.gguf', model);
    server.etags.set('/plain.gguf', '');
    await pull({ reference: `${server.url}/plain.gguf` });
    expect(server.asked.filter(({ range }) => range !== 'bytes=0-0').map(({ range }) => range)).toEqual([`bytes=0-${model.length - 1}`]);
    await expectGood('plain');
  });

  it('what is no GGUF is no model', async () => {
    server.files.set('/page.gguf', Buffer.from('<html>please log in</html>'));
    await expect(pull({ reference: `${server.url}/page.gguf` })).rejects.toMatchObject({ code: 'E_MODEL_FORMAT' });
    await expectNothing(false);
  });

  it('plain HTTP to another machine, mirrors without a hash, and wrong hashes are refused', async () => {
    await expect(pull({ reference: 'http://models.example/a.gguf' })).rejects.toMatchObject({ code: 'E_CONFIG', hint: expect.stringContaining('https') });
    await expect(pull({ reference: `${server.url}/plain.gguf`, mirrors: [`${server.url}/other.gguf`] })).rejects.toMatchObject({ code: 'E_USAGE' });
    server.files.set('/plain.gguf', model);
    await expect(pull({ reference: `${server.url}/plain.gguf`, sha256: 'b'.repeat(64) })).rejects.toMatchObject({ code: 'E_MODEL_SOURCE' });
    await expectNothing(false);
  });

  it('a name that belongs to another model is not taken without being asked to', async () => {
    server.files.set('/plain.gguf', model);
    await pull({ reference: `${server.url}/plain.gguf` });
    server.files.set('/plain.gguf', fakeGguf({}, [], 4_000));
    await expect(pull({ reference: `${server.url}/plain.gguf` })).rejects.toMatchObject({ code: 'E_STATE', hint: expect.stringContaining('--replace') });
    expect((await openRegistry(home).find('plain'))?.files[0]?.size).toBe(model.length);
    const { entry } = await pull({ reference: `${server.url}/plain.gguf`, replace: true });
    expect(entry.files[0]?.size).not.toBe(model.length);
    expect((await readdir(join(home, 'models', 'content'))).length).toBe(1);
  });
});
