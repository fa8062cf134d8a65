// Books, commits and signs without end on the ledger named in argv, and says what was acknowledged, one line each, until it is
// killed. Lines: `b CLIENT WORKER TOKENS` (totals acknowledged, per account), `c SEQNO`, `s ACCOUNT TOKENS HASH`.
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { openLedger } from '../../../src/proxy/ledger/open-ledger.ts';
import { IDENTITY, pairOf, payment } from './fixture.ts';

const say = (line: string): void => void writeSync(1, `${line}\n`);
const ledger = await openLedger(process.argv[2] ?? '', IDENTITY);
const pairs = await Promise.all([0, 1, 2, 3, 4].map((n) => pairOf(ledger, n)));
say('open');

async function bookOn(n: number): Promise<void> {
  for (let turn = 0; ; turn += 1) {
    const client = pairs[n]?.client ?? pairs[0] as never;
    const worker = pairs[(n + turn) % pairs.length]?.worker ?? pairs[0] as never;
    await ledger.book({ client, worker, tokens: 1n + BigInt(turn % 7) });
    say(`b ${client.contract.toRawString()} ${client.dbTokens}`);
    say(`b ${worker.contract.toRawString()} ${worker.dbTokens}`);
  }
}

async function commitOn(): Promise<void> {
  for (;;) {
    const commitment = await ledger.beginCommitment();
    say(`c ${commitment.seqno}`);
    await ledger.endCommitment(commitment, commitment.seqno % 3 === 0 ? 'abandoned' : 'confirmed');
    const due = pairs.map(({ worker }) => worker).filter(({ chainTokens, payment: before }) => chainTokens > (before?.tokens ?? 0n));
    await ledger.sign(due.map((account) => ({ account, payment: payment(account, account.chainTokens) })));
    for (const { contract, payment: signed } of due) if (signed !== null) say(`s ${contract.toRawString()} ${signed.tokens} ${createHash('sha256').update(signed.boc).digest('hex')}`);
  }
}

await Promise.all([...pairs.map((_, n) => bookOn(n)), commitOn()]);
