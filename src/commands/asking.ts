// What the commands that ask models share: options, a way into the network through its proxies, the model, the bound of what may
// be spent, and how an answer's origin and cost are told.
import { askChat, requestOf } from '../client/chat.ts';
import { createForwarder, queryOf } from '../client/forward.ts';
import { onDemandSessions } from '../client/on-demand-sessions.ts';
import { createSpending } from '../client/spending.ts';
import { multipliersOf } from '../client/paid-accounts.ts';
import { toHex } from '../core/bytes.ts';
import { sealedSize } from '../seal/request.ts';
import { CapacityError, UsageError } from '../core/errors.ts';
import { evidenceOf, listModels, openClient } from './client.ts';
import { declarePaying, sealModeOf } from './paying.ts';
import { declareHedge, hedgeMsOf } from './staying-up.ts';
import { decimalNumber, oneOf, repeated, tonAmount, wholeNumber } from './values.ts';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { RequestBounds } from '../client/accounts.ts';
import type { Answer, AskOptions, Question } from '../client/chat.ts';
import type { ConnectedProxy } from '../client/connect.ts';
import type { Spending, TokenPrice } from '../client/spending.ts';
import type { NodeTarget } from '../wire/sealed.ts';
import type { OpenClient } from './client.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

/** Limit of the network's own clients where the caller sets none (WIRE.md section 11). */
const DEFAULT_MAX_TOKENS = 1_000;
const DEFAULT_MAX_PRICE = 4;

export interface AskingOptions {
  readonly model?: string;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  /** As a multiple of the network's price. */
  readonly maxPrice?: number;
  /** nanoTON. */
  readonly maxSpend?: bigint;
  readonly node?: string;
  readonly tee?: 'tdx' | 'snp' | 'any-tee';
  /** Milliseconds. */
  readonly hedge?: number;
}

function nodeId(text: string): string {
  if (!/^[0-9a-fA-F]{8,64}$/.test(text)) throw new InvalidArgumentError('expected 8 to 64 hexadecimal digits of a node\'s TLS key or image');
  return text.toLowerCase();
}

export function declareAsking(command: Command): void {
  command
    .option('-m, --model <name>', 'model to ask (default: the setting `model`, or the only one served)')
    .option('-s, --system <text>', 'system message')
    .option('--max-tokens <n>', `most tokens of an answer (default: ${DEFAULT_MAX_TOKENS})`, wholeNumber(1, 1_000_000))
    .option('--temperature <t>', '0 always takes the likeliest token', decimalNumber(0, 2))
    .option('--top-p <p>', 'share of the likeliest tokens to choose from', decimalNumber(0, 1))
    .option('--seed <n>', 'the same seed and question give the same answer', wholeNumber(0, 2 ** 32 - 1))
    .option('--stop <text>', 'end the answer before this text; may be repeated', repeated(String))
    .option('--max-price <factor>', `highest price accepted, as a multiple of the network's (default: ${DEFAULT_MAX_PRICE})`, decimalNumber(0, 1_000))
    .option('--max-spend <ton>', 'most TON that this run may spend: what could exceed it is not sent', tonAmount())
    .option('--node <hex>', 'only nodes whose TLS key or image begins so', nodeId)
    .option('--tee <kind>', 'only nodes in this kind of TEE: tdx, snp or any-tee', oneOf(['tdx', 'snp', 'any-tee'] as const));
  declareHedge(command);
  declarePaying(command);
}

/** This run's way to answers. */
export interface Asking {
  readonly client: OpenClient;
  readonly spending: Spending;
  /** Highest price accepted, in thousandths. */
  readonly maxCoefficient: number;
  readonly target: NodeTarget | undefined;
  /** The nearest proxy, connected. */
  connect(timeoutMs: number, signal: AbortSignal): Promise<ConnectedProxy>;
  /** The model that the options or settings name, or the only one served. Throws UsageError, CapacityError. */
  model(leftMs: () => number, signal: AbortSignal): Promise<string>;
  /** Asks; throws what `askChat` throws, and PolicyError `E_MAX_SPEND`. */
  ask(question: Question, options: Pick<AskOptions, 'timeoutMs' | 'signal' | 'keepAnswer'>): AsyncGenerator<string, Answer, undefined>;
  /** What a question may cost at most. */
  bounds(question: Question): RequestBounds;
  price(): TokenPrice | null;
  /** Ends everything; resolves when what was used is on disk. */
  end(): Promise<void>;
}

