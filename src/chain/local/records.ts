// What a local chain writes down, as schemas: the journal's records and the head file. Amounts and logical times are decimal
// strings, bytes base64, accounts raw addresses.
import { z } from 'zod';
import { ConfigError } from '../../core/errors.ts';
import { FEE_ERAS } from './config.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const raw = z.string().regex(/^(0|-1):[0-9a-f]{64}$/);
const base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/);
const decimal = z.string().regex(/^\d{1,20}$/);
const uint32 = z.int().min(0).max(0xffff_ffff);
const seqno = z.int().min(0);

/** The first record: what makes this chain this chain. */
const Genesis = z.strictObject({
  type: z.literal('genesis'),
  version: z.literal(1),
  chainId: hash,
  globalId: z.int().min(-(2 ** 31)).max(2 ** 31 - 1),
  era: z.enum(FEE_ERAS),
  time: uint32,
  faucet: raw,
  accounts: z.record(raw, base64),
});

/** An external message that was acknowledged and waits for its block. */
const Accept = z.strictObject({
  type: z.literal('accept'),
  /** Hash of the message cell. */
  hash,
  boc: base64,
  /** The first block that may hold it. */
  notBefore: seqno,
  /** A message that the faucet itself made, and for whom. */
  faucet: z.strictObject({ key: z.string().min(1).max(128), to: raw, amountNano: decimal }).optional(),
});

const BlockTransaction = z.strictObject({
  account: raw,
  lt: decimal,
  hash,
  boc: base64,
  /** Hash of the cell of the message that it executed. */
  message: hash,
  /** Logical time of that message when it is an internal one. */
  messageLt: decimal.nullable(),
});

/** A block with at least one transaction or one message that it dropped. */
const Block = z.strictObject({
  type: z.literal('block'),
  seqno,
  time: uint32,
  transactions: z.array(BlockTransaction),
  /** New states of the accounts that changed. */
  accounts: z.record(raw, base64),
  /** Hashes of accepted messages that are in this block, or that their contract no longer accepted. */
  settled: z.array(hash),
  /** Internal messages left for the next block, in order. */
  pending: z.array(base64),
});

/** Chain time runs this much ahead of the clock from now on. */
const Advance = z.strictObject({ type: z.literal('advance'), offsetS: uint32 });

const JournalRecord = z.discriminatedUnion('type', [Genesis, Accept, Block, Advance]);
export type GenesisRecord = z.infer<typeof Genesis>;
export type AcceptRecord = z.infer<typeof Accept>;
export type BlockRecord = z.infer<typeof Block>;
export type JournalRecord = z.infer<typeof JournalRecord>;

const Head = z.strictObject({ version: z.literal(1), chainId: hash, seqno, time: uint32 });
/** Empty blocks are not in the journal: block numbers up to `seqno` may have been used, times up to `time` shown. */
export type HeadRecord = z.infer<typeof Head>;

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ConfigError('E_STATE', `${what} is not of this version: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
}

/** Throws `E_STATE`. */
export const parseJournalRecord = (value: unknown): JournalRecord => parse(JournalRecord, value, 'a record of the journal');
/** Throws `E_STATE`. */
export const parseHead = (value: unknown): HeadRecord => parse(Head, value, 'the head file');
