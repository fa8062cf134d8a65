// The compiled contracts in the repository are what the sources give.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

describe('compile-contracts', () => {
  it('--check: committed code is what the sources compile to', () => {
    const script = fileURLToPath(new URL('../../scripts/compile-contracts.mjs', import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});
