// Completion scripts: what they print, and that the shells they are for can read them. A shell that is not here is skipped.
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { main } from '../../src/main.ts';
import { COMMANDS } from '../../src/commands/table.ts';
import { fakeContext } from '../fakes/context.ts';

async function script(shell: string): Promise<string> {
  const run = fakeContext({ home: '/nonexistent' });
  expect(await main(['completion', shell], run.context)).toBe(0);
  return run.stdout();
}

/** `shell -n` reads a script and runs nothing of it. */
const hasShell = (shell: string): boolean => spawnSync(shell, ['-c', 'exit 0']).status === 0;

// One after the other: the test runner's modules do not stand being loaded at the same time.
beforeAll(async () => { for (const { load } of COMMANDS) await load(); });

describe('cocoon completion', () => {
  describe.each(['bash', 'zsh', 'fish'])('%s', (shell) => {
    (hasShell(shell) ? it : it.skip)(`its syntax is right${hasShell(shell) ? '' : ` (skipped: no ${shell} here)`}`, async () => {
      const { status, stderr } = spawnSync(shell, ['-n'], { input: await script(shell), encoding: 'utf8' });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    });

    it('names every command', async () => {
      const text = await script(shell);
      for (const { path, hidden } of COMMANDS) {
        if (hidden === true) expect(text).not.toContain(path.split(' ').at(-1));
        else for (const word of path.split(' ')) expect(text).toContain(word);
      }
    });
  });

  (hasShell('bash') ? it : it.skip)('bash: completes commands, their second words and their flags', async () => {
    const complete = (...words: string[]): string[] => {
      const { stdout } = spawnSync('bash', ['-c', `eval "$(cat)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cocoon; printf '%s\\n' "\${COMPREPLY[@]}"`, 'bash', 'cocoon', ...words], { input: bash, encoding: 'utf8' });
      return stdout.trim().split('\n').filter((word) => word !== '');
    };
    const bash = await script('bash');
    expect(complete('inf')).toEqual(['infer']);
    expect(complete('localnet', 'sto')).toEqual(['stop']);
    expect(complete('localnet', 'start', '--det')).toEqual(['--detach']);
    expect(complete('infer', '--max').sort()).toEqual(['--max-price', '--max-spend', '--max-tokens']);
  });

  it('another shell is a usage error', async () => {
    const run = fakeContext({ home: '/nonexistent' });
    expect(await main(['completion', 'tcsh'], run.context)).toBe(2);
    expect(run.stderr()).toMatch(/cannot complete for "tcsh": expected bash, zsh or fish/);
  });
});
