// `cocoon serve`: an OpenAI-compatible endpoint on this machine. It answers once a proxy of the network has been verified, and its
// nodes where requests are sealed to them; keeps verified connections warm, stays up when proxies and nodes do not, and refuses
// everything that it could not keep to.
import { resolve } from 'node:path';
import { createCallers, parseApiKeys } from '../client/endpoint/callers.ts';
import { openAiProblem } from '../client/endpoint/problems.ts';
import { watchNodes } from '../client/endpoint/nodes.ts';
import { endpointRoutes } from '../client/endpoint/routes.ts';
import { createFaultBoard } from '../client/faults.ts';
import { createForwarder } from '../client/forward.ts';
import { openSessionPool } from '../client/session-pool.ts';
import { readBounded } from '../core/files.ts';
import { formatTon } from '../core/units.ts';
import { createHttpServer } from '../http/server.ts';
import { openClient, priceOf } from './client.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { declarePassphrase } from './passphrase.ts';
import { declareSeal, sealModeOf } from './paying.ts';
import { continuesOf, declareStayingUp, hedgeMsOf } from './staying-up.ts';
import { decimalNumber, listenAddress, tonAmount, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Log } from '../core/log.ts';
import type { ApiKey } from '../client/endpoint/callers.ts';
import type { RunningRole } from './daemon.ts';
import type { Invocation } from './command.ts';
import type { StayingUpOptions } from './staying-up.ts';
import type { HostPort } from './values.ts';

/** As the network's other clients. */
const DEFAULT_LISTEN: HostPort = { host: '127.0.0.1', port: 10_000 };
const DEFAULT_MAX_PRICE = 4;
const DEFAULT_MAX_TOKENS = 4_096;
/** Limit of an answer where the request has none. */
const USUAL_MAX_TOKENS = 1_000;
const MAX_KEY_FILE = 256 * 1024;
/** A slow application on this machine must not hold up a connection for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Applications of this machine that ask at the same time. */
const MAX_CONNECTIONS = 1_024;

interface ServeOptions extends StayingUpOptions {
  readonly listen?: HostPort;
  readonly maxPrice?: number;
  readonly maxTokens?: number;
  readonly sessionBudget?: bigint;
  readonly apiKeys?: string;
}

export function declare(command: Command): void {
  command
    .option('--listen <host:port>', `where to listen on this machine (default: ${DEFAULT_LISTEN.host}:${DEFAULT_LISTEN.port})`, listenAddress)
    .option('--max-price <factor>', `highest price accepted, as a multiple of the network's (default: ${DEFAULT_MAX_PRICE})`, decimalNumber(0, 1_000))
    .option('--max-tokens <n>', `most tokens that one answer may have (default: ${DEFAULT_MAX_TOKENS})`, wholeNumber(1, 10_000_000))
    .option('--session-budget <ton>', 'most TON that this process may spend', tonAmount())
    .option('--api-keys <file>', 'file of API keys, one a line, each with a budget in TON if wanted (default: everybody on this machine)');
  declareStayingUp(command);
  declareSeal(command);
  declarePassphrase(command);
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const options: ServeOptions = invocation.options;
  const { context } = invocation;
  const keys = options.apiKeys === undefined ? [] : parseApiKeys(Buffer.from(await readBounded(resolve(context.cwd, options.apiKeys), MAX_KEY_FILE, { private: true })).toString('utf8'));
  await runDaemon('client', invocation, (log) => start(invocation, options, keys, log));
}

async function start(invocation: Invocation, options: ServeOptions, keys: readonly ApiKey[], log: Log): Promise<RunningRole> {
  const { settings, context } = invocation;
  const { listen = DEFAULT_LISTEN, maxPrice = DEFAULT_MAX_PRICE, maxTokens = DEFAULT_MAX_TOKENS, sessionBudget = null } = options;
  const timeoutMs = settings.durationMs('timeout');
  const client = await openClient(invocation, { renewed: true, log });
  const now = (): number => context.clock.now();
  const board = createFaultBoard(now);
  const pool = openSessionPool({ connector: client.connector, connectTimeoutMs: timeoutMs, log, board });
  const nodes = watchNodes({ pool, sealed: sealModeOf(invocation) === 'require', log });
  const close = async (): Promise<void> => {
    await nodes.close();
    await pool.close();
    await client.end();
  };
  try {
    const server = await createHttpServer({
      ...listen, loopbackOnly: true, rawBodies: true, requestTimeoutMs: REQUEST_TIMEOUT_MS, maxConnections: MAX_CONNECTIONS, log, onProblem: openAiProblem,
      routes: await endpointRoutes({
        pool, nodes, board, callers: createCallers(keys, sessionBudget), now, timeoutMs, continueAnswers: continuesOf(options, settings),
        forwarder: createForwarder({ pool, board, hedgeMs: hedgeMsOf(options, settings) }),
        price: () => priceOf(client.network) ?? { perTokenNano: 0n, largestMultiplier: 0 },
        maxCoefficient: Math.floor(maxPrice * 1000), maxTokens, defaultMaxTokens: Math.min(maxTokens, USUAL_MAX_TOKENS),
      }),
    });
    const stop = async (): Promise<void> => {
      await server.close();
      await close();
    };
    try {
      // Not before: an application that is told to use this endpoint must not find it unverified.
      const { address, peer } = await pool.acquire({ timeoutMs, signal: context.signal });
      const { verified, problem } = await nodes.firstLook(context.signal);
      if (problem !== null) log.warn('no node is ready', { code: problem.code, reason: problem.message });
      return {
        facts: {
          url: `${server.url}/v1`, proxy: address, evidence: peer.evidence, nodes: String(verified), keys: String(keys.length),
          maxPrice: String(maxPrice), maxTokens: String(maxTokens), budget: sessionBudget === null ? 'none' : `${formatTon(sessionBudget)} TON`,
        },
        ended: new Promise(() => {}), // only a signal ends it; a network that is gone is looked for until it is back
        close: stop,
      };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    await close();
    throw error;
  }
}
