// What a peer is told about an error of ours.
import { describe, expect, it } from '@jest/globals';
import { CapacityError, CocoonError, EngineError, InterruptedError, NetworkError, RemoteError } from '../../src/core/errors.ts';
import { failureOf } from '../../src/wire/remote-codes.ts';

describe('failureOf', () => {
  it.each<[unknown, number, string]>([
    [new RemoteError(651, 'no workers for model m'), 651, 'no workers for model m'],
    [new CapacityError('E_NO_NODE', 'no node is free'), 651, 'no node is free'],
    [new NetworkError('E_TIMEOUT', 'late'), 652, 'late'],
    [new InterruptedError('E_INTERRUPTED', 'stopped'), 653, 'stopped'],
    [new NetworkError('E_PROTOCOL', 'bad'), 621, 'bad'],
    [new EngineError('E_CONTEXT_LENGTH', 'prompt is too long'), 621, 'prompt is too long'],
    [new EngineError('E_ENGINE', 'engine stopped'), 602, 'engine stopped'],
  ])('%s', (error, code, message) => {
    expect(failureOf(error)).toEqual({ code, message });
  });

  it.each([new Error('secret'), 'secret', null, new CocoonError('E_INTERNAL', 'secret')])('the text of a bug stays here: %s', (error) => {
    expect(failureOf(error)).toEqual({ code: 601, message: 'internal failure' });
  });
});
