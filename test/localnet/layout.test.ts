// The description of a local network and membership in it: what is accepted, and what is refused with which exit code.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/core/clock.ts';
import { localnetLayout, readDescription } from '../../src/localnet/layout.ts';
import { joinAsClient, joinAsRole } from '../../src/localnet/membership.ts';
import { describeLocalnet, localnetStatus, stopLocalnet } from '../../src/localnet/network.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';

let home = '';
beforeEach(() => { home = mkdtempSync(join(tmpdir(), 'localnet-')); });
afterEach(() => rmSync(home, { recursive: true }));

describe('local network', () => {
  it('describeLocalnet: key and addresses stay, image hashes follow the version', async () => {
    const layout = localnetLayout(home);
    const first = await describeLocalnet(layout, '1.0.0');
    expect(await describeLocalnet(layout, '1.0.0')).toEqual(first);
    const next = await describeLocalnet(layout, '1.0.1');
    expect(next.networkId).toBe(first.networkId);
    expect(next.proxy).toEqual(first.proxy);
    expect(next.proxyImageHashes).not.toEqual(first.proxyImageHashes);
    expect(first.proxyImageHashes).not.toEqual(first.workerImageHashes);
    expect(await readDescription(layout)).toEqual(next);
  });

  it('joinAsRole: its evidence is what the policy of the others accepts, for its role only', async () => {
    await describeLocalnet(localnetLayout(home), '1.0.0');
    const member = await joinAsRole(home, 'worker', '1.0.0');
    const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence });
    identity.close();
    const der = Buffer.from(identity.current().certificatePem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    const { policy } = await joinAsClient(home);
    expect(createVerifyPeer(policy('worker'), { clock: systemClock })(der)).toMatchObject({ evidence: 'simulated', role: 'worker' });
    expect(() => createVerifyPeer(policy('proxy'), { clock: systemClock })(der)).toThrow(expect.objectContaining({ exitCode: 5 }));
    // Another version is another image.
    const other = await createTlsIdentity({ clock: systemClock, evidence: (await joinAsRole(home, 'worker', '2.0.0')).evidence });
    other.close();
    const otherDer = Buffer.from(other.current().certificatePem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    expect(() => createVerifyPeer(policy('worker'), { clock: systemClock })(otherDer)).toThrow(expect.objectContaining({ exitCode: 5 }));
  });

  it('refuses no network, a damaged description, and a key of another network', async () => {
    await expect(joinAsClient(home)).rejects.toMatchObject({ code: 'E_CONFIG', exitCode: 3, hint: expect.stringMatching(/localnet start/) });
    const layout = localnetLayout(home);
    await describeLocalnet(layout, '1.0.0');
    const good = readFileSync(layout.description, 'utf8');
    for (const [from, to] of [['{', '['], ['"version": 1', '"version": 2'], ['true', 'false'], ['127.0.0.1', '10.0.0.1'], [/127.0.0.1:\d+/, '127.0.0.1:99999'], [/127.0.0.1:\d+/, '127.0.0.1:0'], ['"networkId"', '"network"'], [/"([0-9a-f]{64})"/, '"abc"']] as const) {
      writeFileSync(layout.description, good.replace(from, to));
      await expect(joinAsClient(home)).rejects.toMatchObject({ code: 'E_CONFIG', exitCode: 3 });
    }
    writeFileSync(layout.description, good.replace(/("networkId": ")[0-9a-f]{64}/, `$1${'0'.repeat(64)}`));
    await expect(joinAsRole(home, 'proxy', '1.0.0')).rejects.toMatchObject({ code: 'E_STATE', exitCode: 3 });
  });

  it('status and stop: a record of a process that is gone counts for nothing', async () => {
    const layout = localnetLayout(home);
    await describeLocalnet(layout, '1.0.0');
    writeFileSync(layout.record('node'), JSON.stringify({ role: 'node', pid: process.pid, start: '1', state: 'ready', sinceMs: 1, facts: {} }));
    const status = await localnetStatus(layout);
    expect(status.find(({ role }) => role === 'node')).toEqual({ role: 'node', state: 'stopped', record: null });
    expect((await stopLocalnet(layout)).every(({ ended }) => ended === null)).toBe(true); // this process lives
  });
});
