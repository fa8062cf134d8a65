// Recorded machines and the whole verdict beside each. `UPDATE_GOLDEN=1` writes what is said now; read the difference.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { diagnose } from '../../../src/node/doctor/diagnose.ts';
import { renderDiagnosis } from '../../../src/node/doctor/render.ts';
import { recordedMachine } from '../../fakes/recorded-machine.ts';

const folder = fileURLToPath(new URL('../../fixtures/machines', import.meta.url));
const names = (await readdir(folder)).sort();

describe('diagnose: recorded machines', () => {
  it('there is one of each kind', () => {
    expect(names).toEqual(['consumer-gpu', 'container', 'h100-cc-off', 'h100-old-vbios', 'snp-guest', 'snp-host', 'tdx-guest', 'tdx-host']);
  });

  it.each(names)('%s: says what its verdict file says', async (name) => {
    const diagnosis = await diagnose(await recordedMachine(join(folder, name)));
    const text = renderDiagnosis(diagnosis);
    const file = join(folder, name, 'verdict.txt');
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, text);
    expect(text).toBe(await readFile(file, 'utf8'));
    // Every failure says what was seen, what mends it, and either why or what was wanted.
    for (const { status, seen, fix = [], cause, wanted } of diagnosis.findings) {
      if (status === 'FAIL') expect({ seen, fixes: fix.length > 0, reason: cause ?? wanted ?? seen }).toEqual({ seen: expect.stringMatching(/./), fixes: true, reason: expect.stringMatching(/./) });
    }
  });
});
