// The registry of networks: what is built in, what may be added, and what a damaged file does.
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address } from '@ton/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endpointConfigs, Networks } from '../../src/chain/networks.ts';
import type { LocalChainFacts } from '../../src/chain/networks.ts';

const ROOT = new Address(0, Buffer.alloc(32, 7));
const URL_A = 'https://a.example.com/api/v2/jsonRPC';
const URL_B = 'https://b.example.com/api/v2/jsonRPC';
const at = (url: string, apiKeyFile: string | null = null) => ({ url, apiKeyFile });

let folder = '';
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-networks-')); });
afterAll(async () => { await rm(folder, { recursive: true }); });

let count = 0;
function registry(local: LocalChainFacts | null = null): { networks: Networks; file: string } {
  const file = join(folder, `${count += 1}`, 'networks.json');
  return { file, networks: new Networks({ file, local: async () => local }) };
}

describe('Networks', () => {
  it('list: mainnet with its published root, testnet without one, local only where there is a chain', async () => {
    const [mainnet, testnet, ...others] = await registry().networks.list();
    expect(mainnet).toMatchObject({ name: 'mainnet', globalId: -239, testOnly: false, kind: 'built-in' });
    expect(mainnet?.root?.toString()).toBe('EQCns7bYSp0igFvS1wpb5wsZjCKCV19MD5AVzI4EyxsnU73k');
    expect(testnet).toMatchObject({ name: 'testnet', globalId: -3, testOnly: true, root: null });
    expect(others).toEqual([]);
    const { networks } = registry({ globalId: -70_000, root: ROOT, endpoint: 'http://127.0.0.1:1234/' });
    expect((await networks.list())[0]).toMatchObject({ name: 'local', kind: 'local', globalId: -70_000, endpoints: [{ url: 'http://127.0.0.1:1234/' }] });
  });

  it('get: local without a chain and unknown names are told apart', async () => {
    const { networks } = registry();
    await expect(networks.get('local')).rejects.toMatchObject({ code: 'E_CONFIG', hint: expect.stringContaining('localnet start') });
    await expect(networks.get('nowhere')).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    await expect(networks.get('__proto__')).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    await expect(registry({ globalId: -70_000, root: null, endpoint: null }).networks.get('local')).resolves.toMatchObject({ endpoints: [] });
  });

  it('add: is durable, private, exclusive, and replaced only when asked', async () => {
    const { networks, file } = registry();
    await networks.add({ name: 'mine', globalId: -3, root: ROOT, endpoints: [at(URL_A), at(URL_B)] }, { replace: false });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = new Networks({ file, local: async () => null });
    expect(await again.get('mine')).toMatchObject({ name: 'mine', kind: 'added', globalId: -3, testOnly: true, endpoints: [{ url: URL_A }, { url: URL_B }] });
    await expect(again.add({ name: 'mine', globalId: -239, root: null, endpoints: [at(URL_A)] }, { replace: false })).rejects.toMatchObject({ code: 'E_STATE' });
    expect(await again.add({ name: 'mine', globalId: -239, root: null, endpoints: [at(URL_A)] }, { replace: true })).toMatchObject({ globalId: -239, root: null, testOnly: false });
  });

  it('add: at the same time, neither is lost', async () => {
    const { networks } = registry();
    await Promise.all(['a', 'b', 'c', 'd'].map((name) => networks.add({ name, globalId: -239, root: null, endpoints: [at(URL_A)] }, { replace: false })));
    expect((await networks.list()).map(({ name }) => name)).toEqual(['mainnet', 'testnet', 'a', 'b', 'c', 'd']);
  });

  it.each([
    ['a name in capitals', { name: 'Mine' }, 'E_USAGE'], ['an empty name', { name: '' }, 'E_USAGE'], ['a name that is too long', { name: 'a'.repeat(33) }, 'E_USAGE'],
    ['local', { name: 'local' }, 'E_USAGE'], ['mainnet with another root', { name: 'mainnet', root: ROOT }, 'E_USAGE'], ['testnet with a root', { name: 'testnet', globalId: -3, root: ROOT }, 'E_USAGE'],
    ['mainnet with another global id', { name: 'mainnet', globalId: -3 }, 'E_USAGE'],
    ['no endpoint', { endpoints: [] }, 'E_USAGE'], ['nine endpoints', { endpoints: Array.from({ length: 9 }, (_, n) => at(`https://${n}.example.com/`)) }, 'E_USAGE'],
    ['the same endpoint twice', { endpoints: [at('https://a.example.com'), at('https://a.example.com/')] }, 'E_USAGE'],
    ['plain HTTP', { endpoints: [at('http://a.example.com/')] }, 'E_CONFIG'], ['no URL', { endpoints: [at('a.example.com')] }, 'E_CONFIG'],
  ])('add: refuses %s', async (_what, change, code) => {
    const { networks, file } = registry();
    await expect(networks.add({ name: 'mine', globalId: -239, root: null, endpoints: [at(URL_A)], ...change }, { replace: false })).rejects.toMatchObject({ code });
    await expect(readFile(file)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('add: a built-in network keeps its root and its chain, and gets other endpoints', async () => {
    const { networks } = registry();
    const mainnet = await networks.add({ name: 'mainnet', globalId: -239, root: null, endpoints: [at(URL_A)] }, { replace: false });
    expect(mainnet.root?.toString()).toBe('EQCns7bYSp0igFvS1wpb5wsZjCKCV19MD5AVzI4EyxsnU73k');
    expect(mainnet.endpoints).toEqual([at(URL_A)]);
  });

  it('recordRoot: only for added networks', async () => {
    const { networks } = registry();
    await networks.add({ name: 'mine', globalId: -3, root: null, endpoints: [at(URL_A)] }, { replace: false });
    expect((await networks.recordRoot('mine', ROOT)).root?.equals(ROOT)).toBe(true);
    expect((await networks.get('mine')).root?.equals(ROOT)).toBe(true);
    await expect(networks.recordRoot('testnet', ROOT)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it.each([['not JSON', '{'], ['another version', '{"version":2,"networks":{}}'], ['an unknown field', '{"version":1,"networks":{},"more":1}'],
    ['a network without endpoints', '{"version":1,"networks":{"a":{"globalId":-3,"root":null,"endpoints":[]}}}']])('list: refuses a file that is %s', async (_what, text) => {
    const file = join(folder, `broken-${count += 1}.json`);
    await writeFile(file, text);
    await expect(new Networks({ file, local: async () => null }).list()).rejects.toMatchObject({ code: 'E_CONFIG' });
  });
});

describe('endpointConfigs', () => {
  it('reads each key from its own file, refuses files that others may read and keys that are none', async () => {
    const [good, open, long] = ['good', 'open', 'long'].map((name) => join(folder, name)) as [string, string, string];
    await writeFile(good, 'key-1234\n', { mode: 0o600 });
    await writeFile(open, 'key-1234\n');
    await chmod(open, 0o644);
    await writeFile(long, 'two words\n', { mode: 0o600 });
    expect(await endpointConfigs([at(URL_A, good), at(URL_B)])).toEqual([{ url: URL_A, apiKey: 'key-1234' }, { url: URL_B }]);
    await expect(endpointConfigs([at(URL_A, open)])).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(endpointConfigs([at(URL_A, long)])).rejects.toMatchObject({ code: 'E_CONFIG' });
    await expect(endpointConfigs([at(URL_A, join(folder, 'absent'))])).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });
});
