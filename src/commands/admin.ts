// Questions and orders to a daemon of this machine: HTTP on the loopback address, each with a token that lies in a private file
// beside the daemon's record. Refuses everything without the token, and answers of another shape or size.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { request } from 'undici';
import { z } from 'zod';
import { isErrorCode } from '../core/codes.ts';
import { CocoonError, DaemonError, NetworkError, NotFoundError } from '../core/errors.ts';
import { pathExists, readBounded, removeFile, writeFileAtomic } from '../core/files.ts';
import { HttpStatusError } from '../http/routes.ts';
import { createHttpServer } from '../http/server.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { recordPath } from './daemon.ts';
import type { HttpRequest, HttpRoute } from '../http/routes.ts';
import type { Log } from '../core/log.ts';
import type { LocalRole } from '../localnet/layout.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

/** Answers by path, `/status` for example. What they return becomes JSON, bigints as text. */
export type AdminAnswers = Readonly<Record<`/${string}`, () => unknown>>;
/** Orders by path; `body` is the JSON that came with it, of any shape. */
export type AdminActions = Readonly<Record<`/${string}`, (body: unknown) => Promise<unknown>>>;

const MAX_ANSWER_BYTES = 4 << 20;
const ASK_MS = 30_000;
const AdminFile = z.strictObject({ url: z.string().regex(/^http:\/\/127\.0\.0\.1:\d{1,5}$/), token: z.string().regex(/^[0-9a-f]{64}$/) });

const adminFile = (record: string): string => `${record.replace(/\.json$/, '')}.admin`;

const sameToken = (given: string, token: string): boolean => {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
};

const asJson = (value: unknown): string => JSON.stringify(value, (_key, inner: unknown) => typeof inner === 'bigint' ? inner.toString() : inner);

/** Serves until `close`. */
export async function startAdmin(invocation: Invocation, role: LocalRole, answers: AdminAnswers, log: Log, actions: AdminActions = {}): Promise<{ close(): Promise<void> }> {
  const token = randomBytes(32).toString('hex');
  const check = ({ headers: { authorization } }: HttpRequest): void => {
    const given = typeof authorization === 'string' && authorization.startsWith('Bearer ') ? authorization.slice('Bearer '.length) : '';
    if (!sameToken(given, token)) throw new HttpStatusError(401, 'E_USAGE', 'the token is missing or wrong');
  };
  const route = (method: 'GET' | 'POST', path: string, answer: (body: unknown) => unknown): HttpRoute => ({
    method, path,
    handler: async (asked) => {
      check(asked);
      return { text: asJson(await answer(asked.body)), headers: { 'content-type': 'application/json' } };
    },
  });
  const server = await createHttpServer({
    host: '127.0.0.1', port: 0, loopbackOnly: true, log, maxConnections: 16,
    routes: [...Object.entries(answers).map(([path, answer]) => route('GET', path, () => answer())), ...Object.entries(actions).map(([path, action]) => route('POST', path, action))],
  });
  const file = adminFile(recordPath(invocation, role));
  await writeFileAtomic(file, `${JSON.stringify({ url: server.url, token })}\n`);
  return {
    close: async () => {
      await removeFile(file);
      await server.close();
    },
  };
}

/**
 * Asks the daemon of a role that runs on this machine, or gives it an order (`body`). Throws DaemonError `E_NOT_RUNNING`,
 * NetworkError, and what the daemon itself refused with.
 */
export async function askAdmin<T>(invocation: Invocation, role: LocalRole, path: keyof AdminAnswers, schema: z.ZodType<T>, body?: JsonValue): Promise<T> {
  const { url, token } = await readAdminFile(invocation, role);
  const { status, text } = await ask(`${url}${path}`, token, role, body);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new NetworkError('E_PROTOCOL', `the ${role} did not answer with JSON`, { cause });
  }
  if (status !== 200) throw refusalOf(json) ?? new NetworkError('E_REMOTE', `the ${role} answered HTTP status ${status}: ${text.slice(0, 300)}`);
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new NetworkError('E_PROTOCOL', `the ${role} answered something else than expected`, { cause: parsed.error, hint: 'use the same version of cocoon for both' });
  return parsed.data;
}

const Refusal = z.object({ error: z.object({ code: z.string(), message: z.string().max(10_000), hint: z.string().max(10_000).optional() }) });

/** What the daemon refused with, as an error of its own code; null for anything else. */
function refusalOf(json: unknown): CocoonError | null {
  const parsed = Refusal.safeParse(json);
  if (!parsed.success) return null;
  const { code, message, hint } = parsed.data.error;
  return isErrorCode(code) ? new CocoonError(code, message, hint === undefined ? {} : { hint }) : null;
}

async function readAdminFile(invocation: Invocation, role: LocalRole): Promise<z.infer<typeof AdminFile>> {
  const own = adminFile(recordPath(invocation, role));
  const local = adminFile(localnetLayout(invocation.settings.home).record(role));
  const isLocal = invocation.options['runFile'] === undefined && invocation.settings.text('network') === 'local' && await pathExists(local);
  try {
    return AdminFile.parse(JSON.parse(Buffer.from(await readBounded(isLocal ? local : own, 4096, { private: true })).toString('utf8')));
  } catch (cause) {
    if (cause instanceof CocoonError && !(cause instanceof NotFoundError)) throw cause;
    throw new DaemonError('E_NOT_RUNNING', `no ${role} is running on this machine`, { cause, hint: `start one with \`cocoon ${role} start\`, or name its record with --run-file` });
  }
}

async function ask(url: string, token: string, role: string, order: JsonValue | undefined): Promise<{ status: number; text: string }> {
  try {
    const { statusCode, body } = await request(url, {
      signal: AbortSignal.timeout(ASK_MS),
      ...(order === undefined ? { headers: { authorization: `Bearer ${token}` } }
        : { method: 'POST' as const, body: JSON.stringify(order), headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } }),
    });
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      length += chunk.byteLength;
      if (length > MAX_ANSWER_BYTES) throw new NetworkError('E_TOO_LARGE', `the ${role} sent more than ${MAX_ANSWER_BYTES} bytes`);
      chunks.push(chunk);
    }
    return { status: statusCode, text: Buffer.concat(chunks).toString('utf8') };
  } catch (cause) {
    if (cause instanceof CocoonError) throw cause;
    throw new DaemonError('E_NOT_RUNNING', `the ${role} does not answer`, { cause, hint: 'look at its log' });
  }
}
