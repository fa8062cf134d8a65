// Compiled code of the package.
import { afterAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { contractCode, CONTRACTS } from '../../src/chain/code.ts';

const folder = mkdtempSync(join(tmpdir(), 'cocoon-code-'));
afterAll(() => rmSync(folder, { recursive: true }));
const url = pathToFileURL(`${folder}/`);
const built = (name: string): Record<string, string> => JSON.parse(readFileSync(new URL(`../../contracts/build/${name}.json`, import.meta.url), 'utf8')) as Record<string, string>;
const damaged = expect.objectContaining({ code: 'E_INTERNAL', hint: expect.stringContaining('install') });

describe('contractCode', () => {
  it.each(CONTRACTS)('contractCode: %s has the hash that its file names', (name) => {
    expect(contractCode(name).hash().toString('hex')).toBe(built(name)['codeHash']);
  });

  it.each<[string, (file: Record<string, string>) => string]>([
    ['another hash', (file) => JSON.stringify({ ...file, codeHash: '00'.repeat(32) })],
    ['another contract\'s name', (file) => JSON.stringify({ ...file, name: 'proxy' })],
    ['code that is no bag of cells', (file) => JSON.stringify({ ...file, code: 'AAAA' })],
    ['no code', (file) => JSON.stringify({ name: file['name'] })],
    ['half a file', (file) => JSON.stringify(file).slice(0, 100)],
  ])('contractCode: refuses a file with %s', (_, change) => {
    writeFileSync(join(folder, 'root.json'), JSON.stringify(built('root')));
    expect(contractCode('root', url).hash()).toEqual(contractCode('root').hash());
    writeFileSync(join(folder, 'root.json'), change(built('root')));
    expect(() => contractCode('root', url)).toThrow(damaged);
  });

  it('contractCode: refuses a missing file', () => expect(() => contractCode('bond', url)).toThrow(damaged));
});
