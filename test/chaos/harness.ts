// A whole paid network of processes, and what the driver does to it: starts everything, supervises, carries out the steps, brings
// it to rest. Everything that must not be is a violation, told with the seed and the step.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep } from '../../src/core/retry.ts';
import { forward } from '../fakes/forwarder.ts';
import { adminOf, createWorld } from './create-world.ts';
import { readLedger } from './ledger-reading.ts';
import { WorldProcess } from './process.ts';
import { stripSources } from './stripped.ts';
import { freePorts, writeWorld } from './world.ts';
import type { Forwarder } from '../fakes/forwarder.ts';
import type { Step } from './driver.ts';
import type { LedgerRow } from './ledger-reading.ts';
import type { Ask, Asked, ProxyStatusReply } from './messages.ts';
import type { End, Role } from './process.ts';
import type { Ports, Size, World } from './world.ts';

/** Reasons for which a start may fail while the chain is troubled; a supervisor starts it again. */
const TRANSIENT = new Set(['E_CHAIN_UNREACHABLE', 'E_CHAIN_STALE', 'E_CHAIN_DATA', 'E_CHAIN_DISAGREES', 'E_CHAIN_REFUSED', 'E_TIMEOUT']);
/** What a claim may end with besides. */
const CLAIM_ENDS = new Set([...TRANSIENT, 'E_UNCONFIRMED', 'E_WALLET_BUSY', 'E_TX_EXPIRED']);
/** A lagging endpoint alone made the wallet sign with a number that was used: nothing was sent, and the next claim goes on. */
const STALE_NUMBER = /^another message of this wallet used sequence number \d+; this one was not/;
const RESTART_MS = 400;
const START_MS = 240_000;
const READY_WAIT_MS = 5_000;
const REST_MS = 150_000;
const STOP_MS = 40_000;

export interface HarnessOptions {
  readonly seed: string;
  readonly size: Size;
  /** Requests at the same time. */
  readonly atOnce: number;
  readonly progress: (text: string) => void;
}

interface ProxyWay {
  readonly clients: Forwarder & { close(): Promise<void> };
  readonly workers: Forwarder & { close(): Promise<void> };
}

export interface ProxyKill {
  readonly proxy: number;
  readonly at: number;
}

export interface NodeKill {
  readonly node: number;
  readonly at: number;
}

/** The result of `work`, or `late` after so long. */
async function within<T, L>(work: Promise<T>, ms: number, late: L): Promise<T | L> {
  const timer = new AbortController();
  try {
    return await Promise.race([work, sleep(ms, timer.signal).then(() => late)]);
  } finally {
    timer.abort(new Error('no longer waited for'));
  }
}

export class Harness {
  readonly violations: string[] = [];
  readonly outcomes = new Map<string, number>();
  /** Sudden deaths of proxies, and their ends that were asked for. */
  readonly proxyEnds: ProxyKill[] = [];
  /** Sudden deaths of nodes. */
  readonly nodeKills: NodeKill[] = [];
  readonly counts = { kills: 0, stops: 0, freezes: 0, cuts: 0, holds: 0, faults: 0, claims: 0 };
  step = 0;
  readonly #options: HarnessOptions;
  readonly #home: string;
  readonly #entry: string;
  readonly #ways: ProxyWay[] = [];
  readonly #processes: WorldProcess[] = [];
  readonly #asks = new Set<Promise<void>>();
  readonly #later = new Set<Promise<void>>();
  readonly #snapshots = new Map<number, ReadonlyMap<string, LedgerRow>>();
  readonly #ending = new AbortController();
  #world: World | null = null;
  #stopped = false;

  constructor(options: HarnessOptions) {
    this.#options = options;
    this.#home = mkdtempSync(join(tmpdir(), 'cocoon-chaos-'));
    this.#entry = stripSources(join(this.#home, 'code'));
  }

