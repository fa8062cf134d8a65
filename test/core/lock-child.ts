// Child process of lock.test.ts: takes the lock, tells so on stdout, and works or hangs until it is killed.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { withLock } from '../../src/core/lock.ts';

const [, , mode, path = '', rounds = '0'] = process.argv;

if (mode === 'hold') {
  await withLock(path, async () => {
    process.stdout.write('held\n');
    await new Promise((resolve) => { setTimeout(resolve, 60_000); });
  }, { timeoutMs: 5000 });
} else {
  for (let i = 0; i < Number(rounds); i += 1) {
    await withLock(path, async () => {
      // Not atomic on purpose: without mutual exclusion additions are lost.
      const before = Number(readFileSync(path, 'utf8'));
      await new Promise((resolve) => { setTimeout(resolve, 1); });
      writeFileSync(path, String(before + 1));
      appendFileSync(`${path}.order`, `${process.pid}\n`);
    }, { timeoutMs: 20_000 });
  }
}
