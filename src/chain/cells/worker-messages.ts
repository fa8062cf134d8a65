// Messages to the worker contract (ONCHAIN.md section 10.2; the signed ones are in signed.ts) and the two replies that
// contracts send to people (section 2.3).
import { OP } from '../opcodes.ts';
import { excess, message } from './message.ts';

// register#26ed7f65 query_id:uint64 send_excesses_to:MsgAddress = Body;
export const registerWorker = message('register worker', OP.workerRegister, excess);

// payout#c59a7cd3 query_id:uint64 = Body;
export const payoutReply = message('payout', OP.payout, {});

// excesses#2565934c query_id:uint64 = Body;
export const excessesReply = message('excesses', OP.excesses, {});
