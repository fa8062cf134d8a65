// What `localnet faucet`, `localnet advance` and tests ask of a local chain besides the public API: paths, bodies, answers.
import { Address } from '@ton/core';
import { z } from 'zod';
import { FEE_ERAS } from './config.ts';
import { Fault } from './faults.ts';

export const ADMIN_PATHS = {
  status: '/admin/status', faucet: '/admin/faucet', advance: '/admin/advance', tick: '/admin/tick', faults: '/admin/faults',
} as const;

const decimal = z.string().regex(/^\d{1,20}$/);
const rawAddress = z.string().max(128).refine((text) => Address.isFriendly(text) || /^-?\d+:[0-9a-fA-F]{64}$/.test(text), 'not a TON address');

export const FaucetBody = z.strictObject({ to: rawAddress, amountNano: decimal, key: z.string().min(1).max(128).optional() });
export const AdvanceBody = z.strictObject({ seconds: z.int().min(1) });
export const FaultBody = Fault;

export const Block = z.object({ seqno: z.int(), time: z.int() });
export const FaucetResult = z.object({
  /** The faucet's transaction. */
  lt: decimal, hash: z.string().regex(/^[0-9a-f]{64}$/), seqno: z.int(),
});
export const Status = z.object({
  globalId: z.int(), era: z.enum(FEE_ERAS), faucet: z.string(), seqno: z.int(), time: z.int(), offsetS: z.int(), transactions: z.int(), waiting: z.int(), diskBytes: z.int(),
});
export const FaultList = z.array(Fault);

export type ChainBlock = z.infer<typeof Block>;
export type ChainStatus = z.infer<typeof Status>;
export type FaucetReceipt = z.infer<typeof FaucetResult>;
