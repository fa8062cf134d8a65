// The operator's page in a real Chromium, and its server without one: what it shows, that it obeys only its token, and that a page
// from elsewhere gets nothing. `SCREENSHOTS=FOLDER` keeps what it looked like.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NetworkError } from '../../../src/core/errors.ts';
import { silentLog } from '../../../src/core/log.ts';
import { serveDashboard } from '../../../src/node/dashboard/server.ts';
import { nodeHistory } from '../../fakes/node-history.ts';
import { nodeState } from '../../fakes/node-state.ts';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import type { HttpServer } from '../../../src/http/server.ts';
import type { NodeState } from '../../../src/node/daemon/state.ts';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const TOKEN = 'the-token-of-this-test-0123456789';
const skipped = existsSync(CHROMIUM) ? null : `${CHROMIUM} is not installed`;
const describeBrowser = skipped === null ? describe : describe.skip;

const busy = (): NodeState => ({
  ...nodeState({ nowMs: Date.now(), running: 3, queued: 1, tokensPerSecond: 412.4, accruedNano: 18_360_000_000n, signedNano: 15_000_000_000n, claimedNano: 8_000_000_000n }),
  capacity: { told: 8, engine: 8 }, model: 'Qwen3-32B-Instruct@4f2c:abcd',
});
let state: () => NodeState = busy;
const orders: string[] = [];
let server: HttpServer;
let reading: HttpServer;

beforeAll(async () => {
  const common = { host: '127.0.0.1', port: 0, state: async () => state(), history: async () => nodeHistory(Date.now()), log: silentLog };
  server = await serveDashboard({ ...common, orders: { token: TOKEN, give: async (order) => { orders.push(order); return state(); } } });
  reading = await serveDashboard({ ...common, orders: null });
});
afterAll(async () => {
  await server.close();
  await reading.close();
});

/** Status and text of an answer, with headers that fetch would not send. */
const ask = (url: string, { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {}): Promise<{ status: number; text: string; policy: string }> => new Promise((resolve, reject) => {
  const asked = request(url, { method, headers }, (answer) => {
    let text = '';
    answer.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text, policy: String(answer.headers['content-security-policy'] ?? '') }));
  });
  asked.on('error', reject);
  asked.end(method === 'POST' ? '{}' : undefined);
});
const JSON_TYPE = { 'content-type': 'application/json' };

