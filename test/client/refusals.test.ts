// Numbers of the protocol and HTTP statuses as the errors that people and scripts see.
import { describe, expect, it } from '@jest/globals';
import { explainFailure, failureInStream, refusedByNode } from '../../src/client/refusals.ts';
import { NetworkError, RemoteError } from '../../src/core/errors.ts';

const body = (error: object): Uint8Array => Buffer.from(JSON.stringify({ error }));

describe('explainFailure', () => {
  it.each<[number, string, boolean, string, number]>([
    [621, 'unknown model x', false, 'E_NOT_FOUND', 7],
    [621, 'max_tokens is -1', false, 'E_REQUEST', 2],
    [651, 'no workers for model x', false, 'E_NO_NODE', 14],
    [651, 'no ready workers for model x', false, 'E_NO_NODE', 14],
    [651, 'can run this query with coefficient=9', false, 'E_NO_NODE', 14],
    [651, 'too many active queries', false, 'E_NO_NODE', 14],
    [602, 'too many active queries', false, 'E_NO_NODE', 14],
    [651, 'connection was closed before the answer was complete', false, 'E_CLOSED', 6],
    [651, 'anything', true, 'E_CLOSED', 6],
    [601, 'internal failure', true, 'E_ENGINE', 10],
    [602, 'out of memory', true, 'E_ENGINE', 10],
    [601, 'internal failure', false, 'E_REMOTE', 6],
    [652, 'late', false, 'E_TIMEOUT', 6],
    [653, 'cancelled', true, 'E_CLOSED', 6],
    [0, 'Lost promise', false, 'E_REMOTE', 6],
    [-7, '', true, 'E_REMOTE', 6],
  ])('%i "%s" (begun: %s) is %s, exit %i', (code, message, begun, expected, exitCode) => {
    const explained = explainFailure(new RemoteError(code, message), begun);
    expect(explained).toMatchObject({ code: expected, exitCode });
  });

  it('keeps the original as the cause, and cuts what is too long', () => {
    const original = new RemoteError(652, 'x'.repeat(100_000));
    const explained = explainFailure(original, false);
    expect(explained).toMatchObject({ cause: original });
    expect(String(explained).length).toBeLessThan(1_100);
    const own = new NetworkError('E_CLOSED', 'gone');
    expect(explainFailure(own, true)).toBe(own);
  });
});

describe('refusedByNode', () => {
  it.each<[number, Uint8Array, string, RegExp]>([
    [400, body({ message: 'too long', code: 'context_length_exceeded' }), 'E_CONTEXT_LENGTH', /^too long$/],
    [404, body({ message: 'not here', code: 'model_not_found' }), 'E_NOT_FOUND', /not here/],
    [400, body({ message: 'no', code: 400 }), 'E_REQUEST', /refused the request: no/],
    [429, body({ message: 'slow down' }), 'E_NO_NODE', /busy: slow down/],
    [503, new Uint8Array(0), 'E_NO_NODE', /status 503/],
    [504, new Uint8Array(0), 'E_TIMEOUT', /status 504/],
    [500, Buffer.from('<html>'), 'E_ENGINE', /status 500/],
    [302, Uint8Array.of(0xff), 'E_ENGINE', /status 302/],
    [204, body({ message: 5 }), 'E_ENGINE', /status 204/],
    [-1, new Uint8Array(0), 'E_ENGINE', /status -1/],
  ])('status %i', (status, bytes, code, message) => {
    expect(refusedByNode(status, bytes)).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('cuts a long message', () => {
    expect(refusedByNode(400, body({ message: 'x'.repeat(60_000) })).message.length).toBeLessThan(1_100);
  });
});

describe('failureInStream', () => {
  it('is the engine\'s error where the event is one, else null', () => {
    expect(failureInStream({ error: { message: 'broken' } })).toMatchObject({ code: 'E_ENGINE' });
    for (const value of [null, 1, {}, { error: null }, { error: 'text' }, { choices: [] }]) expect(failureInStream(value)).toBeNull();
  });
});
