// The admin side of a local chain from another process: what `localnet faucet` and `localnet advance` call.
import { join } from 'node:path';
import type { Address } from '@ton/core';
import { request } from 'undici';
import { z } from 'zod';
import { CocoonError, DaemonError, FundsError, NetworkError, UsageError } from '../../core/errors.ts';
import { readBounded } from '../../core/files.ts';
import { ADMIN_PATHS, Block, FaucetResult, FaultList, Status } from './admin-protocol.ts';
import type { ChainBlock, ChainStatus, FaucetReceipt } from './admin-protocol.ts';
import type { Fault } from './faults.ts';
import { ADMIN_TOKEN_FILE } from './folder.ts';

export interface LocalChainAdmin {
  status(): Promise<ChainStatus>;
  /** Sends `amountNano` from the faucet; in a block when it resolves. The same `key` again sends nothing. Throws FundsError, UsageError. */
  faucet(to: Address, amountNano: bigint, options?: { readonly key?: string }): Promise<FaucetReceipt>;
  /** Moves chain time forward by whole seconds. Throws UsageError. */
  advance(seconds: number): Promise<ChainBlock>;
  /** Makes a block now. */
  tick(): Promise<ChainBlock>;
  /** Adds a fault to those that apply; all of them. */
  addFault(fault: Fault): Promise<Fault[]>;
  faults(): Promise<Fault[]>;
  clearFaults(): Promise<void>;
}

export interface AdminOptions {
  /** As startLocalChain returns it, or any URL of the same server. */
  readonly endpoint: string;
  /** Token of the chain's folder; readAdminToken reads it. */
  readonly token: string;
  /** Limit of one call. Default 30 s. */
  readonly timeoutMs?: number;
}

const MAX_ANSWER_BYTES = 1 << 20;
const DEFAULT_TIMEOUT_MS = 30_000;
const Problem = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** Throws `E_NOT_FOUND` when the folder holds no local chain, `E_STATE` when others may read the token. */
export async function readAdminToken(dir: string): Promise<string> {
  return Buffer.from(await readBounded(join(dir, ADMIN_TOKEN_FILE), 256, { private: true })).toString('latin1').trim();
}

/** All methods throw DaemonError E_NOT_RUNNING when nothing answers, NetworkError E_PROTOCOL when something else does. */
export function localChainAdmin(options: AdminOptions): LocalChainAdmin {
  const { origin } = new URL(options.endpoint);
  const call = async <T>(method: 'GET' | 'POST' | 'DELETE', path: string, schema: z.ZodType<T>, body?: object): Promise<T> => {
    const answer = await ask(options, `${origin}${path}`, method, body);
    if (answer.status !== 200) throw errorOf(answer, origin);
    const parsed = schema.safeParse(answer.json);
    if (!parsed.success) throw new NetworkError('E_PROTOCOL', `${origin} did not answer as a local chain does`);
    return parsed.data;
  };
  return {
    status: () => call('GET', ADMIN_PATHS.status, Status),
    faucet: (to, amountNano, { key } = {}) => call('POST', ADMIN_PATHS.faucet, FaucetResult, { to: to.toRawString(), amountNano: amountNano.toString(), ...(key === undefined ? {} : { key }) }),
    advance: (seconds) => call('POST', ADMIN_PATHS.advance, Block, { seconds }),
    tick: () => call('POST', ADMIN_PATHS.tick, Block, {}),
    addFault: (fault) => call('POST', ADMIN_PATHS.faults, FaultList, fault),
    faults: () => call('GET', ADMIN_PATHS.faults, FaultList),
    clearFaults: async () => {
      await call('DELETE', ADMIN_PATHS.faults, FaultList);
    },
  };
}

interface Answer {
  readonly status: number;
  readonly json: unknown;
}

async function ask({ token, timeoutMs = DEFAULT_TIMEOUT_MS }: AdminOptions, url: string, method: 'GET' | 'POST' | 'DELETE', body: object | undefined): Promise<Answer> {
  try {
    const response = await request(url, {
      method, signal: AbortSignal.timeout(timeoutMs),
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      length += chunk.byteLength;
      if (length > MAX_ANSWER_BYTES) throw new NetworkError('E_PROTOCOL', `${url} sent more than ${MAX_ANSWER_BYTES} bytes`);
      chunks.push(chunk);
    }
    return { status: response.statusCode, json: JSON.parse(Buffer.concat(chunks).toString('utf8')) };
  } catch (error) {
    if (error instanceof CocoonError) throw error;
    if (error instanceof SyntaxError) throw new NetworkError('E_PROTOCOL', `${url} did not answer with JSON`, { cause: error });
    throw new DaemonError('E_NOT_RUNNING', `the local chain does not answer at ${new URL(url).origin}`, { cause: error, hint: 'cocoon localnet start' });
  }
}

function errorOf({ status, json }: Answer, origin: string): CocoonError {
  const parsed = Problem.safeParse(json);
  if (!parsed.success) return new NetworkError('E_PROTOCOL', `${origin} answered HTTP status ${status}`);
  const { code, message } = parsed.data.error;
  if (code === 'E_FUNDS') return new FundsError('E_FUNDS', message);
  if (code === 'E_USAGE') return new UsageError('E_USAGE', message);
  return new NetworkError('E_REMOTE', `${origin} answered ${code}: ${message}`);
}
