// A role on a network with contracts: its access to the chain, the root contract as it changes, how the others' evidence is
// checked against that contract's lists, and its hot wallet, unlocked once. Everything that would fail later for lack of TON, an
// owner, a listed image or a listed model fails here, before anything is connected or spent.
import { createTonAccess } from '../chain/access/access.ts';
import { followRoot } from '../chain/follow/root-follower.ts';
import { openHotWallet } from '../chain/hot-wallet.ts';
import { endpointConfigs } from '../chain/networks.ts';
import { toHex } from '../core/bytes.ts';
import { ConfigError, DaemonError, FundsError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import { networkInUse, pollMsOf, requireRoot } from './chain.ts';
import { passphraseOf } from './passphrase.ts';
import { roleKey } from './role-wallet.ts';
import { outboxFolder } from './sending.ts';
import { modelHash } from './served-model.ts';
import { keystoreOf, showWallet, walletOf } from './wallets.ts';
import type { TonAccess } from '../chain/access/types.ts';
import type { RootFollower } from '../chain/follow/root-follower.ts';
import type { HotWallet } from '../chain/hot-wallet.ts';
import type { KeyEntry } from '../chain/keystore/keystore.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { RootConfig } from '../chain/root-config.ts';
import type { WalletKind } from '../chain/wallets/kinds.ts';
import type { Signer } from '../chain/ed25519.ts';
import type { Log } from '../core/log.ts';
import type { ImageLists } from '../tee/policy.ts';
import type { Role } from '../tee/peer.ts';
import type { Invocation } from './command.ts';

export interface PaidRole {
  readonly network: ChainNetwork;
  readonly access: TonAccess;
  readonly root: RootFollower;
  /** The images that the root contract allows now. */
  readonly lists: ImageLists;
  readonly entry: KeyEntry;
  readonly walletKind: WalletKind;
  readonly signer: Signer;
  /** Pays the fees of what this role sends. */
  readonly wallet: HotWallet;
  readonly pollMs: number;
  /** True when the root contract lists the model now. Throws NetworkError when nobody knows. */
  modelAllowed(fullName: string): boolean;
  close(): Promise<void>;
}

/** How old what is known of the root contract may be before nothing is done by it. */
const ROOT_MAX_AGE_S = 900;
const ROOT_POLL_MS = { local: 500, remote: 20_000 } as const;
/** Least that a hot wallet must hold beside its contract's own minimum: a few transactions with what they carry. */
const GAS_NANO = 500_000_000n;

/** Opens the chain side of a role. Throws ConfigError, NetworkError, WalletError, FundsError `E_FUNDS`; closes what it opened then. */
export async function openPaidRole(invocation: Invocation, role: 'client' | 'node' | 'proxy', log: Log): Promise<PaidRole> {
  const { settings, context: { clock, signal } } = invocation;
  const network = await networkInUse(settings);
  const rootAddress = requireRoot(network);
  if (network.endpoints.length === 0) throw new DaemonError('E_NOT_RUNNING', 'the local chain is not running', { hint: 'run `cocoon localnet start --detach`' });
  const access = createTonAccess({ endpoints: await endpointConfigs(network.endpoints), timeoutMs: settings.durationMs('timeout') });
  const opened: (() => Promise<void>)[] = [() => access.close()];
  const close = async (): Promise<void> => {
    for (const part of opened.splice(0).reverse()) await part();
  };
  try {
    const entry = await roleKey(invocation, network, role);
    const walletKind = await walletOf(entry, network, access);
    const { local, remote } = ROOT_POLL_MS;
    const root = await followRoot({ access, root: rootAddress, pollMs: network.kind === 'local' ? local : remote, maxAgeS: ROOT_MAX_AGE_S, clock, log, signal });
    opened.push(() => root.close());
    await requireGas(access, network, entry, walletKind, signal);
    const passphrase = await passphraseOf(invocation, { subject: `key ${entry.label}`, purpose: 'unlock', label: entry.label });
    const { signer } = await keystoreOf(invocation).unlock(entry.label, passphrase);
    const pollMs = pollMsOf(network);
    const wallet = openHotWallet({ access, wallet: walletKind, signer, folder: outboxFolder(invocation, network, walletKind), pollMs, log });
    opened.push(() => wallet.close());
    return {
      network, access, root, entry, walletKind, signer, wallet, pollMs, lists: imageLists(root), close,
      modelAllowed: (fullName) => root.current().config.modelHashes.has(toHex(modelHash(fullName))),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What a hot wallet holds, the least that it must hold for fees, and how to put TON there. Throws NetworkError. */
export async function gasOf(access: TonAccess, network: ChainNetwork, { address, label }: KeyEntry, { minBalanceNano }: WalletKind, signal: AbortSignal): Promise<{ balanceNano: bigint; neededNano: bigint; fill: string }> {
  const { balanceNano } = await access.account(address, { agreed: true, signal });
  return { balanceNano, neededNano: minBalanceNano + GAS_NANO, fill: network.kind === 'local' ? `run \`cocoon localnet faucet ${label} 10\`` : `send TON to ${showWallet(address, network)}` };
}

/** What a hot wallet must hold so that a role goes on: less than at its start, or it would stop being enough with the first fee. */
export const lowGasNano = ({ minBalanceNano }: WalletKind): bigint => minBalanceNano + GAS_NANO / 2n;

async function requireGas(access: TonAccess, network: ChainNetwork, entry: KeyEntry, walletKind: WalletKind, signal: AbortSignal): Promise<void> {
  const { balanceNano, neededNano, fill } = await gasOf(access, network, entry, walletKind, signal);
  if (balanceNano >= neededNano) return;
  throw new FundsError('E_FUNDS', `the hot wallet ${entry.label} holds ${formatTon(balanceNano)} TON, at least ${formatTon(neededNano)} are needed for fees: ${formatTon(neededNano - balanceNano)} TON are missing`, { hint: fill });
}

const listOf = ({ proxyHashes, workerHashes }: RootConfig, role: Role): RootConfig['proxyHashes'] => role === 'proxy' ? proxyHashes : workerHashes;

/** The root contract's image lists, live. */
export function imageLists(root: RootFollower): ImageLists {
  return {
    allowed: (role) => {
      const { config } = root.current();
      return { imageHashes: [...listOf(config, role)].map((hash) => new Uint8Array(Buffer.from(hash, 'hex'))), generation: String(config.version) };
    },
    onChange: (listener) => root.onChange(() => listener()),
  };
}

/** Throws ConfigError `E_NOT_LISTED` when the root contract does not allow the image that this machine runs: peers would refuse it. */
export function requireListedImage({ root, network }: Pick<PaidRole, 'root' | 'network'>, role: 'proxy' | 'worker', imageHash: Uint8Array): void {
  const hash = toHex(imageHash);
  if (listOf(root.current().config, role).has(hash)) return;
  throw new ConfigError('E_NOT_LISTED', `the root contract of network ${network.name} does not allow this ${role} image ${hash}`, { hint: `its owner allows it with: cocoon network allow ${role} ${hash} --network ${network.name}` });
}

/** Throws ConfigError `E_NOT_LISTED` when the root contract does not list the model. */
export function requireListedModel(paid: Pick<PaidRole, 'network' | 'modelAllowed'>, fullName: string): void {
  if (paid.modelAllowed(fullName)) return;
  const hash = toHex(modelHash(fullName));
  throw new ConfigError('E_NOT_LISTED', `the root contract of network ${paid.network.name} does not list the model ${fullName}`, { hint: `its owner allows it with: cocoon network allow model ${hash} --network ${paid.network.name}` });
}
