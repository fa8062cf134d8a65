// Connects a command to the network as a client: a fresh key for this one run, the network's proxies, the checks.
import { connectToProxy } from '../client/connect.ts';
import { unpaidAccounts } from '../client/accounts.ts';
import { toHex } from '../core/bytes.ts';
import { createAttestation, localAttestation } from './attestation.ts';
import { clientNetwork } from './network.ts';
import { storedAddress } from './values.ts';
import { withDeadline } from '../core/deadline.ts';
import { NetworkError } from '../core/errors.ts';
import type { ConnectedProxy } from '../client/connect.ts';
import type { Settings } from '../core/settings.ts';
import type { ModelListing } from '../wire/client-session.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

/** What is left of --timeout from now on, in whole milliseconds; at least 1, so that what is late fails as late. */
export function timeBudget(settings: Settings): () => number {
  const endsAt = performance.now() + settings.durationMs('timeout');
  return () => Math.max(1, Math.round(endsAt - performance.now()));
}

/** A verified, ready connection to the first proxy that answers within the time that is left. */
export async function connectAsClient({ settings, context, out }: Invocation, leftMs: () => number): Promise<ConnectedProxy> {
  const network = await clientNetwork(settings);
  const attestation = await createAttestation({ ...localAttestation(network), settings, context });
  const identity = await attestation.identity('client');
  identity.close(); // one short connection needs no renewal
  const connected = await connectToProxy({
    proxies: [storedAddress(network.description.proxy.clients)],
    identity: identity.current(),
    verifyProxy: attestation.verifyPeer('proxy'),
    accounts: unpaidAccounts(identity.publicKey),
    isTest: true,
    timeoutMs: leftMs(),
    signal: context.signal,
  });
  const { peer, address } = connected;
  await out.note(`verified proxy ${address}: ${peer.evidence} evidence, image ${toHex(peer.imageHash).slice(0, 16)}…`);
  return connected;
}

/** The models that the proxy lists, within the time that is left. */
export async function listModels({ session, address }: ConnectedProxy, leftMs: () => number, signal: AbortSignal): Promise<ModelListing[]> {
  const timeoutMs = leftMs();
  const late = (): NetworkError => new NetworkError('E_TIMEOUT', `proxy ${address} did not list its models within ${timeoutMs} ms`);
  return withDeadline((inner) => session.models(inner), { timeoutMs, signal, late });
}

/** The evidence of a proxy as commands show it. */
export function evidenceOf({ peer, address, session }: ConnectedProxy): JsonValue {
  return {
    proxy: {
      address, evidence: peer.evidence, simulated: peer.evidence === 'simulated', imageHash: toHex(peer.imageHash), tlsPublicKey: toHex(peer.publicKey),
      protocolVersion: session.version, checks: (peer.checks ?? []).map((check) => ({ ...check })),
    },
  };
}
