// The one document in which a running node says how it is. `node status`, the operator's page, the metrics, the alerts and the
// support bundle all read it and nothing else. Amounts are decimal text in nanoTON or tokens, times are milliseconds since the
// Unix epoch. It holds no prompt, no answer and no secret.
import { z } from 'zod';

/** A total that never goes back, or an amount; decimal text. */
const whole = z.string().regex(/^\d{1,40}$/);
const count = z.int().min(0);
const ms = z.number();
const text = z.string().max(4_096);

/**
 * `starting`: no proxy has accepted it yet. `serving`: at least one proxy may choose it. `offline`: it was serving and no proxy is
 * connected now. `draining`: it was told to take nothing new and something still runs. `drained`: nothing runs any more.
 * `stopped`: only shown where there is no process.
 */
export const PHASES = ['starting', 'serving', 'offline', 'draining', 'drained', 'stopped'] as const;
export type Phase = (typeof PHASES)[number];

const ProxyState = z.object({
  /** `host:port` as listed. */
  address: text,
  link: z.enum(['connecting', 'ready', 'waiting', 'refused']),
  /** Why there is no connection; null where there is one, or the first is being made. */
  problem: text.nullable(),
  /** What the proxy has proved: kind of evidence, image, and how many checks it passed; null without a connection. */
  verified: z.object({
    evidence: text, imageHash: text, checks: count, freshness: text,
    /** Until the verdict is made anew; null where it has no end. */
    leftMs: ms.nullable(),
  }).nullable(),
  /** Answer time of the last ping; null before the first. */
  roundTripMs: ms.nullable(),
  protocol: z.int().nullable(),
  /** Address of the proxy's contract, text; null without a connection. */
  contract: text.nullable(),
  running: count,
});

const GpuState = z.object({
  index: count, name: text, utilizationPercent: z.number().nullable(), memoryUsedMib: z.number().nullable(), memoryTotalMib: z.number().nullable(),
  temperatureC: z.number().nullable(), powerW: z.number().nullable(),
});

const ProxyMoneyState = z.object({
  proxy: text, contract: text, accruedTokens: whole, signedTokens: whole, claimedTokens: whole,
  /** By the fee of now. */
  accruedNano: whole, signedNano: whole, claimedNano: whole,
  /** Accrued and not signed; null where the fee is not known. */
  owedNano: whole.nullable(),
  /** Since when something is owed and nothing more was signed; null where nothing is owed. */
  owedSinceMs: ms.nullable(),
  blocked: z.boolean(),
});

export const NodeState = z.object({
  schema: z.literal('cocoon.node-state/1'),
  state: z.enum(PHASES),
  /** When the operator told it to drain; it is still so after a restart. Null while it may take work. */
  drainedSinceMs: ms.nullable(),
  version: text,
  pid: count,
  nowMs: ms,
  startedMs: ms,
  uptimeMs: ms,
  network: text,
  /** Full name: `name@commit:verity`. */
  model: text,
  /** Thousandths of the network's price. */
  price: count,
  /** Requests at once: what the proxies are told, and what the engine could. */
  capacity: z.object({ told: count, engine: count }),
  requests: z.object({
    running: count, queued: count,
    /** Since the start: ended with a count, ended by the asker, failed here. */
    answered: count, cancelled: count, failed: count,
  }),
  tokens: z.object({
    prompt: count, cached: count, completion: count,
    /** Tokens generated a second, over the last ten seconds, minute, quarter and hour. */
    perSecond: z.object({ s10: z.number(), m1: z.number(), m15: z.number(), h1: z.number() }),
    /** Over the last answers; null before the first. */
    firstTokenMs: z.object({ median: ms, p95: ms }).nullable(),
  }),
  engine: z.object({
    backend: text, devices: z.array(text), gpuLayers: count, totalLayers: count, contextSize: count, sequences: count, threads: count, chat: z.boolean(),
    /** Null and `auto` where the engine does not say, as one behind --backend. */
    kvType: text.nullable().default(null), flashAttention: z.enum(['auto', 'on', 'off']).default('auto'),
  }),
  gpus: z.array(GpuState).max(64),
  /** Why there is nothing in `gpus`; null where there is something. */
  gpuProblem: text.nullable(),
  attestation: z.object({
    evidence: text,
    /** Hexadecimal; null where the evidence names none. */
    imageHash: text.nullable(),
    tlsPublicKey: text,
    /** End of the certificate that is shown now; it is made anew long before. */
    certificateEndsMs: ms,
    /** What the root contract says of this image and model now. `unknown`: it cannot be read, or there is none. */
    image: z.enum(['listed', 'not listed', 'unknown']),
    model: z.enum(['listed', 'not listed', 'unknown']),
  }),
  /**
   * Public keys, hexadecimal, to compare with what a client sees: the key that signs this node's receipts until it is started again,
   * and the id of the record that requests are sealed to now. Null from a node of an older version, which says nothing of it.
   */
  sealing: z.object({ receiptKey: text, keyId: text, recordEndsMs: ms }).nullable().default(null),
  proxies: z.array(ProxyState).max(1_000),
  /** Null where nobody is paid. */
  money: z.object({
    owner: text,
    wallet: z.object({ address: text, balanceNano: whole.nullable(), neededNano: whole }),
    accruedNano: whole, signedNano: whole, claimedNano: whole,
    proxies: z.array(ProxyMoneyState).max(1_000),
  }).nullable(),
  /** What the operator should know, the gravest first: one sentence each. */
  warnings: z.array(text).max(100),
});
export type NodeState = z.infer<typeof NodeState>;
export type ProxyState = NodeState['proxies'][number];
export type GpuState = NodeState['gpus'][number];
export type MoneyState = NonNullable<NodeState['money']>;

/** True while the node does what it was started for, or was told not to: what `node status` ends with 0 for. */
export const isHealthy = ({ state }: Pick<NodeState, 'state'>): boolean => state === 'serving' || state === 'draining' || state === 'drained';
