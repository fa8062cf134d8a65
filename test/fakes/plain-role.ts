// A proxy or a node of a network without contracts as a process: `plain-role.js ROLE INDEX HOME`. The node's engine gives the answer
// that the prompt names, piece by piece at a pace, and goes on behind an assistant's last message, as every engine does. Nothing
// of it outlives its parent.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Address } from '@ton/core';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { sleep } from '../../src/core/retry.ts';
import { equalBytes } from '../../src/core/bytes.ts';
import { joinAsRole } from '../../src/localnet/membership.ts';
import { startNode } from '../../src/node/node.ts';
import { createSealing } from '../../src/node/sealed-keys.ts';
import { unpaidAccounts as nodeAccounts } from '../../src/node/unpaid-accounts.ts';
import { startProxy } from '../../src/proxy/proxy.ts';
import { unpaidAccounts as proxyAccounts } from '../../src/proxy/unpaid-accounts.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { createInstantEngine } from './instant-engine.ts';
import type { EngineRequest } from '../../src/node/engine.ts';

export interface PlainWorld {
  readonly version: string;
  readonly model: string;
  readonly sequences: number;
  readonly pieceDelayMs: number;
  readonly proxies: readonly { readonly clients: number; readonly workers: number }[];
}

export const worldFile = (home: string): string => join(home, 'plain-world.json');

/** Pieces of the answer to "pieces COUNT SEED": words that follow from the seed, so that a lost or doubled one is seen. */
export function piecesOf(count: number, seed: number): string[] {
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  return Array.from({ length: count }, (_, index) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return `${index === 0 ? '' : ' '}${state % 7 === 0 ? '«é🦊»' : ''}${(state >>> 8) % 1_000}`;
  });
}

const WISH = /pieces (\d+) (\d+)/;

/** What is still to be said of the answer that the prompt names. */
function restOf({ prompt }: EngineRequest): readonly string[] {
  if (prompt.kind !== 'chat') return [];
  const wish = WISH.exec(prompt.messages.map(({ content }) => content).join(' '));
  const pieces = piecesOf(Number(wish?.[1] ?? 1), Number(wish?.[2] ?? 0));
  const last = prompt.messages.at(-1);
  if (last?.role !== 'assistant') return pieces;
  const text = pieces.join('');
  if (!text.startsWith(last.content)) return ['<what was received is not the answer>'];
  return text.slice(last.content.length).match(/ ?[^ ]+/gu) ?? [];
}

const HOST = '127.0.0.1';
const REDIAL_MS = 250;
const TERMS = { globalId: 0, bond: new Address(0, Buffer.alloc(32)), pricePerTokenNano: 0n, paramsVersion: 0 };

async function runNode(world: PlainWorld, home: string): Promise<void> {
  const member = await joinAsRole(home, 'worker', world.version);
  const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
  const [imageHash = new Uint8Array(32)] = member.policy('worker').imageHashes;
  const model = `${world.model}@plain:0`;
  const sealing = await createSealing({ identity: () => identity.current(), imageHash, model, root: '', clock: systemClock, log: silentLog });
  const node = startNode({
    engine: createInstantEngine({ model: world.model, sequences: world.sequences, pieces: restOf, firstDelayMs: world.pieceDelayMs, pieceDelayMs: world.pieceDelayMs }), model, coefficient: 1_000,
    proxies: world.proxies.map(({ workers }) => ({ host: HOST, port: workers })), identity: () => identity.current(),
    verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }), accounts: nodeAccounts(identity.publicKey), isTest: true, clock: systemClock, log: silentLog,
    sleep: (ms, signal) => sleep(Math.min(ms, REDIAL_MS), signal), sealing: { sealing, terms: () => TERMS },
  });
  await node.ready;
}

async function runProxy(world: PlainWorld, home: string, index: number): Promise<void> {
  const ports = world.proxies[index];
  if (ports === undefined) throw new Error(`there is no proxy ${index}`);
  const member = await joinAsRole(home, 'proxy', world.version);
  const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
  const policy = member.policy('worker');
  await startProxy({
    clients: { host: HOST, port: ports.clients }, workers: { host: HOST, port: ports.workers }, identity: () => identity.current(),
    verifyClient: createVerifyPeer({ kind: 'any' }, { clock: systemClock }), verifyWorker: createVerifyPeer(policy, { clock: systemClock }),
    rules: { imageAllowed: (hash) => policy.imageHashes.some((allowed) => equalBytes(allowed, hash)), modelAllowed: () => true },
    accounts: proxyAccounts({ publicKey: identity.publicKey, isTest: true }), powDifficultyBits: 0, isTest: true, clock: systemClock, log: silentLog,
  });
}

/** To be called as a process only. */
export async function runPlainRole([role, index, home]: readonly string[]): Promise<void> {
  if (home === undefined) throw new Error('expected ROLE INDEX HOME');
  // oxlint-disable-next-line unicorn/no-process-exit
  process.on('disconnect', () => process.exit(9));
  const world = JSON.parse(readFileSync(worldFile(home), 'utf8')) as PlainWorld;
  await (role === 'proxy' ? runProxy(world, home, Number(index)) : runNode(world, home));
  process.send?.({ kind: 'ready' });
}

if (process.send !== undefined && process.argv[1]?.endsWith('plain-role.js') === true) await runPlainRole(process.argv.slice(2));
