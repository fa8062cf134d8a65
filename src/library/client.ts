// `connect` and `chat` of the package: the same ways that `cocoon infer` goes, with values instead of text.
import { parseAnswerSchema } from '../client/answer-schema.ts';
import { encodeReceiptFile, receiptOf } from '../client/receipt-file.ts';
import { UsageError } from '../core/errors.ts';
import { toHex } from '../core/bytes.ts';
import { wholeAnswer } from '../commands/answer-output.ts';
import { costOf, defaultsOf, openAsking } from '../commands/asking.ts';
import { listModels } from '../commands/client.ts';
import { invocationOf } from './context.ts';
import type { Answer, ChatMessage, Question } from '../client/chat.ts';
import type { ConnectedProxy } from '../client/connect.ts';
import type { AnswerSchema } from '../client/answer-schema.ts';
import type { Asking } from '../commands/asking.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import type { PlaceOptions } from './context.ts';

export interface ConnectOptions extends PlaceOptions {
  /** Wallet that pays. Default: the setting `client.wallet`. */
  readonly wallet?: string;
  /** Of that wallet; or a file of mode 0600 with it. */
  readonly passphrase?: string;
  readonly passphraseFile?: string;
  /** `require` (default): only what one verified node can read is sent; `prefer`: says when it goes without; `off`. */
  readonly seal?: 'require' | 'prefer' | 'off';
  /** Beginning of the TLS key or image of the nodes that may answer, hexadecimal. */
  readonly node?: string;
  /** The TEE that nodes must run in. */
  readonly tee?: 'tdx' | 'snp' | 'any-tee';
  /** Highest price accepted, as a multiple of the network's. Default 4. */
  readonly maxPrice?: number;
  /** Most that this client may spend, nanoTON. */
  readonly maxSpendNano?: bigint;
  /** Asks a second proxy when the first byte of an answer takes longer. */
  readonly hedgeMs?: number;
  /** For connecting. Default: the setting `timeout`. */
  readonly timeoutMs?: number;
  /** Hears what the command line would print as a warning. */
  readonly onWarning?: (text: string) => void;
}

/** Who is at the other end, as verified. */
export interface Peer {
  /** `simulated` on local networks only. */
  readonly evidence: VerifiedPeer['evidence'];
  /** Hexadecimal. */
  readonly imageHash: string;
  readonly tlsPublicKey: string;
}

export interface Client {
  /** The proxy that was connected first. */
  readonly proxy: Peer & { readonly address: string };
  /** nanoTON that were spent, what broke off at its highest cost included; 0n where nobody pays. */
  readonly spentNano: bigint;
  /** Models that are served now. `price`: lowest, in thousandths of the network's. */
  models(): Promise<readonly { readonly name: string; readonly nodes: number; readonly price: number | null }[]>;
  /** Ends everything; resolves when what was used is on disk. */
  close(): Promise<void>;
}

export interface ChatRequest {
  /** The question; or the last one of `messages`. */
  readonly prompt?: string;
  readonly messages?: readonly ChatMessage[];
  readonly system?: string;
  /** Default: the setting `model`, or the only one served. */
  readonly model?: string;
  /** Most tokens of the answer. Default 1000. */
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  /** JSON Schema that the answer must fit; what does not fit is thrown as `E_ANSWER`. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** Default: the setting `timeout`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface ChatAnswer {
  readonly text: string;
  /** The parsed value where there was a schema. */
  readonly value?: unknown;
  /** `stop`, `length` … */
  readonly finishReason: string;
  readonly usage: { readonly promptTokens: number; readonly cachedTokens: number; readonly completionTokens: number; readonly reasoningTokens: number };
  /** Null where nobody pays. */
  readonly costNano: bigint | null;
  readonly proxy: Peer & { readonly address: string };
  /** The node that it was sealed to; null where it was not sealed. */
  readonly node: Peer | null;
  /** Content of a receipt file, for `verify` or `cocoon receipt verify`; null where the node signed none. */
  readonly receipt: Uint8Array | null;
}

/** An answer that is being made. Ask for the pieces, for the whole, or for first one and then the other. */
export interface ChatStream extends AsyncIterable<string> {
  /** The whole answer, once it is complete. Throws what ended it before. */
  answer(): Promise<ChatAnswer>;
}

/** What stands behind a client; not for callers. */
const OPEN = new WeakMap<Client, { readonly asking: Asking; readonly defaultTimeoutMs: number; readonly signal: AbortSignal; readonly network: string; readonly warn: (text: string) => void }>();

const peerOf = ({ evidence, imageHash, publicKey }: Pick<VerifiedPeer, 'evidence' | 'imageHash' | 'publicKey'>): Peer => ({ evidence, imageHash: toHex(imageHash), tlsPublicKey: toHex(publicKey) });
const proxyOf = ({ address, peer }: ConnectedProxy): Client['proxy'] => ({ address, ...peerOf(peer) });

