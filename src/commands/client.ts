// Connects a command to the network as a client: a fresh key for this one run, the network's proxies, the checks.
import { connectToProxy } from '../client/connect.ts';
import { unpaidAccounts } from '../client/accounts.ts';
import { createVerifyPeer } from '../tee/verify-peer.ts';
import { createTlsIdentity } from '../tee/tls-identity.ts';
import { toHex } from '../core/bytes.ts';
import { clientNetwork } from './network.ts';
import { hostPort } from './values.ts';
import type { ConnectedProxy } from '../client/connect.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

/** A verified, ready connection to the first proxy that answers. */
export async function connectAsClient({ settings, context, out }: Invocation): Promise<ConnectedProxy> {
  const network = await clientNetwork(settings);
  const identity = await createTlsIdentity({ clock: context.clock, evidence: () => ({ family: 'none' }) });
  identity.close(); // one short connection needs no renewal
  const connected = await connectToProxy({
    proxies: [hostPort(network.description.proxy.clients)],
    identity: identity.current(),
    verifyProxy: createVerifyPeer(network.policy('proxy'), { clock: context.clock }),
    accounts: unpaidAccounts(identity.publicKey),
    isTest: true,
    signal: context.signal,
  });
  const { peer, address } = connected;
  await out.note(`verified proxy ${address}: ${peer.evidence} evidence, image ${toHex(peer.imageHash).slice(0, 16)}…`);
  return connected;
}

/** The evidence of a proxy as commands show it. */
export function evidenceOf({ peer, address, session }: ConnectedProxy): JsonValue {
  return {
    proxy: {
      address, evidence: peer.evidence, simulated: peer.evidence === 'simulated', imageHash: toHex(peer.imageHash), tlsPublicKey: toHex(peer.publicKey),
      protocolVersion: session.version, checks: (peer.checks ?? []).map(({ name, detail }) => ({ name, detail })),
    },
  };
}
