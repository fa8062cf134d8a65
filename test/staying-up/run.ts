// Proxies and nodes as processes, one of them killed every few seconds, and streamed requests through the endpoint of `cocoon serve`
// meanwhile. Every answer is compared with what it must be, to the byte; what an application would notice is counted, and so is
// what is wrong, and what looks complete and is not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unpaidAccounts } from '../../src/client/accounts.ts';
import { createConnector } from '../../src/client/connect.ts';
import { systemClock } from '../../src/core/clock.ts';
import { sleep } from '../../src/core/retry.ts';
import { localnetLayout } from '../../src/localnet/layout.ts';
import { joinAsClient } from '../../src/localnet/membership.ts';
import { describeLocalnet } from '../../src/localnet/network.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { WorldProcess } from '../chaos/process.ts';
import { stripSources } from '../chaos/stripped.ts';
import { freePorts } from '../chaos/world.ts';
import { startEndpoint } from '../client/endpoint/world.ts';
import { piecesOf, worldFile } from '../fakes/plain-role.ts';
import type { SealMode } from '../../src/client/sealed-session.ts';
import type { PlainWorld } from '../fakes/plain-role.ts';
import type { TestEndpoint } from '../client/endpoint/world.ts';

export interface StayingUpOptions {
  readonly proxies: number;
  readonly nodes: number;
  readonly requests: number;
  /** Requests at the same time. */
  readonly parallel: number;
  readonly pieceDelayMs: number;
  readonly minPieces: number;
  readonly maxPieces: number;
  /** Between two kills, and from a kill to the new start. */
  readonly killEveryMs: number;
  readonly restartAfterMs: number;
  readonly seal: SealMode;
  readonly seed: number;
  readonly progress?: (text: string) => void;
}

export interface StayingUpResult {
  readonly requests: number;
  /** As the application sees them. */
  readonly complete: number;
  /** Errors, by code or text; each was noticed. */
  readonly noticed: Readonly<Record<string, number>>;
  /** Text that is not a beginning of the answer, in answers that ended well or badly. */
  readonly wrong: readonly string[];
  /** Ended like a complete answer, and is not one. */
  readonly falselyComplete: readonly string[];
  readonly killed: { readonly proxies: number; readonly nodes: number };
  /** What the endpoint did unseen. */
  readonly unseen: { readonly retries: number; readonly continued: number };
  readonly seconds: number;
  readonly firstByteMs: { readonly median: number; readonly p99: number; readonly worst: number };
}

export const FULL: StayingUpOptions = { proxies: 3, nodes: 6, requests: 1_000, parallel: 12, pieceDelayMs: 25, minPieces: 20, maxPieces: 60, killEveryMs: 3_000, restartAfterMs: 500, seal: 'require', seed: 1 };
export const SHORT: StayingUpOptions = { ...FULL, proxies: 2, nodes: 2, requests: 32, parallel: 8, maxPieces: 40, killEveryMs: 900, restartAfterMs: 100 };

const VERSION = '0.0.0-plain';
const MODEL = 'words';
const START_MS = 60_000;

export async function runStayingUp(options: StayingUpOptions): Promise<StayingUpResult> {
  const home = mkdtempSync(join(tmpdir(), 'cocoon-staying-up-'));
  const processes: WorldProcess[] = [];
  let ending = false;
  try {
    const entry = join(dirname(stripSources(join(home, 'sources'))), '../fakes/plain-role.js');
    const ports = await freePorts(2 * options.proxies);
    const proxies = Array.from({ length: options.proxies }, (_, index) => ({ clients: ports[2 * index] ?? 0, workers: ports[2 * index + 1] ?? 0 }));
    await describeLocalnet(localnetLayout(home), VERSION);
    writeFileSync(worldFile(home), JSON.stringify({ version: VERSION, model: MODEL, sequences: 64, pieceDelayMs: options.pieceDelayMs, proxies } satisfies PlainWorld));
    const problems: string[] = [];
    const add = (role: 'proxy' | 'node', index: number): void => {
      processes.push(new WorldProcess({
        entry, role, index, home, onViolation: (text) => problems.push(text),
        onEnd: (end) => { if (!end.asked && !ending) problems.push(`${role}-${index} ended by itself: ${end.fatal?.message ?? String(end.code)}`); },
      }));
    };
    for (let index = 0; index < options.proxies; index += 1) add('proxy', index);
    for (let index = 0; index < options.nodes; index += 1) add('node', index);
    for (const each of processes) each.start();
    const waiting = new AbortController();
    const started = await Promise.race([Promise.all(processes.map((each) => each.ready())), sleep(START_MS, waiting.signal).then(() => [false], () => [])]);
    waiting.abort();
    if (started.some((ready) => !ready)) throw new Error(`processes did not start: ${problems.join('; ')}`);
    const endpoint = await openEndpoint(home, proxies.map(({ clients }) => ({ host: '127.0.0.1', port: clients })), options.seal);
    try {
      const result = await drive(endpoint, processes, options);
      if (problems.length > 0) throw new Error(problems.join('; '));
      return result;
    } finally {
      await endpoint.close();
    }
  } finally {
    ending = true;
    await Promise.all(processes.map((each) => each.kill('SIGKILL')));
    rmSync(home, { recursive: true, force: true });
  }
}

