// A network of real processes for a bench: a folder of its own, a proxy, nodes, and a client in the bench's own process.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { unpaidAccounts } from '../../dist/client/accounts.js';
import { connectToProxy } from '../../dist/client/connect.js';
import { systemClock } from '../../dist/core/clock.js';
import { joinAsClient } from '../../dist/localnet/membership.js';
import { describeLocalnet } from '../../dist/localnet/network.js';
import { localnetLayout } from '../../dist/localnet/layout.js';
import { createTlsIdentity } from '../../dist/tee/tls-identity.js';
import { createVerifyPeer } from '../../dist/tee/verify-peer.js';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
export const COCOON = path('../../bin/cocoon');
export const VERSION = JSON.parse(await (await import('node:fs/promises')).readFile(path('../../package.json'), 'utf8')).version;

const hostPort = (text) => ({ host: text.slice(0, text.lastIndexOf(':')), port: Number(text.slice(text.lastIndexOf(':') + 1)) });

export async function benchNetwork() {
  const home = mkdtempSync(join(tmpdir(), 'cocoon-bench-'));
  const children = [];

  /** Starts a process and waits for its first line on stdout. */
  const start = async (args, label) => {
    const child = spawn(process.execPath, args, { env: { ...process.env, COCOON_HOME: home, COCOON_JSON: 'true', COCOON_QUIET: 'true' }, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const lines = createInterface({ input: child.stdout });
    const ready = await new Promise((resolve, reject) => {
      lines.once('line', resolve);
      child.once('exit', (code) => reject(new Error(`${label} ended with ${code} before it was ready`)));
    });
    return { child, ready: JSON.parse(ready) };
  };

  await describeLocalnet(localnetLayout(home), VERSION);
  const proxy = await start([COCOON, 'proxy', 'start', '--pow-bits', '0'], 'proxy');
  const member = await joinAsClient(home);

  return {
    home,
    proxyPid: proxy.child.pid,
    /** A node with the bundled model, as operators run it. */
    startNode: (...args) => start([COCOON, 'node', 'start', ...args, '--run-file', join(home, `node-${children.length}.json`)], 'node'),
    /** A node whose engine answers at once. */
    startInstantNode: () => start([path('./instant-node.mjs'), home], 'instant node'),
    /** A node whose engine keeps the pace that the prompt names, with keys for sealed requests. */
    startPacedNode: () => start([path('./paced-node.mjs'), home], 'paced node'),
    /** A connected, verified client session. */
    async connect() {
      const identity = await createTlsIdentity({ clock: systemClock, evidence: () => ({ family: 'none' }) });
      identity.close();
      const { session } = await connectToProxy({
        proxies: [hostPort(member.description.proxy.clients)], identity: identity.current(),
        verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }),
        accounts: unpaidAccounts(identity.publicKey), isTest: true, timeoutMs: 30_000, signal: new AbortController().signal,
      });
      return session;
    },
    async stop() {
      for (const child of children.reverse()) {
        if (child.exitCode !== null) continue;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        await gone;
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}
