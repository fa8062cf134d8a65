// Hostile input to a local chain's server: only proper error answers, the chain goes on; admin needs its token and no web page.
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Address, beginCell, Cell, external, internal, storeMessage } from '@ton/core';
import fc from 'fast-check';
import { METHODS } from '../../../src/chain/local/methods.ts';
import { ask, cleanUp, rpc, start, TON } from './harness.ts';
import type { Started } from './harness.ts';

let chain: Started;
beforeAll(async () => {
  chain = await start();
});
afterAll(cleanUp);

const SOMEONE = new Address(0, Buffer.alloc(32, 5)).toString();
const ORACLE = 'internal error';

/** A request by hand: fetch does not let Host be chosen. */
function raw(path: string, headers: Record<string, string>, method = 'GET', body = ''): Promise<{ status: number; text: string }> {
  const { port } = new URL(chain.endpoint);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => { text += chunk.toString(); });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

describe('JSON-RPC', () => {
  it('refuses what is not one request', async () => {
    for (const body of ['', 'null', '[]', '7', '"x"', '{', '{"method":7}', '{"method":"x","jsonrpc":"1.0"}', '{"id":{},"method":"getMasterchainInfo"}', '[{"method":"getMasterchainInfo"}]', '{"__proto__":{"x":1},"method":"a"}']) {
      const { status, json } = await rpc(chain.endpoint, body);
      expect([400, 422]).toContain(status);
      expect(json).toMatchObject({ ok: false, code: status, error: expect.any(String) });
    }
  });

  it('knows only its methods', async () => {
    for (const name of ['constructor', '__proto__', 'toString', 'GETMASTERCHAININFO', '', 'a'.repeat(64)]) {
      const { status, json } = await rpc(chain.endpoint, { jsonrpc: '2.0', id: 1, method: name, params: {} });
      expect([status, json['ok']]).toEqual([404, false]);
    }
    expect((await rpc(chain.endpoint, { method: 'a'.repeat(65), params: {} })).status).toBe(422);
  });

  it('limits bodies, depth and numbers', async () => {
    const big = await rpc(chain.endpoint, { method: 'sendBoc', params: { boc: 'A'.repeat(300_000) } });
    expect([big.status, big.json['ok']]).toEqual([413, false]);
    const deep = `{"method":"runGetMethod","params":{"address":"${SOMEONE}","method":"x","stack":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`;
    expect((await rpc(chain.endpoint, deep)).status).toBe(422);
    for (const limit of [0, -1, 257, 1e308, '1e9', '9'.repeat(100), null, {}, true]) {
      const { status } = await rpc(chain.endpoint, { method: 'getTransactions', params: { address: SOMEONE, limit } });
      expect(status).toBe(limit === null ? 200 : 422);
    }
    for (const lt of ['-1', '1.5', '9'.repeat(21), '18446744073709551616', 'x']) {
      expect((await rpc(chain.endpoint, { method: 'getTransactions', params: { address: SOMEONE, lt } })).status).toBe(422);
    }
    expect((await raw('/api/v2/jsonRPC', { 'content-type': 'text/plain' }, 'POST', '{"method":"getMasterchainInfo"}')).status).toBe(415);
    expect((await raw('/api/v2/getAddressBalance?address=a&address=b', {})).status).toBe(400);
    expect((await raw(`/api/v2/${'x'.repeat(2000)}`, {})).status).toBeGreaterThanOrEqual(400);
  });

  it('any parameters of any method: a result or a proper error, never an internal one', async () => {
    const value = fc.oneof(
      fc.constantFrom<unknown>(SOMEONE, chain.faucetAddress.toRawString(), '-9223372036854775808', 0, 1, -1, '1', 'AAAA', Cell.EMPTY.toBoc().toString('base64'), 'te6cckEBAQEAAgAAAEysuc0=', '', null, []),
      fc.string({ maxLength: 40 }), fc.integer(), fc.double(), fc.boolean(), fc.jsonValue({ maxDepth: 3 }),
      fc.array(fc.tuple(fc.constantFrom('num', 'tvm.Cell', 'tvm.Slice', 'cell', 'list'), fc.oneof(fc.string({ maxLength: 10 }), fc.integer())), { maxLength: 3 }),
    );
    const names = ['address', 'limit', 'lt', 'hash', 'to_lt', 'archival', 'seqno', 'workchain', 'shard', 'count', 'after_lt', 'method', 'stack', 'boc', 'body', 'init_code', 'init_data', 'ignore_chksig', 'source', 'destination', 'created_lt', 'config_id'];
    const params = fc.oneof({ weight: 9, arbitrary: fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 8 }) }, { weight: 1, arbitrary: value });
    const likely = fc.record({ address: fc.constant<unknown>(SOMEONE), source: fc.constant<unknown>(SOMEONE), destination: fc.constant<unknown>(SOMEONE) });
    await fc.assert(fc.asyncProperty(fc.constantFrom(...Object.keys(METHODS)), fc.oneof(params, fc.tuple(likely, params).map(([a, b]) => ({ ...a, ...(typeof b === 'object' ? b : {}) }))), async (method, given) => {
      const { status, json } = await rpc(chain.endpoint, { jsonrpc: '2.0', id: 'x', method, params: given });
      // Bodies with such members are refused before they are read as a request.
      if (!/"(?:__proto__|constructor)":/.test(JSON.stringify(given))) expect(json['id']).toBe('x');
      if (status === 200) expect(json['ok']).toBe(true);
      else expect(json).toMatchObject({ ok: false, code: status, error: expect.any(String) });
      expect(json['error']).not.toBe(ORACLE);
    }), { numRuns: 300 });
    expect((await chain.admin.tick()).seqno).toBeGreaterThan(0);
  });
});

