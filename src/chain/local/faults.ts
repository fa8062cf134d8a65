// Faults on demand: what a public gateway does on a bad day, so that those who talk to gateways can be tested against it.
// They lie between the request and the methods, end after so many requests or seconds, and are forgotten at a restart.
import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import type { HttpReply } from '../../http/routes.ts';

const MAX_RULES = 64;
const MAX_COUNT = 1_000_000;
const HUGE_BYTES = 8 << 20;

const limits = {
  /** Only requests for these methods. Default: every method that the fault can affect. */
  methods: z.array(z.string().min(1).max(64)).min(1).max(32).optional(),
  /** Ends after so many affected requests. Default: no limit. */
  count: z.int().min(1).max(MAX_COUNT).optional(),
  /** Ends after so many seconds of this machine's clock. Default: no limit. */
  seconds: z.number().positive().max(86_400).optional(),
};

export const Fault = z.discriminatedUnion('kind', [
  /** 429, with Retry-After when given. */
  z.strictObject({ kind: z.literal('rate-limit'), retryAfterS: z.int().min(0).max(3600).optional(), ...limits }),
  /** The connection is closed without an answer. */
  z.strictObject({ kind: z.literal('down'), ...limits }),
  /** The answer comes later than asked, as if the endpoint hung. */
  z.strictObject({ kind: z.literal('slow'), delayMs: z.int().min(1).max(60_000), ...limits }),
  /** An answer that is none: a gateway's page, JSON that ends early, JSON of another shape, bytes, 8 MiB of spaces. */
  z.strictObject({ kind: z.literal('garbage'), form: z.enum(['page', 'cut', 'shape', 'bytes', 'huge']), ...limits }),
  /** sendBoc answers ok and forgets the message. */
  z.strictObject({ kind: z.literal('drop'), ...limits }),
  /** Messages of sendBoc stay out of the next so many blocks; kept over a restart. */
  z.strictObject({ kind: z.literal('late'), blocks: z.int().min(1).max(10_000), ...limits }),
  /** Reads are answered from so many blocks ago (as far as kept: 127). */
  z.strictObject({ kind: z.literal('lag'), blocks: z.int().min(1).max(127), ...limits }),
]);
export type Fault = z.infer<typeof Fault>;

interface Rule {
  readonly fault: Fault;
  left: number;
  readonly endsMs: number;
}

/** What the faults make of one request. */
export interface FaultVerdict {
  /** Given instead of the method's answer. */
  readonly reply: HttpReply | undefined;
  readonly delayMs: number;
  readonly drop: boolean;
  readonly lateBlocks: number;
  readonly lagBlocks: number;
}

const SENDS = new Set(['sendBoc', 'sendBocReturnHash']);

function affects({ kind, methods }: Fault, method: string): boolean {
  const isSend = SENDS.has(method);
  if ((kind === 'drop' || kind === 'late') && !isSend) return false;
  if (kind === 'lag' && isSend) return false;
  return methods === undefined || methods.includes(method);
}

function garbage(form: Extract<Fault, { kind: 'garbage' }>['form']): HttpReply {
  const json = { 'content-type': 'application/json' };
  switch (form) {
    case 'page': return { status: 502, headers: { 'content-type': 'text/html' }, text: '<html><body><h1>502 Bad Gateway</h1></body></html>' };
    case 'cut': return { headers: json, text: '{"ok":true,"result":{"@type":"raw.fullAcc' };
    case 'shape': return { json: { ok: true, result: { '@type': 'unexpected', balance: -1, state: 7 }, jsonrpc: '2.0', id: '1' } };
    case 'bytes': return { headers: json, text: Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28, 0x00, 0x22]) };
    case 'huge': return { headers: json, text: Buffer.alloc(HUGE_BYTES, 0x20) };
  }
}

export class Faults {
  readonly #clock: Clock;
  #rules: Rule[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a rule; false when there are too many. */
  add(fault: Fault): boolean {
    const rules = this.#live();
    if (rules.length >= MAX_RULES) return false;
    rules.push({ fault, left: fault.count ?? Infinity, endsMs: fault.seconds === undefined ? Infinity : this.#clock.now() + fault.seconds * 1000 });
    return true;
  }

  clear(): void {
    this.#rules = [];
  }

  list(): Fault[] {
    return this.#live().map(({ fault }) => fault);
  }

  /** Applies the rules to one request, in order of their addition; each that applies counts down. */
  judge(method: string): FaultVerdict {
    let verdict: FaultVerdict = { reply: undefined, delayMs: 0, drop: false, lateBlocks: 0, lagBlocks: 0 };
    for (const rule of this.#live()) {
      if (verdict.reply !== undefined) break;
      if (!affects(rule.fault, method)) continue;
      rule.left -= 1;
      verdict = combine(verdict, rule.fault);
    }
    return verdict;
  }

  #live(): Rule[] {
    const now = this.#clock.now();
    this.#rules = this.#rules.filter(({ left, endsMs }) => left > 0 && now < endsMs);
    return this.#rules;
  }
}

function combine(verdict: FaultVerdict, fault: Fault): FaultVerdict {
  switch (fault.kind) {
    case 'rate-limit': return {
      ...verdict,
      reply: {
        status: 429, json: { ok: false, result: 'Ratelimit exceed', code: 429 },
        ...(fault.retryAfterS === undefined ? {} : { headers: { 'retry-after': String(fault.retryAfterS) } }),
      },
    };
    case 'down': return { ...verdict, reply: { cut: true } };
    case 'slow': return { ...verdict, delayMs: verdict.delayMs + fault.delayMs };
    case 'garbage': return { ...verdict, reply: garbage(fault.form) };
    case 'drop': return { ...verdict, drop: true };
    case 'late': return { ...verdict, lateBlocks: Math.max(verdict.lateBlocks, fault.blocks) };
    case 'lag': return { ...verdict, lagBlocks: Math.max(verdict.lagBlocks, fault.blocks) };
  }
}
