// A session with one proxy of the network: dial, verify, shake hands. Tries the proxies in the given order, each with its
// share of the time; one that is silent or unreachable is passed over, one whose evidence is refused ends the attempt.
import { AttestationError, asCocoonError, NetworkError } from '../core/errors.ts';
import { abortError, withDeadline } from '../core/deadline.ts';
import { formatAddress } from '../wire/address.ts';
import { dial } from '../wire/dial.ts';
import { openClientSession } from '../wire/client-session.ts';
import type { ClientAccounts } from './accounts.ts';
import type { CocoonError } from '../core/errors.ts';
import type { VerifiedPeer, VerifyPeer } from '../tee/peer.ts';
import type { Connection } from '../wire/connection.ts';
import type { ClientSession } from '../wire/client-session.ts';
import type { TlsIdentity } from '../wire/tls.ts';
import type { VersionRange } from '../wire/versions.ts';

interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface ConnectOptions {
  /** Client ports of the proxies. At least one. */
  readonly proxies: readonly HostPort[];
  readonly identity: TlsIdentity;
  readonly verifyProxy: VerifyPeer;
  readonly accounts: ClientAccounts;
  readonly isTest: boolean;
  /** For all proxies together. What is left is shared evenly among those that are left. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Other versions of the protocol than all that are known; for tests. */
  readonly versions?: VersionRange;
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

async function connectOne(proxy: HostPort, options: ConnectOptions, signal: AbortSignal): Promise<ConnectedProxy> {
  const { identity, verifyProxy, accounts, isTest, versions } = options;
  const startedMs = performance.now();
  const connection: Connection = await dial({ ...proxy, identity, verifyPeer: verifyProxy, signal });
  const connectedMs = performance.now();
  const stop = (): void => connection.close(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  try {
    const session = await openClientSession(connection, accounts, {
      ownerAddress: accounts.ownerAddress, isTest, minConfigVersion: () => 0, ...(versions !== undefined && { versions }),
    });
    return { session, address: connection.remoteAddress, peer: connection.peer, connectMs: connectedMs - startedMs, handshakeMs: performance.now() - connectedMs };
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * The first proxy that answers. Throws AttestationError at once, the signal's reason, or the last proxy's error (NetworkError,
 * RemoteError) when none answers in time.
 */
export async function connectToProxy(options: ConnectOptions): Promise<ConnectedProxy> {
  const { proxies, signal } = options;
  const endsAt = performance.now() + options.timeoutMs;
  let last: CocoonError = new NetworkError('E_UNREACHABLE', 'this network has no proxies');
  for (const [index, proxy] of proxies.entries()) {
    const timeoutMs = Math.max(1, Math.round((endsAt - performance.now()) / (proxies.length - index)));
    const late = (): NetworkError => new NetworkError('E_TIMEOUT', `proxy ${formatAddress(proxy.host, proxy.port)} was not ready within ${timeoutMs} ms`);
    try {
      return await withDeadline((inner) => connectOne(proxy, options, inner), { timeoutMs, signal, late });
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      last = asCocoonError(error);
      if (last instanceof AttestationError) throw last;
    }
  }
  throw last;
}
