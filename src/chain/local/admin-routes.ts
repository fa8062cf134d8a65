// The admin side of a local chain: status, faucet, time, faults. Refuses a request without the token of the chain's folder,
// and any request that a web page makes: what may be asked here moves money and time.
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { Address } from '@ton/core';
import type { z } from 'zod';
import { HttpStatusError } from '../../http/routes.ts';
import type { HttpReply, HttpRequest, HttpRoute } from '../../http/routes.ts';
import { ADMIN_PATHS, AdvanceBody, FaucetBody, FaultBody } from './admin-protocol.ts';
import type { ChainStatus, FaucetReceipt } from './admin-protocol.ts';
import type { Faults } from './faults.ts';
import type { LocalChain } from './local-chain.ts';

export interface AdminPorts {
  readonly chain: LocalChain;
  readonly faults: Faults;
  /** 64 hexadecimal digits. */
  readonly token: string;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

function authorize({ headers }: HttpRequest, token: string): void {
  if (headers['origin'] !== undefined) throw new HttpStatusError(403, 'E_USAGE', 'web pages may not use the admin interface');
  const { authorization } = headers;
  // Digests, because the comparison needs equal lengths.
  if (typeof authorization !== 'string' || !timingSafeEqual(digest(authorization), digest(`Bearer ${token}`))) {
    throw new HttpStatusError(401, 'E_USAGE', 'the token of the admin interface is missing or wrong');
  }
}

function bodyOf<T>(schema: z.ZodType<T>, { body }: HttpRequest): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new HttpStatusError(422, 'E_USAGE', `${issue?.path.join('.') || 'body'}: ${issue?.message ?? 'malformed'}`);
}

function status(chain: LocalChain): ChainStatus {
  const { genesis: { globalId, era }, head: { seqno, time }, offsetS, index, waiting } = chain.state;
  return { globalId, era, faucet: chain.faucetAddress.toRawString(), seqno, time, offsetS, transactions: index.count, waiting: waiting.size, diskBytes: chain.diskBytes };
}

async function faucet(chain: LocalChain, request: HttpRequest): Promise<FaucetReceipt> {
  const { to, amountNano, key = randomUUID() } = bodyOf(FaucetBody, request);
  const { lt, hash, seqno } = await chain.faucet({ to: Address.parse(to), amountNano: BigInt(amountNano), key });
  return { lt: lt.toString(), hash, seqno };
}

export function adminRoutes({ chain, faults, token }: AdminPorts): HttpRoute[] {
  const route = (method: HttpRoute['method'], path: string, handler: (request: HttpRequest) => Promise<unknown> | unknown): HttpRoute => ({
    method, path,
    handler: async (request): Promise<HttpReply> => {
      authorize(request, token);
      return { json: await handler(request) };
    },
  });
  return [
    route('GET', ADMIN_PATHS.status, () => status(chain)),
    route('POST', ADMIN_PATHS.faucet, (request) => faucet(chain, request)),
    route('POST', ADMIN_PATHS.advance, (request) => chain.advance(bodyOf(AdvanceBody, request).seconds)),
    route('POST', ADMIN_PATHS.tick, () => chain.tick()),
    route('GET', ADMIN_PATHS.faults, () => faults.list()),
    route('POST', ADMIN_PATHS.faults, (request) => {
      if (!faults.add(bodyOf(FaultBody, request))) throw new HttpStatusError(422, 'E_USAGE', 'there are too many faults; clear them first');
      return faults.list();
    }),
    route('DELETE', ADMIN_PATHS.faults, () => {
      faults.clear();
      return [];
    }),
  ];
}