describe('sendBoc', () => {
  const send = async (boc: Buffer | string): Promise<string> => {
    const { status, json } = await rpc(chain.endpoint, { method: 'sendBoc', params: { boc: typeof boc === 'string' ? boc : boc.toString('base64') } });
    expect(json['ok']).toBe(false);
    expect([422, 500]).toContain(status);
    return String(json['error']);
  };
  const message = (edit: Parameters<typeof external>[0]): Buffer => beginCell().store(storeMessage(external(edit))).endCell().toBoc();

  it('refuses bytes that are no message, messages of another kind and unknown workchains', async () => {
    expect(await send(Buffer.alloc(0))).toContain('parameter boc');
    for (const boc of [Buffer.alloc(100, 0xff), Cell.EMPTY.toBoc(), message({ to: chain.faucetAddress }).subarray(0, 40), Buffer.concat([message({ to: chain.faucetAddress }), Buffer.alloc(1)])]) {
      expect(await send(boc)).toContain('failed to parse external message');
    }
    const value = beginCell().store(storeMessage({ info: { type: 'internal', ihrDisabled: true, bounce: false, bounced: false, src: chain.faucetAddress, dest: new Address(0, Buffer.alloc(32, 6)), value: { coins: TON }, ihrFee: 0n, forwardFee: 0n, createdLt: 0n, createdAt: 0 }, body: Cell.EMPTY })).endCell().toBoc();
    expect(await send(value)).toContain('not an inbound external message');
    expect(await send(message({ to: new Address(7, Buffer.alloc(32)) }))).toContain('workchain 7');
    let cell = Cell.EMPTY;
    for (let i = 0; i < 600; i += 1) cell = beginCell().storeUint(i, 16).storeRef(cell).endCell();
    expect(await send(message({ to: chain.faucetAddress, body: cell }))).toContain('deep');
    const wide = (depth: number): Cell => depth === 0 ? beginCell().storeUint(Math.floor(Math.random() * 2 ** 47), 48).storeBuffer(Buffer.alloc(110, depth)).endCell() : beginCell().storeRef(wide(depth - 1)).storeRef(wide(depth - 1)).storeRef(wide(depth - 1)).storeRef(wide(depth - 1)).endCell();
    expect(await send(message({ to: chain.faucetAddress, body: wide(5) }))).toContain('parameter boc');
    expect(await send(message({ to: chain.faucetAddress, body: beginCell().storeUint(1, 200).endCell() }))).toMatch(/exitcode=\d+/);
    expect((await chain.admin.status()).waiting).toBe(0);
  });

  it('the faucet sends only for its key', async () => {
    const body = beginCell().storeUint(0, 512).store((builder) => builder.storeRef(beginCell().endCell())).endCell();
    expect(await send(message({ to: chain.faucetAddress, body }))).toContain('not accepted');
    expect(internal({ to: chain.faucetAddress, value: 1n }).info.type).toBe('internal');
  });
});

describe('who may ask', () => {
  const INFO = '/api/v2/getMasterchainInfo';
  const bearer = (): Record<string, string> => ({ authorization: `Bearer ${chain.adminToken}` });

  it('listens on this machine only, and on no other address', async () => {
    for (const host of ['0.0.0.0', '::', '192.168.1.1', 'example.org', '']) await expect(start({ host })).rejects.toMatchObject({ code: 'E_CONFIG' });
    expect(new URL(chain.endpoint).hostname).toBe('127.0.0.1');
    await expect(start({ port: Number(new URL(chain.endpoint).port) })).rejects.toMatchObject({ code: 'E_CONFIG', message: expect.stringContaining('EADDRINUSE') });
  });

  it('refuses names that were made to point here, and pages from elsewhere', async () => {
    const { port } = new URL(chain.endpoint);
    expect((await raw(INFO, { host: `localhost:${port}` })).status).toBe(200);
    expect((await raw(INFO, { host: `127.0.0.1:${port}`, origin: 'http://localhost:3000' })).status).toBe(200);
    for (const headers of [{ host: `evil.example:${port}` }, { host: '127.0.0.1.evil.example' }, { host: 'user@127.0.0.1@evil.example' }, { host: `127.0.0.1:${port}`, origin: 'https://evil.example' }, { host: `127.0.0.1:${port}`, origin: 'null' }]) {
      const { status, text } = await raw(INFO, headers);
      expect([400, 403]).toContain(status);
      expect(text).not.toContain('"ok":true');
    }
  });

  it('admin: needs the token, on every path, and refuses every page', async () => {
    for (const path of ['/admin/status', '/admin/faults']) {
      expect((await raw(path, {})).status).toBe(401);
      expect((await raw(path, { authorization: 'Bearer ' })).status).toBe(401);
      expect((await raw(path, { authorization: `Bearer ${'0'.repeat(64)}` })).status).toBe(401);
      expect((await raw(path, { authorization: chain.adminToken })).status).toBe(401);
      expect((await raw(path, { ...bearer(), origin: 'http://localhost' })).status).toBe(403);
      expect((await raw(path, { ...bearer(), host: 'evil.example' })).status).toBe(403);
      expect((await raw(path, bearer())).status).toBe(200);
    }
    const { seqno } = await chain.admin.status();
    for (const path of ['/admin/faucet', '/admin/advance', '/admin/tick', '/admin/faults']) {
      expect((await raw(path, { 'content-type': 'application/json' }, 'POST', '{}')).status).toBe(401);
    }
    expect((await chain.admin.status()).seqno).toBe(seqno);
    expect(await ask(chain.endpoint, 'getConsensusBlock')).toMatchObject({ consensus_block: seqno });
  });
});
