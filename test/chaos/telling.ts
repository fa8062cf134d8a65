// Writes down what a proxy says of one contract: totals when they change, each payment once.
import type { PaymentStatus } from '../../src/wire/peer-info.ts';
import type { Truth } from './messages.ts';

export function tellingOf(write: (line: Truth) => void): (contract: string, status: PaymentStatus, poll: boolean) => void {
  let last = '';
  let lastPayment = '';
  return (contract, { signedPayment, dbTokens, maxTokens }, poll) => {
    const now = `${contract} ${dbTokens} ${maxTokens}`;
    if (now !== last) write({ t: 'told', contract, db: String(dbTokens), max: String(maxTokens), poll, at: Date.now() });
    last = now;
    const boc = signedPayment === null ? '' : Buffer.from(signedPayment).toString('base64');
    if (boc !== '' && boc !== lastPayment) write({ t: 'pay', contract, boc });
    lastPayment = boc;
  };
}
