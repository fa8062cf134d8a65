// Opcodes and exit codes: against vectors/onchain/env.json, the contracts' own constants and every code in the vectors.
import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { EXIT, explainActionResult, explainExitCode, OP, opName } from '../../src/chain/opcodes.ts';
import { vector } from './vectors.ts';

const constants = readFileSync(new URL('../../contracts/common/consts.tolk', import.meta.url), 'utf8');
const consts = (prefix: string): [string, number][] =>
  [...constants.matchAll(new RegExp(`^const (${prefix}\\w+) = (0x[0-9a-f]+|\\d+)`, 'gm'))].map(([, name, value]) => [name!, Number(value)]);
const unknown = 'has no meaning';

describe('OP', () => {
  const { opcodes } = vector<{ opcodes: Record<string, string> }>('onchain/env.json');
  it.each(Object.entries(opcodes))('OP: knows %s', (_, op) => expect(opName(Number(op))).toBeDefined());

  it.each(consts('OP_'))('OP: knows the contracts\' %s', (_, op) => expect(opName(op)).toBeDefined());

  it('OP: names no number that neither vectors nor contracts nor the specification have', () => {
    const known = new Set([...Object.values(opcodes).map(Number), ...consts('OP_').map(([, op]) => op), ...consts('RICH_').map(([, op]) => op), 0,
      0x9e0e1821, 0x6e5a646a, 0xb01c0fe9]);
    expect(Object.entries(OP).filter(([, op]) => !known.has(op))).toEqual([]);
  });
});

describe('explainExitCode', () => {
  it.each(consts('ERR_'))('explainExitCode: explains the contracts\' %s', (_, code) => {
    expect(explainExitCode(code)).not.toContain(unknown);
    expect(Object.values(EXIT)).toContain(code);
  });

  it('EXIT: has no code that the contracts do not have', () => {
    const codes = consts('ERR_').map(([, code]) => code);
    expect(Object.values(EXIT).filter((code) => !codes.includes(code))).toEqual([]);
  });

  it('explainExitCode: explains every exit code and action result of the vectors', () => {
    const found = { exit_code: new Set<number>(), result_code: new Set<number>() };
    for (const name of ['root', 'proxy', 'client', 'worker', 'wallet']) {
      const text = JSON.stringify(vector(`onchain/unit_${name}.json`));
      for (const [, key, code] of text.matchAll(/"(exit_code|result_code)":(-?\d+)/g)) found[key as keyof typeof found].add(Number(code));
    }
    expect(found.exit_code.size).toBeGreaterThan(15);
    expect([...found.exit_code].filter((code) => explainExitCode(code).includes(unknown))).toEqual([]);
    expect([...found.result_code].filter((code) => explainActionResult(code).includes(unknown))).toEqual([]);
  });

  it('explainExitCode, explainActionResult: name a code that they do not know', () => {
    expect(explainExitCode(4242)).toBe('exit code 4242, which has no meaning in these contracts');
    expect(explainActionResult(99)).toContain('99');
  });
});
