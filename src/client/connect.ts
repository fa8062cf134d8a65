// A session with one proxy of the network: dial, verify, shake hands. Tries the proxies in the given order; one that is
// silent or unreachable is passed over, one whose evidence is refused ends the attempt.
import { AttestationError, NetworkError } from '../core/errors.ts';
import { abortError } from '../core/deadline.ts';
import { dial } from '../wire/dial.ts';
import { openClientSession } from '../wire/client-session.ts';
import type { ClientAccounts } from './accounts.ts';
import type { VerifiedPeer, VerifyPeer } from '../tee/peer.ts';
import type { Connection } from '../wire/connection.ts';
import type { ClientSession } from '../wire/client-session.ts';
import type { TlsIdentity } from '../wire/tls.ts';

export interface ConnectOptions {
  /** Client ports of the proxies. At least one. */
  readonly proxies: readonly { readonly host: string; readonly port: number }[];
  readonly identity: TlsIdentity;
  readonly verifyProxy: VerifyPeer;
  readonly accounts: ClientAccounts;
  readonly isTest: boolean;
  readonly signal: AbortSignal;
}

export interface ConnectedProxy {
  readonly session: ClientSession;
  /** "ip:port". */
  readonly address: string;
  /** What the proxy's certificate and evidence proved. */
  readonly peer: VerifiedPeer;
  /** Milliseconds from dialling to a verified connection, and from there to a ready session. */
  readonly connectMs: number;
  readonly handshakeMs: number;
}

async function connectOne(proxy: { host: string; port: number }, options: ConnectOptions): Promise<ConnectedProxy> {
  const { identity, verifyProxy, signal, accounts } = options;
  const startedMs = performance.now();
  const connection: Connection = await dial({ ...proxy, identity, verifyPeer: verifyProxy, signal });
  const connectedMs = performance.now();
  const stop = (): void => connection.close(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  try {
    const session = await openClientSession(connection, accounts, { ownerAddress: accounts.ownerAddress, isTest: options.isTest, minConfigVersion: () => 0 });
    return { session, address: connection.remoteAddress, peer: connection.peer, connectMs: connectedMs - startedMs, handshakeMs: performance.now() - connectedMs };
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** The first proxy that answers. Throws AttestationError at once, or the last NetworkError when none answers. */
export async function connectToProxy(options: ConnectOptions): Promise<ConnectedProxy> {
  let last: unknown = new NetworkError('E_UNREACHABLE', 'this network has no proxies');
  for (const proxy of options.proxies) {
    try {
      return await connectOne(proxy, options);
    } catch (error) {
      if (options.signal.aborted) throw abortError(options.signal);
      if (error instanceof AttestationError) throw error;
      last = error;
    }
  }
  throw last;
}