describe('serveDashboard', () => {
  it('the page loads nothing from elsewhere, and its policy allows nothing inline', async () => {
    const { status, text, policy } = await ask(`${server.url}/`);
    expect(status).toBe(200);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(text.replace(/http:\/\/www\.w3\.org\/\S*/g, '')).not.toMatch(/https?:\/\/|<style|style="|onclick/);
  });

  it.each([
    ['another Host', { host: 'rebound.example' }, '/api/state', 'GET', 403],
    ['a foreign Origin', { origin: 'https://evil.example' }, '/api/state', 'GET', 403],
    ['an order without a token', JSON_TYPE, '/api/stop', 'POST', 401],
    ['an order with another token', { ...JSON_TYPE, authorization: 'Bearer x' }, '/api/stop', 'POST', 401],
    ['an order as a form of another page would send it', { 'content-type': 'application/x-www-form-urlencoded', authorization: `Bearer ${TOKEN}` }, '/api/stop', 'POST', 415],
    ['an order from a foreign page', { ...JSON_TYPE, authorization: `Bearer ${TOKEN}`, origin: 'https://evil.example' }, '/api/stop', 'POST', 403],
    ['a path outside the page', {}, '/../server.ts', 'GET', 404],
  ])('%s is refused', async (_what, headers, path, method, status) => {
    const before = orders.length;
    expect((await ask(`${server.url}${path}`, { method, headers: headers as Record<string, string> })).status).toBe(status);
    expect(orders).toHaveLength(before);
  });

  it('without a token of its own every order is refused', async () => {
    expect((await ask(`${reading.url}/api/drain`, { method: 'POST', headers: { ...JSON_TYPE, authorization: `Bearer ${TOKEN}` } })).status).toBe(403);
  });
});

describeBrowser(`the operator's page${skipped === null ? '' : ` (skipped: ${skipped})`}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    const { chromium } = await import('playwright-core');
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS, timeout: 60_000 });
  }, 70_000);
  afterAll(() => browser.close());

  /** Opens the page, does `work`, and fails on anything that the browser complained about. */
  async function visit(url: string, options: BrowserContextOptions, work: (page: Page) => Promise<void>, shot?: string): Promise<void> {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (asked) => { if (!asked.url().startsWith(new URL(url).origin) && !asked.url().startsWith('data:')) complaints.push(`asked ${asked.url()}`); });
    try {
      await page.goto(url);
      await page.waitForSelector('#chart-tokens svg');
      await work(page);
      expect(complaints).toEqual([]);
      const folder = process.env['SCREENSHOTS'];
      if (folder !== undefined && shot !== undefined) await page.screenshot({ path: join(folder, `${shot}.png`), fullPage: true });
    } finally {
      await context.close();
    }
  }
  const shown = (page: Page, selector: string): Promise<string | null> => page.textContent(selector);

  it('shows what the node does, and draws it over time; for reading only there are no buttons', async () => {
    await visit(`${reading.url}/`, { viewport: { width: 1280, height: 860 }, colorScheme: 'light' }, async (page) => {
      expect(await Promise.all(['#model', '#state-text', '#rate', '#running', '#queued', '#first', '#accrued', '#evidence', '#proxy-count'].map((selector) => shown(page, selector))))
        .toEqual(['Qwen3-32B-Instruct', 'serving', '412', '3', '1', '120 ms', '18.36', 'tdx', '1 of 1 connected']);
      for (const name of ['tokens', 'requests', 'money', 'gpu']) expect(await page.locator(`#chart-${name} .series`).count()).toBeGreaterThan(0);
      expect(await page.locator('#slots .on').count()).toBe(3);
      expect(await page.isVisible('#actions')).toBe(false);
    }, 'light');
  }, 60_000);

  it('dark, a whole day, and the value under the pointer', async () => {
    await visit(`${reading.url}/`, { viewport: { width: 1280, height: 860 }, colorScheme: 'dark' }, async (page) => {
      await page.click('[data-range=coarse]');
      expect(await page.locator('#chart-tokens .series').count()).toBe(2); // the gap is when it was down
      await page.hover('#chart-tokens', { position: { x: 300, y: 80 } });
      expect(await shown(page, '#chart-tokens .tip')).toMatch(/^tokens\/s \d+\d\d:\d\d$/);
      expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(11, 13, 18)');
    }, 'dark');
  }, 60_000);

  it('on a phone everything fits the width', async () => {
    await visit(`${reading.url}/`, { viewport: { width: 390, height: 844 }, colorScheme: 'dark', deviceScaleFactor: 2 }, async (page) => {
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    }, 'phone');
  }, 60_000);

  it('with the token: drain and resume at once, stop after a question; the token leaves the address', async () => {
    orders.length = 0;
    await visit(`${server.url}/#token=${TOKEN}`, { viewport: { width: 1280, height: 860 } }, async (page) => {
      expect(page.url()).toBe(`${server.url}/`);
      await page.click('#drain');
      await page.waitForSelector('#drain:enabled'); // a function would be evaluated in the page, whose policy forbids it
      await page.click('#stop');
      await page.click('#ask button[value=no]');
      expect(orders).toEqual(['drain']);
      await page.click('#stop');
      await page.click('#ask button[value=yes]');
      for (let tries = 0; tries < 100 && orders.length < 2; tries += 1) await page.waitForTimeout(20);
      expect(orders).toEqual(['drain', 'stop']);
    });
  }, 60_000);

  it('text of peers is text, whatever it holds; a node that is gone is said to be', async () => {
    const hostile = '<img src=x onerror="document.title=1">';
    state = () => {
      const now = busy();
      return { ...now, model: `${hostile}@a:b`, warnings: [hostile], proxies: now.proxies.map((proxy) => ({ ...proxy, problem: hostile, address: hostile })) };
    };
    try {
      await visit(`${reading.url}/`, { viewport: { width: 900, height: 800 } }, async (page) => {
        expect(await shown(page, '#model')).toBe(hostile);
        expect(await page.locator('img').count()).toBe(0);
      });
      await visit(`${reading.url}/`, { viewport: { width: 900, height: 800 } }, async (page) => {
        state = () => { throw new NetworkError('E_CLOSED', 'the node went away'); };
        await page.waitForSelector('body.stale');
        expect(await shown(page, '#state-text')).toBe('not running');
        expect(await shown(page, '#warnings')).toContain('the node went away');
      }).catch((error: unknown) => {
        // The browser itself reports the failed answer; nothing else may be wrong.
        if (!String(error).includes('503')) throw error;
      });
    } finally {
      state = busy;
    }
  }, 60_000);
});