  get world(): World {
    if (this.#world === null) throw new Error('the world is not made yet');
    return this.#world;
  }

  violation(text: string): void {
    const full = `seed ${this.#options.seed}, step ${this.step}: ${text}`;
    this.violations.push(full);
    this.#options.progress(`VIOLATION ${full}`);
  }

  async start(): Promise<void> {
    const { size, seed, progress } = this.#options;
    const [chainPort = 0, ...ports] = await freePorts(1 + 2 * size.proxies);
    const proxies: { inner: Ports; outer: Ports }[] = [];
    for (let index = 0; index < size.proxies; index += 1) {
      const inner: Ports = { clients: ports[2 * index] ?? 0, workers: ports[2 * index + 1] ?? 0 };
      const way = { clients: await forward({ host: '127.0.0.1', port: inner.clients }), workers: await forward({ host: '127.0.0.1', port: inner.workers }) };
      this.#ways.push(way);
      proxies.push({ inner, outer: { clients: way.clients.port, workers: way.workers.port } });
    }
    const draft = { seed, home: this.#home, globalId: -7_301, chainPort, size, settling: false };
    writeWorld({ ...draft, root: '', proxies: [] });
    await this.#run('chain', 0).ready();
    this.#world = await createWorld(draft, proxies, this.#ending.signal);
    writeWorld(this.#world);
    progress('the contracts are on the chain');
    for (const [role, count] of [['proxy', size.proxies], ['node', size.nodes], ['clients', size.clientProcesses]] as const) {
      for (let index = 0; index < count; index += 1) this.#run(role, index);
    }
    await this.#until(() => this.#processes.every((each) => each.isReady), START_MS, 'the processes did not start');
    await this.#connected();
    progress('everybody is connected');
  }

  async carryOut(step: Step): Promise<void> {
    switch (step.kind) {
      case 'ask':
        this.step += 1;
        await this.#ask(step.ask);
        break;
      case 'kill': {
        // Something always serves: the next one dies when the last one is back.
        await this.#until(() => this.#processes.filter(({ isReady }) => !isReady).length <= 1, START_MS, 'a process did not come back');
        const victim = this.#find(step.role, step.index);
        if (!victim.isRunning || victim.isEnding) return;
        this.counts[step.gently ? 'stops' : 'kills'] += 1;
        this.#background(this.#killAndRestart(victim, step.gently, step.backAfterMs));
        break;
      }
      case 'freeze': {
        const victim = this.#find(step.role, step.index);
        this.counts.freezes += 1;
        victim.freeze(true);
        this.#background(sleep(step.forMs).then(() => victim.freeze(false)));
        break;
      }
      case 'cut':
        this.counts.cuts += 1;
        this.#ways[step.proxy]?.[step.side].cut();
        break;
      case 'hold': {
        this.counts.holds += 1;
        const way = this.#ways[step.proxy]?.[step.side];
        way?.hold(true);
        this.#background(sleep(step.forMs).then(() => way?.hold(false)));
        break;
      }
      case 'fault':
        this.counts.faults += 1;
        this.#background(adminOf(this.world).then((admin) => admin.addFault(step.fault)).then(() => undefined, () => undefined)); // the chain may be dead now
        break;
      case 'claim':
        this.counts.claims += 1;
        this.#background(this.#claim(step.node, step.killAfterMs));
        break;
    }
  }

  /** Everybody alive, everything delivered and claimed, all books up to date; then everything ends in order. */
  async rest(): Promise<void> {
    const { progress } = this.#options;
    await this.#until(() => this.#asks.size === 0, 60_000, 'requests did not end');
    for (const way of this.#ways) for (const side of [way.clients, way.workers]) side.hold(false);
    await Promise.all(this.#later);
    await this.#until(() => this.#processes.every(({ isReady }) => isReady), START_MS, 'a process did not come back');
    await (await adminOf(this.world)).clearFaults();
    progress('quiet: every payment is delivered now');
    this.#world = { ...this.world, settling: true };
    writeWorld(this.world);
    await Promise.all(this.#all('proxy').map((each) => this.#restart(each)));
    await this.#connected();
    await this.#untilStatus((statuses) => statuses.flatMap(({ proxy, status }) => [
      ...(status.refusal === null ? [] : [`proxy ${proxy} refuses: ${status.refusal}`]),
      ...(status.running === 0 ? [] : [`proxy ${proxy} has ${status.running} requests running`]),
      ...status.accounts.flatMap((account) => account.reserved === '0' && new Set([account.accrued, account.durable, account.committed, account.signed]).size === 1 ? [] : [`proxy ${proxy}: ${JSON.stringify(account)}`]),
    ]), 'not everything was committed and signed');
    await Promise.all(this.#all('node').map((each) => this.#restart(each)));
    await this.#connected();
    await Promise.all(this.#all('node').map(({ index }) => this.#claim(index, null, true)));
    await this.#untilStatus((statuses) => statuses.flatMap(({ proxy, status }) =>
      status.accounts.flatMap((account) => account.claimed === account.signed ? [] : [`proxy ${proxy}: ${JSON.stringify(account)}`])), 'not everything was charged and paid');
    await this.#connected();
    for (const role of ['clients', 'node', 'proxy', 'chain'] as const) await Promise.all(this.#all(role).map((each) => this.#stop(each)));
    this.#stopped = true;
  }

  async close(keep: boolean): Promise<void> {
    this.#stopped = true;
    this.#ending.abort(new Error('the run is over'));
    await Promise.all(this.#processes.map((each) => each.kill('SIGKILL')));
    await Promise.allSettled(this.#later);
    await Promise.all(this.#ways.flatMap(({ clients, workers }) => [clients.close(), workers.close()]));
    if (!keep) rmSync(this.#home, { recursive: true, force: true });
  }

  #all(role: Role): WorldProcess[] {
    return this.#processes.filter((each) => each.role === role);
  }

  #find(role: Role, index: number): WorldProcess {
    const found = this.#processes.find((each) => each.role === role && each.index === index);
    if (found === undefined) throw new Error(`there is no ${role} ${index}`);
    return found;
  }

  #run(role: Role, index: number): WorldProcess {
    const process: WorldProcess = new WorldProcess({
      entry: this.#entry, role, index, home: this.#home, onViolation: (text) => this.violation(text),
      onEnd: (end) => { if (!end.asked && !this.#stopped) this.#unexpected(process, end); },
    });
    this.#processes.push(process);
    process.start();
    return process;
  }

  #unexpected(process: WorldProcess, { fatal, code, signal, starting }: End): void {
    if (process.role === 'proxy') this.proxyEnds.push({ proxy: process.index, at: Date.now() });
    if (!starting || fatal === null || !TRANSIENT.has(fatal.code)) this.violation(`${process.name} ended by itself (${code ?? signal}): ${fatal?.code ?? 'no reason'}: ${fatal?.message ?? ''}`);
    this.#background(sleep(RESTART_MS).then(() => { if (!this.#stopped) process.start(); }));
  }

  async #killAndRestart(process: WorldProcess, gently: boolean, backAfterMs: number): Promise<void> {
    if (gently) await this.#stop(process);
    else await this.#killSuddenly(process);
    await sleep(backAfterMs);
    if (!this.#stopped) process.start();
  }

  async #killSuddenly(process: WorldProcess): Promise<void> {
    await process.kill('SIGKILL');
    if (process.role === 'proxy') await this.#proxyEnded(process.index);
    if (process.role === 'node') this.nodeKills.push({ node: process.index, at: Date.now() });
  }

  async #proxyEnded(proxy: number): Promise<void> {
    this.proxyEnds.push({ proxy, at: Date.now() });
    try {
      const rows = await readLedger(this.world, proxy);
      const before = this.#snapshots.get(proxy);
      const now = new Map((rows ?? []).map((row) => [row.contract, row]));
      for (const [contract, { db, chain, signed }] of before ?? []) {
        const row = now.get(contract);
        if (row === undefined || row.db < db || row.chain < chain || row.signed < signed) this.violation(`ledger of proxy ${proxy} went back for ${contract}: ${db}/${chain}/${signed} to ${row?.db}/${row?.chain}/${row?.signed}`);
      }
      this.#snapshots.set(proxy, now);
    } catch (error) {
      this.violation(`ledger of proxy ${proxy} cannot be read after its death: ${String(error)}`);
    }
  }

  async #restart(process: WorldProcess): Promise<void> {
    await this.#stop(process);
    process.start();
    await this.#until(() => process.isReady, START_MS, `${process.name} did not come back`);
  }

  /** Ends a process in order; one that does not is a violation. */
  async #stop(process: WorldProcess): Promise<void> {
    const end = await within(process.kill('SIGTERM'), STOP_MS, 'late' as const);
    if (end === 'late') {
      this.violation(`${process.name} did not end within ${STOP_MS} ms`);
      await process.kill('SIGKILL');
    } else if (end !== null && end.code !== 0) this.violation(`${process.name} ended with ${end.code ?? end.signal} when it was told to stop: ${end.fatal?.code}: ${end.fatal?.message}`);
    if (process.role === 'proxy') await this.#proxyEnded(process.index);
  }

  async #ask(ask: Ask): Promise<void> {
    while (this.#asks.size >= this.#options.atOnce) await Promise.race(this.#asks);
    const process = this.#find('clients', ask.client % this.#options.size.clientProcesses);
    const asking = this.#askProcess(process, ask).finally(() => this.#asks.delete(asking));
    this.#asks.add(asking);
  }

  async #askProcess(process: WorldProcess, ask: Ask): Promise<void> {
    for (const ends = performance.now() + READY_WAIT_MS; !process.isReady && performance.now() < ends;) await sleep(50);
    const { outcome, message } = await process.call({ do: 'ask', ask }) as Asked;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (outcome === 'E_INTERNAL') this.violation(`a request ended with ${outcome}: ${message}`);
  }

  async #claim(node: number, killAfterMs: number | null, mustWork = false): Promise<void> {
    const ended: End = await new Promise((resolve) => {
      const claim = new WorldProcess({ entry: this.#entry, role: 'claim', index: node, home: this.#home, onViolation: (text) => this.violation(text), onEnd: resolve });
      claim.start();
      void claim.ready().then((done) => done ? claim.kill('SIGTERM') : null);
      if (killAfterMs !== null) this.#background(sleep(killAfterMs).then(() => claim.kill('SIGKILL')).then(() => undefined));
    });
    const { fatal, code, signal } = ended;
    if (fatal === null && (code === 0 || signal === 'SIGKILL')) return;
    if (mustWork || fatal === null || !(CLAIM_ENDS.has(fatal.code) || STALE_NUMBER.test(fatal.message))) this.violation(`claim of node ${node} ended with ${code ?? signal}: ${fatal?.code}: ${fatal?.message}`);
  }

  /** Every client and node has a connection to every proxy, and the clients heard what it says. */
  async #connected(): Promise<void> {
    for (let left = 5; ; left -= 1) {
      const answers = await Promise.all([...this.#all('node'), ...this.#all('clients')].map(async (each) => {
        const value = await within(each.call({ do: 'settle' }), START_MS, 'not in time');
        // Nodes answer with the proxies, clients with what is wrong.
        return (each.role === 'node' ? Array.isArray(value) : value === null) ? null : `${each.name} does not connect: ${JSON.stringify(value)}`;
      }));
      const problem = answers.find((answer) => answer !== null) ?? null;
      if (problem === null) return;
      if (left === 0) return this.violation(problem);
      await sleep(1_000);
    }
  }

