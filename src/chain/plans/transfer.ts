// A plain transfer. Refuses a bounceable address at which no contract is: the TON would come back less fees.
import { NotFoundError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import { transferOf } from '../wallets/transfer.ts';
import type { ParsedAddress } from '../wallets/address-text.ts';
import { loadMessageRelaxed } from '@ton/core';
import type { Plan } from './plan.ts';
import type { PlanContext } from './reading.ts';

export interface TransferWish {
  readonly to: ParsedAddress;
  readonly valueNano: bigint | 'all';
  readonly comment?: string | undefined;
}

export async function transferPlan({ access, signal, wallet }: PlanContext, { to, valueNano, comment }: TransferWish): Promise<Plan> {
  const { status } = await access.account(to.address, { agreed: true, signal });
  if (to.bounceable === true && status === 'uninitialized') {
    throw new NotFoundError('E_NOT_FOUND', `no contract is deployed at ${to.address.toString()}, and the address is written as a contract's`, {
      hint: `check it; a new wallet's address is written ${to.address.toString({ bounceable: false })}`,
    });
  }
  const bounce = to.bounceable ?? status === 'active';
  const { message } = transferOf({ to: to.address, valueNano, bounce, ...(comment === undefined ? {} : { body: comment }) });
  const { info, body } = loadMessageRelaxed(message.beginParse());
  const amount = valueNano === 'all' ? 'everything' : `${formatTon(valueNano)} TON`;
  return {
    name: `send ${to.address.toRawString()} ${valueNano} ${bounce} ${comment ?? ''}`,
    warnings: [
      ...(to.address.equals(wallet) ? ['the transfer goes to the wallet that sends it'] : []),
      ...(status === 'frozen' ? ['the account is frozen: it owes storage fees'] : []),
      ...(valueNano === 'all' ? ['the wallet sends everything that it holds'] : []),
    ],
    facts: {},
    steps: [{
      purpose: `transfer of ${amount}${comment === undefined ? '' : `, comment ${JSON.stringify(comment)}`}`,
      send: (via) => via.send({
        to: to.address, value: info.type === 'internal' ? info.value.coins : 0n, bounce, body,
        sendMode: valueNano === 'all' ? 128 : 1,
      }),
    }],
  };
}
