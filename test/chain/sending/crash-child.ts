// Child process of crash.test.ts: sends one payment and kills itself (SIGKILL) right after the named step.
import { writeSync } from 'node:fs';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import { lastAttempt, statusOf } from '../../../src/chain/sending/record.ts';
import { createSender } from '../../../src/chain/sending/sender.ts';
import { intent, signer, WAITS, wallet } from './fixture.ts';

const [, , folder = '', url = '', key = '', killAt = ''] = process.argv;

const access = createTonAccess({ endpoints: [{ url }] });
const sender = createSender({
  access, wallet, signer, folder, ...WAITS,
  onStep: (step) => {
    writeSync(1, `step ${step}\n`);
    if (step === killAt) process.kill(process.pid, 'SIGKILL');
  },
});
const record = await sender.send(intent(key));
writeSync(1, `result ${statusOf(record)} seqno ${lastAttempt(record).seqno}\n`);
await access.close();
