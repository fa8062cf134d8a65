// Parts of the node's daemon that need no network: what it counts, keeps, draws, tells and says.
import { createServer } from 'node:http';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLog } from '../../../src/core/log.ts';
import { createAlerts } from '../../../src/node/daemon/alerts.ts';
import { parseGpus, watchGpus } from '../../../src/node/daemon/gpu.ts';
import { createHistory, SAMPLE_FIELDS } from '../../../src/node/daemon/history.ts';
import { openKept } from '../../../src/node/daemon/kept.ts';
import { createMeter } from '../../../src/node/daemon/meter.ts';
import { createMetrics } from '../../../src/node/daemon/metrics.ts';
import { watchMoney } from '../../../src/node/daemon/money-watch.ts';
import { nearest } from '../../../src/node/daemon/quantile.ts';
import { isHealthy, NodeState } from '../../../src/node/daemon/state.ts';
import { createWebhook, signature, SIGNATURE_HEADER, webhookUrl } from '../../../src/node/daemon/webhook.ts';
import { nodeState } from '../../fakes/node-state.ts';
import type { ProxyMoney } from '../../../src/node/accounts.ts';

let folder = '';
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-daemon-')); });
afterAll(() => rm(folder, { recursive: true }));

const usage = (completionTokens: number) => ({ promptTokens: 10, cachedTokens: 4, completionTokens, reasoningTokens: 0 });

describe('createMeter', () => {
  const clocked = () => {
    const clock = { ms: 1_000_000, now: () => clock.ms };
    return { clock, meter: createMeter(clock) };
  };

  it('counts requests by how they ended and tokens by the engine', () => {
    const { meter } = clocked();
    const [a, b, c] = [meter.begin('x'), meter.begin('x'), meter.begin('x')];
    expect(meter.view().running).toBe(3);
    a.counted(usage(7));
    a.counted(usage(7)); // said twice, counted once
    a.end('answered');
    a.end('failed');
    b.end('cancelled');
    c.end('failed');
    expect(meter.view()).toMatchObject({ running: 0, answered: 1, cancelled: 1, failed: 1, prompt: 10, cached: 4, completion: 7 });
  });

  it('tokens a second: an estimate while the answer flows, exact over its time when it has ended', () => {
    const { clock, meter } = clocked();
    const request = meter.begin('x');
    for (let second = 0; second < 10; second += 1) {
      request.wrote(180 * 5); // by the first guess five tokens
      clock.ms += 1_000;
    }
    expect(meter.view().perSecond.s10).toBeCloseTo(5, 5);
    clock.ms -= 1_000;
    request.counted(usage(100)); // it was ten a second
    request.end('answered');
    clock.ms += 1_000;
    expect(meter.view().perSecond.s10).toBeCloseTo(10, 5);
    clock.ms += 3_600_000;
    expect(meter.view().perSecond).toEqual({ s10: 0, m1: 0, m15: 0, h1: 0 });
  });

  it('the first part of each answer is timed', () => {
    const { clock, meter } = clocked();
    for (const delay of [10, 20, 30, 400]) {
      const request = meter.begin('x');
      clock.ms += delay;
      request.wrote(1);
      request.wrote(1);
      request.end('answered');
    }
    expect(meter.view().firstTokenMs).toEqual({ median: 20, p95: 400 });
  });

  it('tells what was delivered, with the proxy and the count', () => {
    const told: unknown[] = [];
    const meter = createMeter({ now: () => 0 }, { delivered: (...all) => told.push(all) });
    const request = meter.begin('proxy-1');
    request.counted(usage(1));
    const tokens = { prompt: 1n, cached: 0n, completion: 1n, reasoning: 0n, total: 2n };
    request.delivered(tokens);
    expect(told).toEqual([['proxy-1', tokens, usage(1)]]);
  });
});

describe('nearest', () => {
  it('is always a value that was measured; nothing measured is an error', () => {
    expect([nearest([3, 1, 2], 0.5), nearest([3, 1, 2], 0), nearest([3, 1, 2], 1), nearest([5], 0.95)]).toEqual([2, 1, 3, 5]);
    expect(() => nearest([], 0.5)).toThrow(RangeError);
  });
});

describe('createHistory', () => {
  it('keeps half an hour finely and a day coarsely, never more', () => {
    const history = createHistory();
    for (let at = 0; at < 20_000; at += 1) history.add(nodeState({ nowMs: at * 5_000 }));
    const { fine, coarse } = history.read();
    expect([fine.samples.length, coarse.samples.length]).toEqual([360, 1_440]);
    expect(fine.samples.at(-1)?.[0]).toBe(19_999 * 5_000);
    expect(JSON.stringify(history.read()).length).toBeLessThan(200_000);
  });

  it('a coarse sample keeps the greatest queue and the last total', () => {
    const history = createHistory();
    for (let at = 0; at < 12; at += 1) history.add(nodeState({ nowMs: at, queued: at === 3 ? 9 : 0, running: 2 }));
    const [sample = []] = history.read().coarse.samples;
    expect([sample[SAMPLE_FIELDS.indexOf('queued')], sample[SAMPLE_FIELDS.indexOf('running')], sample[0]]).toEqual([9, 2, 11]);
  });

  it('goes on from what was kept, and ignores what is no sample', () => {
    const kept = [1, 2, 3].map((at) => SAMPLE_FIELDS.map(() => at));
    expect(createHistory([...kept, ['x'], null, [1]]).read().coarse.samples).toEqual(kept);
    expect(createHistory('nonsense').read().coarse.samples).toEqual([]);
  });
});