/** Joins a network and connects to the nearest proxy whose evidence is accepted. */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { wallet, passphrase, passphraseFile, seal, node, tee, maxPrice, maxSpendNano, hedgeMs, onWarning: warn = () => {} } = options;
  const given = { wallet, passphraseFile, seal, node, tee, maxPrice, maxSpend: maxSpendNano, hedge: hedgeMs };
  const invocation = await invocationOf(options, Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)), { passphrase, warn });
  const { settings, context: { signal } } = invocation;
  const defaultTimeoutMs = settings.durationMs('timeout');
  const asking = await openAsking(invocation, invocation.options);
  try {
    const proxy = proxyOf(await asking.connect(options.timeoutMs ?? defaultTimeoutMs, signal));
    const client: Client = {
      proxy,
      get spentNano() {
        return asking.spending.spentNano;
      },
      async models() {
        const listed = await listModels(await asking.connect(defaultTimeoutMs, signal), () => defaultTimeoutMs, signal);
        return listed.filter(({ activeWorkers }) => activeWorkers > 0).map(({ model, activeWorkers, minCoefficient }) => ({ name: model, nodes: activeWorkers, price: minCoefficient }));
      },
      close: () => asking.end(),
    };
    OPEN.set(client, { asking, defaultTimeoutMs, signal, network: settings.text('network') ?? 'local', warn });
    return client;
  } catch (error) {
    await asking.end();
    throw error;
  }
}

/** Asks; nothing is sent before the pieces or the answer are asked for. Leaving the loop cancels the request. */
export function chat(client: Client, request: ChatRequest): ChatStream {
  const pieces = answering(client, request);
  let result: ChatAnswer | null = null;
  const next = async (): Promise<IteratorResult<string, void>> => {
    const piece = await pieces.next();
    if (piece.done !== true) return piece;
    result ??= piece.value ?? null;
    return { done: true, value: undefined };
  };
  return {
    [Symbol.asyncIterator]: () => ({
      next,
      async return() {
        await pieces.return(null);
        return { done: true, value: undefined };
      },
    }),
    async answer() {
      while ((await next()).done !== true) { /* the pieces are in the answer */ }
      if (result === null) throw new UsageError('E_USAGE', 'the answer was left before its end, or ended with an error');
      return result;
    },
  };
}

async function* answering(client: Client, request: ChatRequest): AsyncGenerator<string, ChatAnswer | null, undefined> {
  const open = OPEN.get(client);
  if (open === undefined) throw new UsageError('E_USAGE', 'chat needs a client that connect has made');
  const { asking, defaultTimeoutMs, signal: always, network, warn } = open;
  const { timeoutMs = defaultTimeoutMs, signal: own } = request;
  const signal = own === undefined ? always : AbortSignal.any([always, own]);
  const schema: AnswerSchema | null = request.schema === undefined ? null : parseAnswerSchema(new TextEncoder().encode(JSON.stringify(request.schema)), 'answer');
  const model = request.model ?? await asking.model(() => timeoutMs, signal);
  const question: Question = { ...defaultsOf(request), ...messagesOf(request), model, ...(schema !== null && { schema }) };
  const ask = (asked: Question): AsyncGenerator<string, Answer> => asking.ask(asked, { timeoutMs, signal });
  if (schema === null) return answerOf(yield* ask(question), asking, network);
  const answer = await wholeAnswer(ask, question, async (text) => warn(text));
  const value = schema.read(answer.text);
  yield answer.text;
  return { ...answerOf(answer, asking, network), value };
}

function messagesOf({ prompt, messages = [], system }: ChatRequest): Pick<Question, 'prompt' | 'history' | 'system'> {
  const last = messages.at(-1);
  if (prompt !== undefined) return { prompt, history: messages, system };
  if (last?.role !== 'user') throw new UsageError('E_USAGE', 'a chat needs a prompt, or messages of which the last one is the user\'s');
  return { prompt: last.content, history: messages.slice(0, -1), system };
}

function answerOf(answer: Answer, asking: Asking, network: string): ChatAnswer {
  const { text, finishReason, usage, proxy, proof } = answer;
  const node = proof?.node ?? null;
  return {
    text, finishReason, usage, costNano: costOf(answer, asking.price()), proxy: proxyOf(proxy),
    node: node === null ? null : peerOf({ ...node, publicKey: node.tlsPublicKey }),
    receipt: proof?.receipt === undefined || proof.receipt === null ? null : new TextEncoder().encode(encodeReceiptFile(receiptOf(answer, network))),
  };
}
