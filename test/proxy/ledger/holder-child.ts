// Opens the ledger named in argv, books three tokens, says so, and holds it until it is killed.
import { openLedger } from '../../../src/proxy/ledger/open-ledger.ts';
import { IDENTITY, pairOf } from './fixture.ts';

const ledger = await openLedger(process.argv[2] ?? '', IDENTITY);
const { client, worker } = await pairOf(ledger);
await ledger.book({ client, worker, tokens: 3n });
process.stdout.write('held\n');
setInterval(() => undefined, 60_000);