describe('openKept', () => {
  it('drained stays drained for the next process, until it is told otherwise', async () => {
    const path = join(folder, 'node.kept');
    const first = await openKept(path, 5, silentLog);
    expect(first.drainedSinceMs).toBeNull();
    await first.setDrained(77);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const second = await openKept(path, 5, silentLog);
    expect(second.drainedSinceMs).toBe(77);
    await second.setDrained(null);
    expect((await openKept(path, 5, silentLog)).drainedSinceMs).toBeNull();
  });

  it('a file that cannot be read counts as drained', async () => {
    const path = join(folder, 'broken.kept');
    await writeFile(path, '{"version":1', { mode: 0o600 });
    const warned: string[] = [];
    expect((await openKept(path, 5, { warn: (message) => { warned.push(message); } })).drainedSinceMs).toBe(5);
    expect(warned).toHaveLength(1);
  });
});

describe('watchGpus', () => {
  it('reads what nvidia-smi prints; what is not supported is null, and other lines are left out', () => {
    expect(parseGpus('0, NVIDIA H100 80GB HBM3, 97, 71234, 81559, 62, 512.31\n1, NVIDIA H100 80GB HBM3, [N/A], 4, 81559, 33, [Not Supported]\nsome notice\n')).toEqual([
      { index: 0, name: 'NVIDIA H100 80GB HBM3', utilizationPercent: 97, memoryUsedMib: 71_234, memoryTotalMib: 81_559, temperatureC: 62, powerW: 512.31 },
      { index: 1, name: 'NVIDIA H100 80GB HBM3', utilizationPercent: null, memoryUsedMib: 4, memoryTotalMib: 81_559, temperatureC: 33, powerW: null },
    ]);
  });

  it('a tool that is not installed is asked once; one that fails is asked again', async () => {
    let asked = 0;
    const absent = watchGpus(async () => { asked += 1; throw Object.assign(new Error('spawn nvidia-smi ENOENT'), { code: 'ENOENT' }); }, 5);
    let failed = 0;
    const failing = watchGpus(async () => { failed += 1; throw new Error('Failed to initialize NVML: Driver/library version mismatch'); }, 5);
    await new Promise((resolve) => { setTimeout(resolve, 60); });
    expect([asked, absent.current()]).toEqual([1, { gpus: [], problem: 'nvidia-smi is not installed' }]);
    expect(failed).toBeGreaterThan(1);
    expect(failing.current().problem).toContain('Driver/library version mismatch');
    failing.close();
  });
});

describe('watchMoney', () => {
  it('says what is accrued, signed and claimed by the fee of now, and since when a proxy owes', async () => {
    const clock = { ms: 1_000, now: () => clock.ms };
    let signed = 5n;
    const money = (): ProxyMoney[] => [{ proxy: 'p', contract: 'c', accruedTokens: 10n, signedTokens: signed, claimedTokens: 2n, owedNano: 50n, blocked: false }];
    const watch = watchMoney({ owner: 'o', walletAddress: 'w', neededNano: 7n, balance: async () => 9n, money, feeNano: () => 10n }, clock);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
    expect(watch.current()).toMatchObject({ accruedNano: '100', signedNano: '50', claimedNano: '20', wallet: { balanceNano: '9', neededNano: '7' }, proxies: [{ owedSinceMs: 1_000 }] });
    clock.ms = 9_000;
    expect(watch.current().proxies[0]?.owedSinceMs).toBe(1_000);
    signed = 6n; // it signs, only not everything
    expect(watch.current().proxies[0]?.owedSinceMs).toBe(9_000);
    signed = 10n;
    expect(watch.current().proxies[0]?.owedSinceMs).toBeNull();
    await watch.close();
  });
});

describe('createAlerts', () => {
  const rules = () => ({ offlineMs: 60_000, payoutMs: 3_600_000 });

  it('offline: told when it has lasted, once, and once when it is over', () => {
    const judge = createAlerts(rules);
    const at = (nowMs: number, connected: boolean) => judge(nodeState({ nowMs, connected })).map(({ kind, state, sinceMs }) => `${kind} ${state} ${sinceMs}`);
    expect([at(0, true), at(10, false), at(50_000, false), at(60_010, false), at(70_000, false), at(80_000, true), at(90_000, true)])
      .toEqual([[], [], [], ['offline raised 10'], [], ['offline resolved 80000'], []]);
  });

  it.each([
    ['gas', { balanceNano: '1' }], ['attestation', { certificateEndsMs: 60_000 }], ['listing', { image: 'not listed' as const }],
    ['listing', { model: 'not listed' as const }], ['payout', { owedSinceMs: -3_600_001 }], ['payout', { blocked: true }],
  ])('%s: %j is told at once', (kind, change) => {
    expect(createAlerts(rules)(nodeState({ nowMs: 0 }))).toEqual([]);
    expect(createAlerts(rules)(nodeState({ nowMs: 0, ...change })).map((alert) => alert.kind)).toEqual([kind]);
  });
});

