// `attest verify HOST:PORT` against the proxy of a real local network: judged by that network's key, refused on any other, and
// nothing is said to the peer but this side of the TLS handshake.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { startTestNetwork } from '../fakes/network.ts';
import type { TestNetwork } from '../fakes/network.ts';

let network: TestNetwork;
beforeAll(async () => { network = await startTestNetwork({ nodes: [] }); });
afterAll(async () => { await network.close(); });

interface Answer {
  readonly exit: number;
  readonly data: { readonly overall?: string; readonly simulated?: boolean; readonly live?: boolean; readonly parts?: readonly { kind: string; checks: readonly { name: string; result: string }[] }[] };
  readonly code: string | null;
}

async function attest(...argv: string[]): Promise<Answer> {
  const { context, stdout } = fakeContext({ home: network.home });
  const exit = await main(['--json', '--timeout', '10s', 'attest', ...argv], context);
  const { data, error } = JSON.parse(stdout()) as { data: Answer['data']; error: { code: string } | null };
  return { exit, data, code: error?.code ?? null };
}

const proxy = (): string => `${network.clientPort.host}:${network.clientPort.port}`;

describe('attest verify HOST:PORT', () => {
  it('a proxy of the local network passes by that network\'s key and list, as simulated', async () => {
    for (const port of [network.clientPort, network.workerPort]) {
      const { exit, data } = await attest('verify', `${port.host}:${port.port}`);
      expect([exit, data.overall, data.simulated, data.live]).toEqual([0, 'pass', true, true]);
      expect(data.parts?.flatMap(({ checks }) => checks.map(({ name, result }) => `${name} ${result}`))).toEqual([
        'certificate pass', 'simulated-evidence pass', 'report-data pass', 'network-image pass',
      ]);
    }
  });

  it('the same proxy is refused on a network that is not local', async () => {
    const { exit, code, data } = await attest('verify', proxy(), '--network', 'mainnet', '--any-measurement');
    expect([exit, code, data.overall]).toEqual([5, 'E_EVIDENCE_REFUSED', 'fail']);
  });

  it('a test root is refused for a peer of mainnet before anything is judged', async () => {
    const { exit, code } = await attest('verify', proxy(), '--network', 'mainnet', '--trust-root', 'root.der');
    expect([exit, code]).toEqual([2, 'E_USAGE']);
  });

  it('mainnet is told by its global id, whatever a network is called', async () => {
    const { context } = fakeContext({ home: network.home });
    expect(await main(['network', 'add', 'mine', '--endpoint', 'https://127.0.0.1:1/', '--global-id', '-239'], context)).toBe(0);
    const { exit, code } = await attest('verify', proxy(), '--network', 'mine', '--trust-root', 'root.der');
    expect([exit, code]).toEqual([2, 'E_USAGE']);
    expect((await attest('verify', proxy(), '--network', 'testnet', '--trust-root', 'root.der')).exit).not.toBe(2);
  });

  it('a nonce cannot be in a certificate: incomplete', async () => {
    const { exit, code } = await attest('verify', proxy(), '--nonce', '00'.repeat(32));
    expect([exit, code]).toEqual([12, 'E_INCOMPLETE']);
  });

  it('selftest: every changed byte of the certificate is refused', async () => {
    expect((await attest('selftest', proxy())).exit).toBe(0);
  });

  it('a peer that is not there is unreachable, not refused', async () => {
    const { exit, code } = await attest('verify', '127.0.0.1:1');
    expect([exit, code]).toEqual([6, 'E_UNREACHABLE']);
  });
});
