// Child process of hot-wallet.test.ts: sends two intents and kills itself (SIGKILL) right after the named step.
import { writeSync } from 'node:fs';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import { openHotWallet } from '../../../src/chain/hot-wallet.ts';
import { pay, signer, WAITS, wallet } from './fixture.ts';

const [, , folder = '', url = '', killAt = ''] = process.argv;
const access = createTonAccess({ endpoints: [{ url }] });
const hot = openHotWallet({
  access, wallet, signer, folder, ...WAITS,
  onStep: (step) => {
    writeSync(1, `step ${step}\n`);
    if (step === killAt) process.kill(process.pid, 'SIGKILL');
  },
});
await Promise.all([hot.send('a', [pay(1)]), hot.send('b', [pay(2), pay(3)])]);
writeSync(1, 'done\n');
await hot.close();
await access.close();