describe('createWebhook', () => {
  const alert = { kind: 'gas', about: '', state: 'raised', sinceMs: 1, message: 'the hot wallet is empty' } as const;
  const receiver = async (answers: number[]) => {
    const got: { body: string; signed: string | undefined }[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => { body += chunk.toString(); });
      request.on('end', () => {
        got.push({ body, signed: request.headers[SIGNATURE_HEADER] as string | undefined });
        response.writeHead(answers[got.length - 1] ?? 500, { location: 'http://127.0.0.1:1/' }).end();
      });
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return { got, url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=abcdef`), close: () => new Promise((resolve) => { server.close(resolve); }) };
  };
  const noWait = async (): Promise<void> => undefined;

  it('signs the document, and tries again until it is taken; a redirect is not followed', async () => {
    const { got, url, close } = await receiver([500, 302, 204]);
    const hook = createWebhook({ url, secret: 'shared', clock: { now: () => 5_000 }, log: silentLog, sleep: noWait });
    hook.tell(alert, nodeState({}));
    await hook.close();
    expect(got).toHaveLength(3);
    const { body = '', signed } = got[2] ?? {};
    expect(signed).toBe(signature('shared', 5, body));
    expect(JSON.parse(body)).toMatchObject({ schema: 'cocoon.alert/1', kind: 'gas', state: 'raised', message: alert.message, node: { network: 'local' } });
    await close();
  });

  it('gives up after a few attempts and says so, without the URL\'s secret', async () => {
    const { got, url, close } = await receiver([]);
    const warned: string[] = [];
    const hook = createWebhook({ url, secret: null, clock: { now: () => 0 }, log: { ...silentLog, warn: (message, fields) => { warned.push(`${message} ${JSON.stringify(fields)}`); } }, sleep: noWait });
    hook.tell(alert, nodeState({}));
    await hook.close();
    expect(got).toHaveLength(6);
    expect(got[0]?.signed).toBeUndefined();
    expect(warned.join()).toMatch(/could not be told.*HTTP status 500/);
    expect(warned.join()).not.toContain('abcdef');
    await close();
  });

  it.each(['http://example.com/x', 'ftp://127.0.0.1/', 'not a url', 'https://user:pass@example.com/'])('webhookUrl: %s is refused', (text) => {
    expect(() => webhookUrl(text)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});

describe('createMetrics', () => {
  it('the whole document as Prometheus reads it; what is absent is absent', async () => {
    const metrics = await createMetrics();
    metrics.listeners.firstToken?.(250);
    metrics.listeners.ended?.('answered', 900);
    await metrics.text(nodeState({ running: 3 }));
    const text = await metrics.text(nodeState({ running: 2, nowMs: 0 })); // read twice, counted once
    for (const line of [
      'cocoon_node_requests_running 2', 'cocoon_node_state{state="serving"} 1', 'cocoon_node_state{state="offline"} 0', 'cocoon_node_requests_total{outcome="answered"} 4',
      'cocoon_node_proxy_connected{proxy="127.0.0.1:1"} 1', 'cocoon_node_first_token_seconds_count 1', 'cocoon_node_earnings_ton_total{stage="signed"} 2', 'cocoon_node_listed{what="image"} 1',
      'cocoon_node_gpu_utilization_ratio{gpu="0"} 0.5',
    ]) expect(text.split('\n')).toContain(line);
    expect(text).not.toContain('gpu_power_watts{');
  });
});

describe('NodeState', () => {
  it('the fake of the tests is one; healthy is what serves or was told not to', () => {
    expect(NodeState.safeParse(nodeState({})).success).toBe(true);
    expect((['starting', 'serving', 'offline', 'draining', 'drained', 'stopped'] as const).map((state) => isHealthy({ state }))).toEqual([false, true, false, true, true, false]);
  });
});

describe('expose', () => {
  it('/metrics and /health need no token and listen on this machine only', async () => {
    const { expose } = await import('../../../src/node/daemon/expose.ts');
    const metrics = await createMetrics();
    let now = nodeState({});
    const server = await expose({ host: '127.0.0.1', port: 0 }, () => now, metrics, silentLog);
    try {
      expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('cocoon_node_info{');
      const health = await fetch(`${server.url}/health`);
      expect(health.status).toBe(200);
      await expect(health.json()).resolves.toMatchObject({ state: 'serving', engine: { backend: 'cuda', gpuLayers: 33, totalLayers: 33, threads: 8, sequences: 4, kvType: 'f16', flashAttention: 'on' } });
      now = nodeState({ connected: false, state: 'offline' });
      expect((await fetch(`${server.url}/health`)).status).toBe(503);
    } finally {
      await server.close();
    }
    await expect(expose({ host: '0.0.0.0', port: 0 }, () => now, metrics, silentLog)).rejects.toMatchObject({ code: 'E_CONFIG' });
  });
});
