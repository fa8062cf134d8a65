// Which network a command works on, as one seam for every role: how peers are verified and how this machine proves itself, which
// proxies there are, and, where the network has contracts, the chain side of the role. A local network that was started with
// --unpaid has no contracts; every other network has them, and is refused without.
import { joinAsClient, joinAsRole } from '../localnet/membership.ts';
import { localnetLayout, readDescription } from '../localnet/layout.ts';
import { ConfigError } from '../core/errors.ts';
import { silentLog } from '../core/log.ts';
import { MAINNET } from '../chain/wallets/network.ts';
import { createAttestation, localAttestation } from './attestation.ts';
import { openPaidRole } from './paid-role.ts';
import { storedAddress } from './values.ts';
import type { RootFollower } from '../chain/follow/root-follower.ts';
import type { LocalnetDescription } from '../localnet/layout.ts';
import type { Log } from '../core/log.ts';
import type { Settings } from '../core/settings.ts';
import type { ImageLists } from '../tee/policy.ts';
import type { Attestation, AttestationOptions } from './attestation.ts';
import type { Invocation } from './command.ts';
import type { PaidRole } from './paid-role.ts';
import type { HostPort } from './values.ts';

/** A role's hold on its network. */
export interface JoinedNetwork {
  readonly attestation: Attestation;
  /** Images that the network allows now. */
  readonly imageLists: ImageLists;
  /** Null where nobody pays. */
  readonly paid: PaidRole | null;
  /** Null for networks of other machines. */
  readonly local: LocalnetDescription | null;
  /** Where clients, or nodes, find the proxies now. */
  proxies(side: 'clients' | 'workers'): readonly HostPort[];
  readonly isTest: boolean;
  /** Forgets verdicts and ends everything that was opened. Idempotent. */
  close(): Promise<void>;
}

const isLocal = (settings: Settings): boolean => (settings.text('network') ?? 'local') === 'local';

/** True where requests are paid for. Throws ConfigError where there is no local network. */
export async function isPaid(settings: Settings): Promise<boolean> {
  return !isLocal(settings) || (await readDescription(localnetLayout(settings.home))).payments === 'chain';
}

/** Joins the network in use. Throws what `openPaidRole` and `createAttestation` throw; closes what it opened then. */
export async function joinNetwork(invocation: Invocation, role: 'client' | 'node' | 'proxy', log: Log = silentLog): Promise<JoinedNetwork> {
  const { settings, context } = invocation;
  const member = isLocal(settings) ? role === 'client' ? await joinAsClient(settings.home) : await joinAsRole(settings.home, role === 'node' ? 'worker' : 'proxy', context.version) : null;
  const paid = await isPaid(settings) ? await openPaidRole(invocation, role, log) : null;
  try {
    const network = attestedNetwork(member, paid);
    const attestation = await createAttestation({ ...network, settings, context, log });
    return {
      attestation, paid, imageLists: network.imageLists, local: member?.description ?? null,
      isTest: paid === null || paid.root.current().config.params.isTest,
      proxies: (side) => proxiesOf(side, paid?.root ?? null, member?.description ?? null),
      close: async () => {
        attestation.close();
        await paid?.close();
      },
    };
  } catch (error) {
    await paid?.close();
    throw error;
  }
}

function attestedNetwork(member: Parameters<typeof localAttestation>[0] | null, paid: PaidRole | null): Pick<AttestationOptions, 'network' | 'imageLists'> {
  if (member !== null) return { ...localAttestation(member), ...(paid !== null && { imageLists: paid.lists }) };
  if (paid === null) throw new ConfigError('E_CONFIG', 'a network without contracts can only be the local one');
  const { name, globalId } = paid.network;
  return { network: { kind: 'hardware', name, isMainnet: globalId === MAINNET.globalId }, imageLists: paid.lists };
}

function proxiesOf(side: 'clients' | 'workers', root: RootFollower | null, local: LocalnetDescription | null): readonly HostPort[] {
  if (root !== null) return root.current().config.proxies.map((proxy) => proxy[side]);
  return local === null ? [] : [storedAddress(local.proxy[side])];
}
