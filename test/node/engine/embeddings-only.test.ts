// A model that was made for vectors: the small model with a file that says how it pools. Text is refused by name before any work.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLog } from '../../../src/core/log.ts';
import { loadLlamaEngine } from '../../../src/node/engine/llama-engine.ts';
import { handleHttpRequest } from '../../../src/node/handlers.ts';
import { withNumber } from '../../fakes/gguf-template.ts';
import type { Engine } from '../../../src/node/engine.ts';

const never = new AbortController().signal;
const MEAN = 1;
let folder: string;
let engine: Engine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cocoon-vectors-'));
  const modelPath = join(folder, 'vectors.gguf');
  writeFileSync(modelPath, withNumber(readFileSync('models/cocoon-tiny-q8_0.gguf'), 'llama.pooling_type', MEAN));
  engine = await loadLlamaEngine({ modelPath, model: 'vectors', gpu: 'off', contextSize: 128, parallel: 1, threads: 1, log: silentLog });
});

afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true });
});

async function post(path: string, body: object) {
  const seen = { status: 0, text: '' };
  await handleHttpRequest({ method: 'POST', url: path, headers: [], payload: new TextEncoder().encode(JSON.stringify({ model: 'vectors', ...body })) }, engine, never, {
    head: (status) => { seen.status = status; },
    part: () => undefined,
    end: (_, bytes) => { seen.text = new TextDecoder().decode(bytes); },
  });
  return { status: seen.status, body: JSON.parse(seen.text) as { error?: { message: string; param: string; code: string }; data?: { embedding: number[] }[] } };
}

describe('a model for embeddings', () => {
  it('makes embeddings', async () => {
    const { status, body } = await post('/v1/embeddings', { input: 'a' });
    expect(status).toBe(200);
    expect(Math.hypot(...body.data?.[0]?.embedding ?? [])).toBeCloseTo(1, 5);
  });

  it.each([
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }, 'messages'],
    ['/v1/completions', { prompt: 'a' }, 'prompt'],
  ])('refuses %s by name', async (path, body, param) => {
    await expect(post(path, body)).resolves.toEqual({
      status: 400, body: { error: { type: 'invalid_request_error', code: 'unsupported_value', param, message: `option '${param}' in request: the model served here gives no text, only embeddings` } },
    });
  });

  it('refuses text that comes another way too, and says what it is', async () => {
    expect(engine.info().features).toMatchObject({ noText: 'the model served here gives no text, only embeddings', embeddings: true });
    const answer = engine.complete({ prompt: { kind: 'text', text: 'a' } }, never)[Symbol.asyncIterator]();
    await expect(answer.next()).rejects.toMatchObject({ code: 'E_REQUEST', status: 400, message: 'the model served here gives no text, only embeddings' });
  });
});
