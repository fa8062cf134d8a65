// The golden vectors of ONCHAIN.md: 335 single messages, 7 flows, and the get methods on the example storages.
import { describe, expect, it } from '@jest/globals';
import { Address, Cell } from '@ton/core';
import { crc16 } from './rules-bond.ts';
import { builtCodes, person } from './network.ts';
import { checkUnit, FLOWS, hardened, KINDS, readVectors, replayFlow, replayUnit, unitCases } from './vectors.ts';
import type { Kind } from './vectors.ts';
import { World } from './world.ts';

const codes = builtCodes();

describe.each(KINDS)('%s vectors', (kind) => {
  for (const c of unitCases(kind)) {
    const changed = hardened.unit[c.id];
    const what = changed !== undefined ? `${changed.rule}, ${changed.note}` : hardened.pool.cases.includes(c.id) ? 'as the vector, and the pool is stored (H9)' : 'as the vector';
    it(`${c.id}: ${what}`, async () => {
      expect(await checkUnit(kind, c, codes[kind])).toEqual([]);
      // a listed case that behaves as the vector says does not belong into the list
      if (changed !== undefined) expect(await replayUnit(kind, c, codes[kind])).not.toEqual([]);
    });
  }
});

describe('list of hardened cases', () => {
  it('hardened-cases.json: names only cases that exist', () => {
    const ids = new Set(KINDS.flatMap((kind) => unitCases(kind)).map((c) => c.id));
    expect(ids.size).toBe(335);
    expect([...Object.keys(hardened.unit), ...hardened.pool.cases].filter((id) => !ids.has(id))).toEqual([]);
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
