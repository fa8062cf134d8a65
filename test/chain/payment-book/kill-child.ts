// Child process of payment-book.test.ts: opens an entry, counts, records, and kills itself (SIGKILL) right after a step of a write.
import { writeSync } from 'node:fs';
import { openPaymentBook } from '../../../src/chain/payment-book.ts';
import { ENTRY, pay } from './fixture.ts';

const [, , folder = '', killAt = '', nth = '1'] = process.argv;
let seen = 0;
const book = await openPaymentBook(folder, {
  onStep: (step) => {
    if (step !== killAt) return;
    seen += 1;
    if (seen === Number(nth)) process.kill(process.pid, 'SIGKILL');
  },
});
await book.open(ENTRY);
writeSync(1, 'opened\n');
await book.counted(ENTRY.contract, { tokens: 500n });
writeSync(1, 'counted\n');
await book.record(ENTRY.contract, pay(400n));
writeSync(1, 'recorded\n');
