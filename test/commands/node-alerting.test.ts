// Alerts as an operator gets them: settings from a file, states of a node, documents at a real HTTP server. Payouts that are overdue,
// an image and a model that leave the root contract; a receiver that is slow or gone; settings that change while something waits.
import { createServer } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { openAlerting } from '../../src/commands/node-alerting.ts';
import { deferred } from '../../src/core/deferred.ts';
import { DaemonError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { loadSettings } from '../../src/core/settings.ts';
import { watchMoney } from '../../src/node/daemon/money-watch.ts';
import { signature } from '../../src/node/daemon/webhook.ts';
import { fakeContext } from '../fakes/context.ts';
import { nodeState } from '../fakes/node-state.ts';
import type { Alerting } from '../../src/commands/node-alerting.ts';
import type { Settings } from '../../src/core/settings.ts';
import type { ProxyMoney } from '../../src/node/accounts.ts';
import type { NodeState } from '../../src/node/daemon/state.ts';

const [TOKEN, SECRET, PASSPHRASE] = ['planted-hook-token-123', 'planted-shared-secret-456', 'planted passphrase 789'];
const HOUR_MS = 3_600_000;
const home = mkdtempSync(join(tmpdir(), 'cocoon-alerting-'));
writeFileSync(join(home, 'secret'), `${SECRET}\n`, { mode: 0o600 });
writeFileSync(join(home, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
afterAll(() => rmSync(home, { recursive: true }));
const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

interface Told {
  readonly kind: string;
  readonly about: string;
  readonly state: string;
  readonly message: string;
}

interface Receiver {
  readonly url: string;
  readonly bodies: string[];
  readonly signed: (string | undefined)[];
  readonly told: () => string[];
  /** Requests that were given up, and when the first was. */
  readonly cut: () => number;
  readonly givenUp: Promise<void>;
  /** Resolves when that many documents have come. */
  has(count: number): Promise<void>;
}

/** `answers`: false, a request is taken and never answered. */
async function receiver(answers = true): Promise<Receiver> {
  const [bodies, signed]: [string[], (string | undefined)[]] = [[], []];
  let changed = deferred<void>();
  const givenUp = deferred<void>();
  let cut = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => { body += chunk.toString(); });
    request.on('end', () => {
      bodies.push(body);
      signed.push(request.headers['x-cocoon-signature'] as string | undefined);
      response.on('close', () => {
        if (response.writableFinished) return;
        cut += 1;
        givenUp.resolve();
      });
      if (answers) response.writeHead(204).end();
      changed.resolve();
      changed = deferred();
    });
  });
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done); });
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=${TOKEN}`, bodies, signed, cut: () => cut, givenUp: givenUp.promise,
    told: () => bodies.map((body) => JSON.parse(body) as Told).map(({ kind, about, state }) => `${kind} ${about} ${state}`),
    has: async (count) => {
      while (bodies.length < count) await changed.promise;
    },
  };
}

const settingsOf = async (lines: Readonly<Record<string, string>>): Promise<Settings> => {
  const file = join(home, 'cocoon.toml');
  writeFileSync(file, Object.entries({ passphrase_file: 'passphrase', ...lines }).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join(''));
  return loadSettings({ env: {}, cwd: home, homedir: home, flags: {}, home, file });
};

async function alerting(settings: Settings): Promise<{ opened: Alerting; sample(state: NodeState): void; warned: string[] }> {
  const listeners: ((state: NodeState) => void)[] = [];
  const warned: string[] = [];
  const log = { ...silentLog, warn: (message: string, fields?: object) => { warned.push(`${message} ${JSON.stringify(fields)}`); } };
  const made = await openAlerting(settings, { context: fakeContext({ home }).context }, { onSample: (listener) => { listeners.push(listener); }, state: () => nodeState({}) }, log);
  opened.push(() => made.close());
  return { opened: made, warned, sample: (state) => { for (const listener of listeners) listener(state); } };
}

describe('openAlerting', () => {
  it('an image and a model that leave the root contract: each told once, again after they were listed in between; no secret in it', async () => {
    const hook = await receiver();
    const { sample } = await alerting(await settingsOf({ 'node.alert_webhook': hook.url, 'node.alert_secret': 'secret' }));
    const states: readonly Parameters<typeof nodeState>[0][] = [
      {}, { image: 'not listed' }, { image: 'unknown', model: 'unknown' }, { image: 'not listed', model: 'not listed' }, { image: 'not listed', model: 'not listed' }, { model: 'not listed' }, { image: 'not listed', model: 'not listed' }, {},
      { image: 'unknown', model: 'unknown' },
    ];
    states.forEach((change, at) => sample(nodeState({ nowMs: at * 5_000, ...change })));
    await hook.has(6);
    expect(hook.told()).toEqual(['listing image raised', 'listing model raised', 'listing image resolved', 'listing image raised', 'listing image resolved', 'listing model resolved']);
    const [first = ''] = hook.bodies;
    expect(Object.keys(JSON.parse(first) as object).sort()).toEqual(['about', 'atMs', 'id', 'kind', 'message', 'node', 'schema', 'sinceMs', 'state']);
    expect(JSON.parse(first)).toMatchObject({ schema: 'cocoon.alert/1', sinceMs: 5_000, message: 'the root contract does not list this image any more', node: { version: '0.1.0', network: 'local', state: 'serving' } });
    const seconds = Number(/^t=(\d+),/.exec(hook.signed[0] ?? '')?.[1]);
    expect(hook.signed[0]).toBe(signature(SECRET, seconds, first));
    for (const secret of [TOKEN, SECRET, PASSPHRASE]) expect(hook.bodies.join()).not.toContain(secret);
  });

  it('payouts overdue: by the time since a proxy signed last, each proxy by itself, once, and again when it falls behind anew', async () => {
    const hook = await receiver();
    const { sample, warned } = await alerting(await settingsOf({ 'node.alert_webhook': hook.url, 'node.alert_payout': '1h' }));
    const clock = { ms: 0, now: () => clock.ms };
    const signed = { a: 0n, b: 0n };
    let accrued = 10n;
    const watch = watchMoney({
      owner: 'o', walletAddress: 'w', neededNano: 0n, balance: async () => 9n, feeNano: () => 10n,
      money: () => (['a', 'b'] as const).map((proxy): ProxyMoney => ({ proxy, contract: `c-${proxy}`, accruedTokens: accrued, signedTokens: signed[proxy], claimedTokens: 0n, owedNano: 0n, blocked: false })),
    }, clock);
    opened.push(() => watch.close());
    const at = (ms: number): void => {
      clock.ms = ms;
      sample({ ...nodeState({ nowMs: ms, certificateEndsMs: Infinity }), money: watch.current() });
    };
    at(0);
    at(HOUR_MS); // not longer than an hour
    signed.b = 5n; // signs, if not all
    at(HOUR_MS + 1);
    at(HOUR_MS + 5_000);
    await hook.has(1);
    expect(hook.told()).toEqual(['payout a raised']);
    at(2 * HOUR_MS + 2);
    signed.a = 10n;
    signed.b = 10n;
    at(2 * HOUR_MS + 3);
    accrued = 20n;
    at(2 * HOUR_MS + 4);
    at(3 * HOUR_MS + 5);
    await hook.has(6);
    expect(hook.told().slice(1, 4)).toEqual(['payout b raised', 'payout a resolved', 'payout b resolved']);
    expect(hook.told().slice(4)).toEqual(['payout a raised', 'payout b raised']);
    expect(JSON.parse(hook.bodies[0] ?? '')).toMatchObject({ message: 'proxy a has signed nothing for 60 minutes of what it owes' });
    expect(warned.every((line) => line.startsWith('alert raised: proxy'))).toBe(true);
  });

  it('a change of rules keeps what was told: nothing is told twice, and it is told when it is over', async () => {
    const hook = await receiver();
    const settings = { 'node.alert_webhook': hook.url };
    const { opened: made, sample } = await alerting(await settingsOf(settings));
    sample(nodeState({ nowMs: 0, blocked: true }));
    await made.configure(await settingsOf({ ...settings, 'node.alert_payout': '2h' }));
    sample(nodeState({ nowMs: 5_000, blocked: true }));
    sample(nodeState({ nowMs: 10_000 }));
    await hook.has(2);
    expect(hook.told()).toEqual(['payout EQproxy raised', 'payout EQproxy resolved']);
  });

  it('a receiver that never answers holds up neither samples nor a reload; the new one is told, and the end is in seconds', async () => {
    const [slow, good] = [await receiver(false), await receiver()];
    const { opened: made, sample, warned } = await alerting(await settingsOf({ 'node.alert_webhook': slow.url }));
    sample(nodeState({ nowMs: 0, image: 'not listed' }));
    await slow.has(1);
    for (let at = 1; at < 200; at += 1) sample(nodeState({ nowMs: at * 5_000, ...(at % 2 === 0 && { image: 'not listed' }) }));
    expect(warned.filter((line) => line.includes('others wait')).length).toBe(100); // what waits is bounded
    await made.configure(await settingsOf({ 'node.alert_webhook': good.url }));
    expect(slow.cut()).toBe(0); // it has not waited for the old one
    sample(nodeState({ nowMs: 2_000_000, model: 'not listed' }));
    await good.has(1);
    expect([good.told(), slow.bodies.length]).toEqual([['listing model raised'], 1]);
    await made.close();
    await slow.givenUp;
    expect(warned.join()).not.toContain(TOKEN);
  }, 20_000);

  it('a reload that changes nothing for the receiver lets go on what waits; the end of the node is told', async () => {
    const hook = await receiver();
    const settings = { 'node.alert_webhook': hook.url };
    const { opened: made, sample } = await alerting(await settingsOf(settings));
    sample(nodeState({ nowMs: 0, image: 'not listed' }));
    await made.configure(await settingsOf({ ...settings, 'node.price': '1200' }));
    made.tellStopped(new DaemonError('E_NOT_RUNNING', 'the engine cannot be started'));
    await made.close();
    expect(hook.told()).toEqual(['listing image raised', 'stopped  raised']);
    expect(JSON.parse(hook.bodies[1] ?? '')).toMatchObject({ message: 'the node has ended: the engine cannot be started' });
  });

  it.each([['a URL that cannot be used', { 'node.alert_webhook': 'http://example.com/x' }], ['a secret that others may read', { 'node.alert_webhook': 'https://h.example/', 'node.alert_secret': 'open' }]])('%s changes nothing', async (_what, bad) => {
    writeFileSync(join(home, 'open'), 'x', { mode: 0o644 });
    const hook = await receiver();
    const before = await settingsOf({ 'node.alert_webhook': hook.url });
    const { opened: made, sample } = await alerting(before);
    await expect(made.configure(await settingsOf(bad))).rejects.toMatchObject({ exitCode: 3 });
    expect(made.settings()).toBe(before);
    sample(nodeState({ nowMs: 0, image: 'not listed' }));
    await hook.has(1);
  });
});
