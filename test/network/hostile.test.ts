// Peers that are let in and then misbehave: what they cost is bounded, and others are served meanwhile.
import { afterEach, describe, expect, it } from '@jest/globals';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import { end, hang, head, hostileClient, hostileNode, id, part, request } from '../fakes/hostile.ts';
import { text } from '../fakes/session-ports.ts';
import type { TlPacket } from '../../src/wire/connection.ts';
import type { WorkerRequest } from '../../src/wire/worker-session.ts';
import type { TestNetwork } from '../fakes/network.ts';
import { heldBytes } from '../fakes/held-memory.ts';

let network: TestNetwork;
afterEach(() => network.close());

const MEGABYTE = 1024 * 1024;
const quickIsServed = async (): Promise<void> => {
  const { answer, error } = await ask(await network.connect());
  expect(answer?.text ?? error).toBe('Hello there.');
};

describe('network: hostile clients', () => {
  it('ten thousand requests at once: each gets one answer, few run, others are served', async () => {
    network = await startTestNetwork({ nodes: [{ engine: { sequences: 100, firstDelayMs: 100 } }] });
    const { connection, answers } = await hostileClient(network);
    for (let n = 0; n < 10_000; n += 1) {
      const sent = connection.send(request({ request_id: id(n) }));
      if (n % 100 === 0) await sent;
      else sent.catch(() => undefined);
    }
    expect(network.proxy.status().nodes[0]?.running).toBeLessThanOrEqual(64);
    await quickIsServed();
    const finals = (): TlPacket[] => answers.filter((packet) => 'final_info' in packet && packet.final_info !== undefined || packet._ === 'client.queryAnswerErrorEx');
    await until(() => finals().length === 10_000, 60_000);
    const refused = finals().filter((packet) => packet._ === 'client.queryAnswerErrorEx' && packet.error_code === 651);
    expect(refused.length).toBeGreaterThan(1_000);
    const ids = finals().map((packet) => ('request_id' in packet ? Buffer.from(packet.request_id).toString('hex') : ''));
    expect(new Set(ids).size).toBe(10_000);
    await until(() => network.proxy.status().nodes[0]?.running === 0);
  }, 120_000);

  it('a request with the id of one that runs ends the connection, and the engine stops', async () => {
    network = await startTestNetwork({ nodes: [] });
    const { engine } = await network.startNode({ engine: { firstDelayMs: 60_000 } });
    const { connection } = await hostileClient(network);
    const payload = Buffer.from('{"model":"instant","messages":[{"role":"user","content":"hi"}]}');
    const query = encodeBoxed({ _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: [], payload });
    await connection.send(request({ query, timeout: 60 }));
    await until(() => engine.running === 1);
    await connection.send(request({ query, timeout: 60 }));
    expect(await connection.closed).not.toBeNull();
    await until(() => engine.cancelled === 1);
    await quickClose();
  });

  const quickClose = async (): Promise<void> => { await until(() => network.proxy.status().clients.open === 0); };

  it.each<[string, Partial<Extract<TlPacket, { _: 'client.runQueryEx' }>>, number]>([
    ['negative tokens', { max_tokens: -1 }, 621],
    ['a negative price', { max_coefficient: -1 }, 621],
    ['the highest numbers', { max_tokens: 2 ** 31 - 1, max_coefficient: 2 ** 31 - 1 }, 0],
    ['no time', { timeout: 0 }, 602],
    ['negative time', { timeout: -5 }, 602],
    ['NaN time', { timeout: NaN }, 602],
    ['endless time', { timeout: Infinity }, 0],
    ['a future configuration', { min_config_version: 2 ** 31 - 1 }, 602],
    ['a long model name', { model_name: 'm'.repeat(60_000) }, 621],
    ['a query that is no HTTP request', { query: new Uint8Array([1, 2, 3, 4]) }, 621],
    ['an empty query', { query: new Uint8Array(0) }, 621],
    ['the largest query', { query: new Uint8Array(16 * MEGABYTE - 8_192) }, 621],
  ])('a request with %s is answered, and the connection lives', async (_, changes, code) => {
    network = await startTestNetwork();
    const { connection, answers } = await hostileClient(network);
    await connection.send(request(changes));
    await until(() => answers.some((packet) => packet._ === 'client.queryAnswerErrorEx' || packet._ === 'client.queryAnswerPartEx' && packet.final_info !== undefined), 10_000);
    const refused = answers.find((packet) => packet._ === 'client.queryAnswerErrorEx');
    expect(refused?._ === 'client.queryAnswerErrorEx' ? refused.error_code : 0).toBe(code);
    await connection.query({ _: 'client.getWorkerTypesV2' }, { timeoutMs: 1_000 });
    await quickIsServed();
  });

  it('queries that make no sense after authentication are answered with errors', async () => {
    network = await startTestNetwork();
    const { connection } = await hostileClient(network);
    await expect(connection.query({ _: 'worker.updatePaymentStatus' }, { timeoutMs: 1_000 })).rejects.toMatchObject({ remoteCode: 621 });
    await expect(connection.query({ _: 'client.requestRefund' } as never, { timeoutMs: 1_000 })).rejects.toMatchObject({ code: expect.stringMatching(/E_REMOTE|E_PROTOCOL|E_INTERNAL/) });
    await connection.send({ _: 'proxy.workerRequestPayment', request_id: id(1), signed_payment: { _: 'proxy.signedPaymentEmpty' }, db_tokens: 1n, max_tokens: 1n, request_tokens: 1n, request_client_owner: 'x' } as TlPacket);
    await connection.query({ _: 'client.getWorkerTypesV2' }, { timeoutMs: 1_000 });
    await expect(connection.query({ _: 'client.authorizeWithProxyLong' }, { timeoutMs: 1_000 })).rejects.toMatchObject({ remoteCode: 0 });
    await connection.closed;
    await quickIsServed();
  });
});

