// Compiled code of our contracts, from contracts/build/NAME.json in the package; read when asked for, never at import.
// Refuses a file whose code does not have the hash that it names.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Cell } from '@ton/core';
import { z } from 'zod';
import { CocoonError } from '../core/errors.ts';
import { parseBoc } from './cells/boc.ts';

export const CONTRACTS = ['root', 'proxy', 'client', 'worker', 'wallet', 'bond'] as const;
export type ContractName = (typeof CONTRACTS)[number];

const compiled = z.object({ name: z.string(), codeHash: z.string().regex(/^[0-9a-f]{64}$/), code: z.base64() });

/** src/chain and dist/chain lie equally deep in the package. */
const BUILD_FOLDER = new URL('../../contracts/build/', import.meta.url);

/** Code cell of one contract. Throws E_INTERNAL where the package is incomplete or damaged. */
export function contractCode(name: ContractName, folder: URL = BUILD_FOLDER): Cell {
  const file = fileURLToPath(new URL(`${name}.json`, folder));
  try {
    const { codeHash, code, name: inside } = compiled.parse(JSON.parse(readFileSync(file, 'utf8')));
    const cell = parseBoc(Buffer.from(code, 'base64'), `code of ${name}`);
    if (inside !== name) throw new Error(`file is for ${inside}, expected ${name}`);
    if (cell.hash().toString('hex') !== codeHash) throw new Error(`code has hash ${cell.hash().toString('hex')}, expected ${codeHash}`);
    return cell;
  } catch (thrown) {
    throw new CocoonError('E_INTERNAL', `compiled code of the ${name} contract cannot be used: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
      cause: thrown, hint: 'install cocoon again: its package is incomplete',
    });
  }
}
