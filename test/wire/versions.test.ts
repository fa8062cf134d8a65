// Protocol versions: every pair of ranges of WIRE.md section 9.1 and WIRE-2026-04.md section 1.
import { describe, expect, it } from '@jest/globals';
import { acceptedVersion, capabilitiesOf, chooseVersion, CLIENT_VERSIONS, offeredRange, PROXY_VERSIONS, WORKER_VERSIONS } from '../../src/wire/versions.ts';

describe('chooseVersion', () => {
  const older = { min: 0, max: 2 };
  const newer = { min: 0, max: 4 };
  it.each([
    ['our client at a proxy of 2025', CLIENT_VERSIONS, older, 2],
    ['our client at a proxy of 2026', CLIENT_VERSIONS, newer, 4],
    ['our client at ours', CLIENT_VERSIONS, PROXY_VERSIONS, 8],
    ['our worker at a proxy of 2025', WORKER_VERSIONS, older, 2],
    ['our worker at a proxy of 2026', WORKER_VERSIONS, newer, 4],
    ['a client of 2025 at ours', { min: 1, max: 2 }, PROXY_VERSIONS, 2],
    ['a client of 2026 at ours', { min: 1, max: 4 }, PROXY_VERSIONS, 4],
    ['a worker of 2026 at ours', { min: 3, max: 4 }, PROXY_VERSIONS, 4],
    ['a peer without versions at ours', { min: 0, max: 0 }, PROXY_VERSIONS, 0],
    ['a peer of the future that still knows ours', { min: 2, max: 9 }, PROXY_VERSIONS, 8],
  ])('%s speaks %#', (_name, remote, own, expected) => {
    expect(chooseVersion(remote, own)).toBe(expected);
  });

  it.each([
    ['a worker of 2026 at a proxy of 2025', { min: 3, max: 4 }, older],
    ['negative versions', { min: -5, max: -1 }, PROXY_VERSIONS],
    ['a peer that has outgrown ours', { min: 9, max: 10 }, PROXY_VERSIONS],
  ])('%s is refused with 621', (_name, remote, own) => {
    expect(() => chooseVersion(remote, own)).toThrow(expect.objectContaining({ remoteCode: 621, remoteMessage: 'cannot choose common protocol version' }));
  });
});

describe('offeredRange, acceptedVersion', () => {
  it('offeredRange: is 0..0 without flag bit 1, whatever the fields say', () => {
    expect(offeredRange({ flags: 1, min_proto_version: 1, max_proto_version: 4 })).toEqual({ min: 0, max: 0 });
    expect(offeredRange({ flags: 3, min_proto_version: 1, max_proto_version: 4 })).toEqual({ min: 1, max: 4 });
  });

  it('acceptedVersion: refuses what was not offered', () => {
    expect(acceptedVersion({ flags: 3, proto_version: 4 }, CLIENT_VERSIONS)).toBe(4);
    expect(acceptedVersion({ flags: 1 }, { min: 0, max: 5 })).toBe(0);
    for (const proto_version of [0, 9, -1]) {
      expect(() => acceptedVersion({ flags: 3, proto_version }, CLIENT_VERSIONS)).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
    }
    expect(() => acceptedVersion({ flags: 1 }, CLIENT_VERSIONS)).toThrow('proxy chose protocol version 0, offered 1 to 8');
  });

  it('capabilitiesOf: each version adds one', () => {
    const counts = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((version) => Object.values(capabilitiesOf(version)).filter(Boolean).length);
    expect(counts).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
});