  async #untilStatus(problems: (statuses: readonly { readonly proxy: number; readonly status: ProxyStatusReply }[]) => readonly string[], what: string): Promise<void> {
    let last: readonly string[] = [];
    for (const ends = performance.now() + REST_MS; performance.now() < ends; await sleep(500)) {
      const statuses = await Promise.all(this.#all('proxy').map(async (each) => ({ proxy: each.index, status: await each.call({ do: 'status' }) as ProxyStatusReply })));
      last = statuses.some(({ status }) => status.accounts === undefined) ? ['a proxy is not there'] : problems(statuses);
      if (last.length === 0) return;
    }
    this.violation(`${what} within ${REST_MS} ms: ${last.slice(0, 5).join('; ')} (${last.length} in all)`);
  }

  async #until(test: () => boolean, withinMs: number, otherwise: string): Promise<void> {
    const ends = performance.now() + withinMs;
    while (!test()) {
      if (performance.now() > ends) {
        this.violation(`${otherwise} within ${withinMs} ms (${this.#processes.filter(({ isReady }) => !isReady).map(({ name }) => name).join(', ')})`);
        throw new Error(otherwise);
      }
      await sleep(25);
    }
  }

  #background(work: Promise<void>): void {
    const guarded = work.catch((error: unknown) => { if (!this.#stopped) this.violation(`the harness failed: ${String(error)}`); }).finally(() => this.#later.delete(guarded));
    this.#later.add(guarded);
  }
}