describe('network: hostile nodes', () => {
  it.each<[string, (request: WorkerRequest) => readonly TlPacket[]]>([
    ['a part before the head', ({ id: own }) => [part(own, text('x'))]],
    ['two heads', ({ id: own }) => [head(own), head(own)]],
    ['an answer that is no HTTP response', ({ id: own }) => [{ ...head(own), answer: new Uint8Array([1, 2, 3, 4]) } as TlPacket]],
    ['a last part without what it cost', ({ id: own }) => [head(own), { ...part(own, text('x')), flags: 0 } as TlPacket, { _: 'proxy.queryAnswerErrorEx', request_id: own, error_code: 7, error: '', flags: 0 } as TlPacket]],
    ['negative tokens', ({ id: own }) => [head(own), end(own, { prompt: -5n })]],
  ])('%s fails that request; the node and others go on', async (_, packets) => {
    network = await startTestNetwork();
    await hostileNode(network, async (asked, connection) => {
      for (const packet of packets(asked)) await connection.send(packet);
      return hang();
    });
    const client = await network.connect();
    const { answer, error } = await ask(client, { model: 'evil' }, { timeoutMs: 3_000 });
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: expect.stringMatching(/^E_/), exitCode: expect.any(Number) });
    expect(error).not.toMatchObject({ code: 'E_INTERNAL' });
    await quickIsServed();
  });

  it('answers to requests that were never made are ignored', async () => {
    network = await startTestNetwork();
    const connection = await hostileNode(network, hang);
    for (let n = 0; n < 2_000; n += 1) await connection.send([head(id(n)), part(id(n), text('x')), end(id(n), { prompt: 5n })][n % 3] ?? head(id(n)));
    await quickIsServed();
    expect(network.proxy.status().nodes).toHaveLength(2);
  });

  it('a gigantic charge is cut to what was put aside', async () => {
    network = await startTestNetwork();
    const sse = 'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\ndata: [DONE]\n\n';
    await hostileNode(network, async ({ id: own }, connection) => {
      for (const packet of [head(own), part(own, text(sse)), end(own, { prompt: 2n ** 62n })]) await connection.send(packet);
      return hang();
    });
    const client = await network.connect();
    const { answer, error } = await ask(client, { model: 'evil', maxTokens: 10 }, { maxCoefficient: 1_000 });
    expect(error).toBeNull();
    expect(answer?.charged.total).toBeLessThan(1_000n);
    expect((await client.session.updatePaymentStatus()).maxTokens).toBe(answer?.charged.total);
  });

  it('an answer without an end is stopped at the time limit, in bounded memory', async () => {
    network = await startTestNetwork();
    let sent = 0;
    let over = false;
    const filler = text(`: ${'x'.repeat(60_000)}\n\n`);
    await hostileNode(network, async ({ id: own }, connection) => {
      await connection.send(head(own));
      void connection.closed.then(() => { over = true; });
      while (!over && sent < 20_000) {
        await connection.send(part(own, filler));
        sent += 1;
        if (sent % 20 === 0) await new Promise((resolve) => { setTimeout(resolve, 1); });
      }
    });
    const before = await heldBytes();
    const client = await network.connect();
    const asked = ask(client, { model: 'evil' }, { timeoutMs: 800 });
    await quickIsServed();
    expect((await asked).error).toMatchObject({ exitCode: 6 });
    expect(((await heldBytes()) - before) / MEGABYTE).toBeLessThan(300);
    await quickIsServed();
    over = true;
  });
});
