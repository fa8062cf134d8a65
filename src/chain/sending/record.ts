// One intended transfer as it lies on disk: what was asked for, every message signed for it, and what became of them.
// The file is read strictly: another schema, an unknown field or a value out of range is refused, never guessed.
import { z } from 'zod';
import { ConfigError } from '../../core/errors.ts';

const nano = z.string().regex(/^(0|[1-9]\d{0,38})$/);
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const rawAddress = z.string().regex(/^(0|-1):[0-9a-f]{64}$/);
const uint32 = z.int().min(0).max(0xffff_ffff);

const deliverySchema = z.strictObject({
  to: rawAddress,
  valueNano: nano,
  createdLt: nano,
  /** `delivered`: executed, or credited to an account without code. `bounced`: the value came back. `failed`: executed with an error, the value stayed there. */
  status: z.enum(['pending', 'delivered', 'bounced', 'failed']),
  exitCode: z.int().nullable(),
});

const attemptSchema = z.strictObject({
  seqno: uint32,
  /** Unix seconds of the chain. */
  validUntil: uint32,
  /** Newest transaction of the wallet when this was signed; what is looked for comes after it. */
  afterLt: nano,
  /** Normalised hash of the external message. */
  messageHash: hex32,
  /** The signed external message, base64: these bytes are sent, again and again, and no others. */
  boc: z.base64().max(1 << 20),
  status: z.enum(['pending', 'confirmed', 'expired', 'failed']),
  /** Why, for people; null while pending and when confirmed. */
  reason: z.string().max(1000).nullable(),
  transaction: z.strictObject({ lt: nano, hash: hex32, time: uint32, feesNano: nano, exitCode: z.int().nullable(), actionCode: z.int().nullable() }).nullable(),
  deliveries: z.array(deliverySchema).max(255),
});

const recordSchema = z.strictObject({
  schema: z.literal('cocoon.send/1'),
  /** The caller's name for the intent: asking for it again gives this record, not a second transfer. */
  key: z.string().min(1).max(200),
  wallet: rawAddress,
  /** Digest of the messages asked for. */
  intentHash: hex32,
  transfers: z.array(z.strictObject({ to: rawAddress, valueNano: nano, all: z.boolean() })).min(1).max(255),
  attempts: z.array(attemptSchema).min(1).max(100),
});

export type Delivery = z.infer<typeof deliverySchema>;
export type Attempt = z.infer<typeof attemptSchema>;
export type SendRecord = z.infer<typeof recordSchema>;
export type SendStatus = Attempt['status'];

/** The attempt that counts. */
export function lastAttempt(record: SendRecord): Attempt {
  const attempt = record.attempts.at(-1);
  if (attempt === undefined) throw new RangeError('record without attempt');
  return attempt;
}

/** `pending` until the chain has decided; then final, and never anything else again. */
export const statusOf = (record: SendRecord): SendStatus => lastAttempt(record).status;

export function replaceLastAttempt(record: SendRecord, change: Partial<Attempt>): SendRecord {
  return { ...record, attempts: [...record.attempts.slice(0, -1), { ...lastAttempt(record), ...change }] };
}

export const encodeRecord = (record: SendRecord): string => `${JSON.stringify(record, null, 2)}\n`;

/** Throws ConfigError `E_STATE` naming the file when it is not exactly a record. */
export function decodeRecord(text: string, path: string): SendRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ConfigError('E_STATE', `${path} is damaged: it is not JSON`, { cause: error });
  }
  const parsed = recordSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ConfigError('E_STATE', `${path} is damaged: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown'}`, { cause: parsed.error });
  }
  return parsed.data;
}
