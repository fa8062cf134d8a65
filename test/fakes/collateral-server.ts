// A scripted HTTP server in place of Intel, AMD, NVIDIA and a PCCS. Its `http` sends every https request to this server
// instead, through the real network code; answers are scripted for the address that was meant.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpFetch } from '../../src/tee/collateral/http.ts';
import type { HttpFetch } from '../../src/tee/collateral/http.ts';

export interface ScriptedAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Milliseconds before the answer begins. */
  readonly delayMs?: number;
  /** Sends the head and then a byte every 20 ms, for ever. */
  readonly drip?: boolean;
  /** Never answers. */
  readonly hang?: boolean;
  /** Closes the connection without an answer. */
  readonly drop?: boolean;
  /** Sends this many bytes, whatever the body is. */
  readonly huge?: number;
}

export type Answering = ScriptedAnswer | ((request: SeenRequest) => ScriptedAnswer);

export interface SeenRequest {
  readonly method: string;
  /** The address that was meant. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Uint8Array;
}

const MEANT = 'x-meant-url';

export class CollateralServer {
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;
  readonly #answers = new Map<string, Answering[]>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Requests being answered now, and the most that ever were. */
  open = 0;
  mostOpen = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<CollateralServer> {
    const server = createServer();
    const self = new CollateralServer(server);
    server.on('request', (request, response) => {
      void self.#serve(request, response);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return self;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Answers for an address (with its query), one after another; the last one stays. Replaces earlier ones. */
  on(url: string, ...answers: readonly Answering[]): this {
    this.#answers.set(url, [...answers]);
    return this;
  }

  /** How often an address was asked for. */
  count(url: string): number {
    return this.requests.filter((request) => request.url === url).length;
  }

  /** The real client, sent here. */
  get http(): HttpFetch {
    const real = createHttpFetch();
    return (request, signal) => real({ ...request, url: `${this.origin}/`, headers: { ...request.headers, [MEANT]: request.url } }, signal);
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of request as AsyncIterable<Uint8Array>) chunks.push(chunk);
    const meant = request.headers[MEANT];
    const url = typeof meant === 'string' ? meant : `${this.origin}${request.url}`;
    const seen: SeenRequest = { method: request.method ?? '', url, headers: request.headers, body: Buffer.concat(chunks) };
    this.requests.push(seen);
    this.open += 1;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    response.on('close', () => { this.open -= 1; });
    const queue = this.#answers.get(url) ?? [{ status: 404, headers: { 'content-type': 'text/plain' }, body: 'no such document' }];
    const next = queue.length > 1 ? queue.shift() : queue[0];
    const answer: ScriptedAnswer = typeof next === 'function' ? next(seen) : next ?? {};
    if (answer.delayMs !== undefined) await this.#pause(answer.delayMs);
    this.#write(answer, response);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#timers.add(setTimeout(resolve, ms));
    });
  }

  #write(answer: ScriptedAnswer, response: ServerResponse): void {
    if (answer.hang === true) return;
    if (answer.drop === true) {
      response.destroy();
      return;
    }
    response.writeHead(answer.status ?? 200, answer.headers ?? {});
    if (answer.drip === true) {
      const timer = setInterval(() => response.write('x'), 20);
      this.#timers.add(timer);
      response.on('close', () => clearInterval(timer));
      return;
    }
    response.end(answer.huge === undefined ? answer.body ?? '' : Buffer.alloc(answer.huge, 0x30));
  }
}
