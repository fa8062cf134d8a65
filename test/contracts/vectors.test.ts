// The golden vectors of ONCHAIN.md: 335 single messages, 7 flows, and the get methods on the example storages.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Address, Cell } from '@ton/core';
import { crc16 } from './rules-bond.ts';
import { builtCodes, person } from './network.ts';
import type { Outcome } from './vectors.ts';
import { FLOWS, KINDS, poolAfter, readVectors, replayFlow, replayUnit, unitCases, unitOutcome } from './vectors.ts';
import type { Kind } from './vectors.ts';
import { World } from './world.ts';

const codes = builtCodes();
const hardened = JSON.parse(readFileSync(new URL('hardened-cases.json', import.meta.url), 'utf8')) as {
  unit: Record<string, { rule: string; note: string; expected: Partial<Outcome> }>;
  pool: { cases: string[] };
  flows: Record<string, string>;
};
const changed = hardened.unit;
const pool = new Set(hardened.pool.cases);

describe.each(KINDS)('%s vectors', (kind) => {
  for (const c of unitCases(kind)) {
    const rule = changed[c.id];
    if (rule !== undefined) {
      it(`${c.id}: ${rule.rule}, ${rule.note}`, async () => {
        expect(JSON.parse(JSON.stringify(await unitOutcome(c, codes[kind])))).toEqual(rule.expected);
        expect(await replayUnit(kind, c, codes[kind])).not.toEqual([]);
      });
    } else if (pool.has(c.id)) {
      it(`${c.id}: as the vector, and the pool is stored (H9)`, async () => {
        expect(await replayUnit(kind, c, codes[kind])).toEqual(['storage is with a pool field (H9), expected without']);
        const { stored, expected } = await poolAfter(c, codes[kind]);
        expect(stored).toBe(expected);
      });
    } else {
      it(`${c.id}: as the vector`, async () => {
        expect(await replayUnit(kind, c, codes[kind])).toEqual([]);
      });
    }
  }
});

describe('list of hardened cases', () => {
  it('hardened-cases.json: names only cases that exist', () => {
    const ids = new Set(KINDS.flatMap((kind) => unitCases(kind)).map((c) => c.id));
    expect(ids.size).toBe(335);
    expect([...Object.keys(changed), ...pool].filter((id) => !ids.has(id))).toEqual([]);
  });
});

describe('flows', () => {
  it.each(FLOWS)('%s: differs in the listed steps only', async (name) => {
    const differences = await replayFlow(name, codes);
    const listed = Object.keys(hardened.flows).filter((id) => id.startsWith(`flow_${name}/`)).map((id) => id.slice(`flow_${name}/`.length));
    expect([...differences.keys()]).toEqual(listed);
  });
});

interface StorageVector {
  contract: Kind;
  label: string;
  data_boc: string;
  get: Record<string, { exit_code: number; stack: (string | { slice: string })[] }>;
}

/** Hash argument of a `..._is_valid(known|unknown)` vector: one from the first set with that name, or one that is in none. */
function hashArgument(vector: StorageVector, name: string): bigint {
  const fields = (vector as unknown as { fields: Record<string, string[]> }).fields;
  const set = name.startsWith('proxy') ? fields['ph'] : name.startsWith('worker') ? fields['wh'] : fields['mh'];
  return name.endsWith('(known)') ? BigInt(`0x${set?.[0] ?? '0'}`) : 12345n;
}

describe('get methods', () => {
  for (const vector of readVectors<{ storages: StorageVector[] }>('storage.json').storages) {
    for (const [name, wanted] of Object.entries(vector.get)) {
      it(`${vector.contract} ${vector.label}: ${name}`, async () => {
        const world = await World.create();
        const address = person('getter');
        world.install(address, codes[vector.contract], Cell.fromHex(vector.data_boc), 10n ** 9n);
        const method = name.replace(/\(.*/, '');
        const stack = name.includes('(') ? [{ type: 'int' as const, value: hashArgument(vector, name) }] : [];
        const result = await world.get(address, 0x10000 | crc16(method), stack);
        expect(result.exit).toBe(wanted.exit_code);
        if (wanted.exit_code !== 0) return;
        const got = result.stack.map((item) => {
          if (item.type === 'int') return item.value.toString();
          return item.type === 'slice' ? { slice: item.cell.beginParse().loadAddress().toRawString() } : item.type;
        });
        expect(got).toEqual(wanted.stack.map((item) => (typeof item === 'string' ? item : { slice: Address.parseRaw(item.slice).toRawString() })));
      });
    }
  }
});
