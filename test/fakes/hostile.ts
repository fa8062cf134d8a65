// Peers that are let in and then send what they like, packet by packet.
import { unpaidAddress } from '../../src/chain/unpaid-address.ts';
import { openClientSession } from '../../src/wire/client-session.ts';
import { openWorkerSession } from '../../src/wire/worker-session.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { until } from './network.ts';
import { QUERY, clientPort, workerPort } from './session-ports.ts';
import type { Connection, TlPacket } from '../../src/wire/connection.ts';
import type { TokensUsed } from '../../src/wire/answer.ts';
import type { WorkerBalance, WorkerRequest, WorkerSessionPort } from '../../src/wire/worker-session.ts';
import type { TestNetwork } from './network.ts';

export const id = (n: number): Uint8Array => {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
};

type RunQuery = Extract<TlPacket, { _: 'client.runQueryEx' }>;

export const request = (changes: Partial<RunQuery> = {}): TlPacket => ({
  _: 'client.runQueryEx', model_name: 'instant', query: QUERY, max_coefficient: 4_000, max_tokens: 10, timeout: 5, request_id: id(1), min_config_version: 0,
  flags: 3, enable_debug: false, public_key: new Uint8Array(32), ...changes,
});

export const chatQuery = (body: object): Uint8Array => encodeBoxed({
  _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: [], payload: Buffer.from(JSON.stringify(body)),
});

export interface HostileClient {
  readonly connection: Connection;
  readonly owner: string;
  /** Everything that the proxy sent one way. */
  readonly answers: TlPacket[];
}

/** An authenticated client that then sends what it likes. Rejects when the proxy refuses it. */
export async function hostileClient(network: TestNetwork, { owner, secret = new Uint8Array(0) }: { owner?: string; secret?: Uint8Array } = {}): Promise<HostileClient> {
  const { connection, publicKey } = await network.dial('client');
  const answers: TlPacket[] = [];
  const port = clientPort({ checkProxy: async () => ({ kind: 'short', secret }) });
  const tapped: Connection = Object.create(connection, {
    handle: { value: (handlers: Parameters<Connection['handle']>[0]) => connection.handle({ ...handlers, onPacket: (packet) => { answers.push(packet); } }) },
  }) as Connection;
  Object.defineProperties(tapped, Object.fromEntries(['query', 'send', 'close', 'setMaxFrameBytes'].map((name) => [name, { value: (connection[name as keyof Connection] as (...args: never[]) => unknown).bind(connection) }])));
  Object.defineProperties(tapped, { closed: { value: connection.closed }, remoteAddress: { value: connection.remoteAddress }, peer: { value: connection.peer } });
  const ownerAddress = owner ?? unpaidAddress('hostile', publicKey);
  await openClientSession(tapped, port, { ownerAddress, isTest: true, minConfigVersion: () => 0 });
  return { connection, owner: ownerAddress, answers };
}

export interface HostileNodeOptions {
  readonly capacity?: number;
  /** Full name of the model. */
  readonly model?: string;
  readonly price?: number;
  /** What it claims to have earned. */
  readonly claim?: WorkerBalance;
  readonly port?: Partial<WorkerSessionPort>;
}

/** An attested node that answers with `run`, and its connection. */
export async function hostileNode(
  network: TestNetwork, run: (request: WorkerRequest, connection: Connection) => Promise<void>, options: HostileNodeOptions = {},
): Promise<Connection> {
  const { capacity = 4, model = 'evil@x:y', price = 1_000, claim = { chainTokens: 0n, dbTokens: 0n, maxTokens: 0n } } = options;
  const { connection, publicKey } = await network.dial('worker');
  const port: WorkerSessionPort = workerPort({ checkProxy: async () => claim, run: (asked) => run(asked, connection), ...options.port });
  const before = network.proxy.status().nodes.filter(({ enabled }) => enabled).length;
  await openWorkerSession(connection, port, {
    ownerAddress: unpaidAddress('hostile', publicKey), model, coefficient: price, isTest: true, proxyCount: 1, maxActiveRequests: capacity, isDisabled: () => false,
  });
  await until(() => network.proxy.status().nodes.filter(({ enabled }) => enabled).length > before);
  return connection;
}

/** A node's answer, message by message. */
export const head = (requestId: Uint8Array, status = 200): TlPacket => ({
  _: 'proxy.queryAnswerEx', request_id: requestId, flags: 0,
  answer: encodeBoxed({ _: 'http.response', http_version: 'HTTP/1.1', status_code: status, reason: 'OK', headers: [], payload: new Uint8Array(0) }),
});
export const part = (requestId: Uint8Array, bytes: Uint8Array): TlPacket => ({ _: 'proxy.queryAnswerPartEx', request_id: requestId, answer: bytes, flags: 0 });

const infoOf = (tokens: Partial<TokensUsed>) => ({
  _: 'proxy.queryFinalInfo' as const, flags: 0,
  tokens_used: {
    _: 'tokensUsed' as const, prompt_tokens_used: tokens.prompt ?? 0n, cached_tokens_used: tokens.cached ?? 0n, completion_tokens_used: tokens.completion ?? 0n,
    reasoning_tokens_used: tokens.reasoning ?? 0n, total_tokens_used: tokens.total ?? (tokens.prompt ?? 0n) + (tokens.cached ?? 0n) + (tokens.completion ?? 0n) + (tokens.reasoning ?? 0n),
  },
});
export const end = (requestId: Uint8Array, tokens: Partial<TokensUsed>): TlPacket =>
  ({ _: 'proxy.queryAnswerPartEx', request_id: requestId, answer: new Uint8Array(0), flags: 1, final_info: infoOf(tokens) } as TlPacket);
export const failure = (requestId: Uint8Array, code: number, tokens: Partial<TokensUsed>): TlPacket =>
  ({ _: 'proxy.queryAnswerErrorEx', request_id: requestId, error_code: code, error: 'failed', flags: 1, final_info: infoOf(tokens) } as TlPacket);

/** Never answers. */
export const hang = (): Promise<void> => new Promise(() => undefined);

/** A streamed chat of these pieces, complete, with usage where counts are given. */
export function streamOf(pieces: readonly string[], usage?: { readonly prompt: number; readonly completion: number }): string {
  const events: object[] = pieces.map((content) => ({ choices: [{ delta: { content }, finish_reason: null }] }));
  events.push({ choices: [{ delta: {}, finish_reason: 'stop' }], ...(usage !== undefined && { usage: { prompt_tokens: usage.prompt, completion_tokens: usage.completion } }) });
  return `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`;
}