async function openEndpoint(home: string, proxies: readonly { host: string; port: number }[], seal: SealMode): Promise<TestEndpoint> {
  const member = await joinAsClient(home);
  const identity = await createTlsIdentity({ clock: systemClock, evidence: () => ({ family: 'none' }) });
  identity.close(); // no run takes as long as a certificate
  const connector = createConnector({
    proxies, identity: () => identity.current(), verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }), accounts: unpaidAccounts(identity.publicKey), isTest: true,
    seal: { mode: seal, verifyNode: createVerifyPeer(member.policy('worker'), { clock: systemClock }), root: '', clock: systemClock },
  });
  return startEndpoint(connector, { size: 2, timeoutMs: 60_000 });
}

/** Deterministic numbers in [0, 1). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Tally { complete: number; noticed: Record<string, number>; wrong: string[]; falselyComplete: string[]; firstByteMs: number[] }

async function drive(endpoint: TestEndpoint, processes: readonly WorldProcess[], options: StayingUpOptions): Promise<StayingUpResult> {
  const { requests, parallel, minPieces, maxPieces, seed, progress } = options;
  const random = randomOf(seed);
  const tally: Tally = { complete: 0, noticed: {}, wrong: [], falselyComplete: [], firstByteMs: [] };
  const over = new AbortController();
  // The first answer shows that everything is there before anything is killed.
  while (endpoint.pool.state.kind !== 'ready' || (await fetch(`${endpoint.url}/health`)).status !== 200) await sleep(100);
  const startedMs = performance.now();
  const killing = kill(processes, options, over.signal);
  let next = 0;
  await Promise.all(Array.from({ length: parallel }, async () => {
    while (next < requests) {
      const number = next;
      next += 1;
      await askOne(endpoint.url, number, minPieces + Math.floor(random() * (maxPieces - minPieces)), tally);
      if (number % 100 === 99) progress?.(`${number + 1} requests, ${tally.complete} complete, ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
    }
  }));
  over.abort();
  const killed = await killing;
  const { requests: { retries, continued } } = await (await fetch(`${endpoint.url}/stats`)).json() as { requests: { retries: number; continued: number } };
  const sorted = tally.firstByteMs.toSorted((a, b) => a - b);
  const quantile = (share: number): number => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return {
    requests, complete: tally.complete, noticed: tally.noticed, wrong: tally.wrong, falselyComplete: tally.falselyComplete, killed, unseen: { retries, continued },
    seconds: Math.round((performance.now() - startedMs) / 1000), firstByteMs: { median: quantile(0.5), p99: quantile(0.99), worst: quantile(1) },
  };
}

async function kill(processes: readonly WorldProcess[], { killEveryMs, restartAfterMs, seed }: StayingUpOptions, signal: AbortSignal): Promise<{ proxies: number; nodes: number }> {
  const random = randomOf(seed + 7);
  const killed = { proxies: 0, nodes: 0 };
  while (!signal.aborted) {
    await sleep(killEveryMs, signal).catch(() => undefined);
    if (signal.aborted) return killed;
    // One at a time: the next one when the last one is back.
    const victim = processes[Math.floor(random() * processes.length)];
    if (victim === undefined || !processes.every((each) => each.isReady)) continue;
    killed[victim.role === 'proxy' ? 'proxies' : 'nodes'] += 1;
    await victim.kill('SIGKILL');
    void sleep(restartAfterMs, signal).then(() => victim.start(), () => undefined);
  }
  return killed;
}

interface Chunk { readonly id?: string; readonly choices?: { delta?: { content?: string }; finish_reason?: string | null }[]; readonly error?: { code?: string; message?: string } }

/** One request as an application makes it, without any retry of its own. */
async function askOne(url: string, number: number, pieces: number, tally: Tally): Promise<void> {
  const expected = piecesOf(pieces, number).join('');
  const startedMs = performance.now();
  let text = '';
  let finish: string | null = null;
  let done = false;
  let error: string | null = null;
  const ids = new Set<string>();
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: `pieces ${pieces} ${number}` }], stream: true, max_tokens: pieces + 100 }),
    });
    if (response.status !== 200) throw new Error(`${response.status} ${JSON.stringify(await response.json())}`);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const bytes of response.body ?? []) {
      if (text === '') tally.firstByteMs.push(performance.now() - startedMs);
      rest += decoder.decode(bytes as Uint8Array, { stream: true });
      const events = rest.split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const data = event.slice('data: '.length);
        if (data === '[DONE]') {
          done = true;
          continue;
        }
        const chunk = JSON.parse(data) as Chunk;
        if (chunk.error !== undefined) throw new Error(`${chunk.error.code}: ${chunk.error.message}`);
        ids.add(chunk.id ?? '');
        text += chunk.choices?.[0]?.delta?.content ?? '';
        finish = chunk.choices?.[0]?.finish_reason ?? finish;
      }
    }
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message.slice(0, 160) : String(thrown);
  }
  const told = `request ${number}: ${text.length} of ${expected.length} characters, finish ${finish}, done ${done}, ${error ?? 'no error'}`;
  if (!expected.startsWith(text) || ids.size > 1) tally.wrong.push(told);
  if (error === null && (text !== expected || finish !== 'stop' || !done)) tally.falselyComplete.push(told);
  if (error !== null && (done || finish !== null)) tally.falselyComplete.push(told);
  if (error === null) tally.complete += 1;
  else tally.noticed[error] = (tally.noticed[error] ?? 0) + 1;
}