/** What may be left out of a question. */
export const defaultsOf = ({ system, maxTokens = DEFAULT_MAX_TOKENS, temperature, topP, seed, stop }: AskingOptions): Omit<Question, 'model' | 'prompt'> =>
  ({ system, maxTokens, temperature, topP, seed, stop });

/** Joins the network; nothing is dialled yet. `spends` as for `openClient`. */
export async function openAsking(invocation: Invocation, options: AskingOptions, { spends = true }: { readonly spends?: boolean } = {}): Promise<Asking> {
  const { out, settings } = invocation;
  let opened: OpenClient | null = null;
  const price = (): TokenPrice | null => {
    const paid = opened?.network.paid ?? null;
    if (paid === null) return null;
    const { params } = paid.root.current().config;
    return { perTokenNano: params.pricePerTokenNano, multipliers: multipliersOf(params) };
  };
  const spending = createSpending(options.maxSpend ?? null, price);
  const client = opened = await openClient(invocation, { spends, spending });
  const sessions = onDemandSessions({
    connector: client.connector,
    onConnected: ({ address, peer }) => out.note(`verified proxy ${address}: ${peer.evidence} evidence, image ${toHex(peer.imageHash).slice(0, 16)}…`),
  });
  const { node, tee, maxPrice = DEFAULT_MAX_PRICE } = options;
  const maxCoefficient = Math.floor(maxPrice * 1_000);
  const target: NodeTarget | undefined = node === undefined && tee === undefined ? undefined : { ...(node !== undefined && { node }), ...(tee !== undefined && { tee }) };
  const forwarder = createForwarder({ pool: sessions, hedgeMs: hedgeMsOf(options, settings) });
  const sealed = sealModeOf(invocation) !== 'off';
  const bounds = (question: Question): RequestBounds => {
    const { byteLength } = queryOf(requestOf(question));
    return { queryBytes: sealed ? sealedSize(byteLength) : byteLength, maxTokens: question.maxTokens, maxCoefficient };
  };
  const asking: Asking = {
    client, spending, maxCoefficient, target, bounds, price,
    connect: (timeoutMs, signal) => sessions.acquire({ timeoutMs, signal }),
    async model(leftMs, signal) {
      const wanted = options.model ?? settings.text('model');
      return wanted ?? onlyModel(await asking.connect(leftMs(), signal), leftMs, signal);
    },
    ask: (question, ask) => askChat(forwarder, question, { ...ask, maxCoefficient, target }),
    async end() {
      sessions.close();
      await client.end();
    },
  };
  return asking;
}

async function onlyModel(proxy: ConnectedProxy, leftMs: () => number, signal: AbortSignal): Promise<string> {
  const served = (await listModels(proxy, leftMs, signal)).filter(({ activeWorkers }) => activeWorkers > 0);
  const [first] = served;
  if (first === undefined) throw new CapacityError('E_NO_NODE', 'no model is served now', { hint: 'start a node, or wait until one has connected' });
  if (served.length > 1) {
    throw new UsageError('E_USAGE', `several models are served (${served.map(({ model }) => model).join(', ')}), expected --model`, { hint: 'run `cocoon config set model NAME` to choose one for good' });
  }
  return first.model;
}

/** What an answer cost; null where nobody pays. */
export function costOf({ charged }: Answer, price: TokenPrice | null): bigint | null {
  return price === null ? null : charged.total * price.perTokenNano;
}

/** Who answered, as far as this side has verified it. */
export function originOf({ proxy, proof }: Answer): { readonly [key: string]: JsonValue } {
  const node = proof?.node ?? null;
  return {
    ...evidenceOf(proxy),
    seal: proof?.scheme ?? 'off',
    node: node === null ? null : {
      evidence: node.evidence, simulated: node.evidence === 'simulated', imageHash: toHex(node.imageHash), tlsPublicKey: toHex(node.tlsPublicKey), receipt: proof?.receipt !== null,
    },
  };
}
