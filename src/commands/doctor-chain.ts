// The network, the money and the evidence of this node as `node doctor` asks for them: the same code that `node start` uses, each
// question asked once. Opens no key and sends nothing.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createTonAccess } from '../chain/access/access.ts';
import { readBond } from '../chain/plans/bond.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { endpointConfigs } from '../chain/networks.ts';
import { openPaymentBook } from '../chain/payment-book.ts';
import { workerFeeOf } from '../chain/root-config.ts';
import { MAINNET } from '../chain/wallets/network.ts';
import { toHex } from '../core/bytes.ts';
import { asCocoonError, CocoonError, ConfigError, NotFoundError } from '../core/errors.ts';
import { isAlive, readDaemonRecord } from '../core/daemon-record.ts';
import { localnetLayout, readDescription } from '../localnet/layout.ts';
import { rimIdsOf } from '../tee/collateral/gpu.ts';
import { DEFAULT_SERVICES } from '../tee/collateral/service-url.ts';
import { collectGpuEvidence } from '../tee/collect/gpu-evidence.ts';
import { runTool } from '../tee/collect/run-tool.ts';
import { parseDevice } from '../tee/nvidia/bundle.ts';
import { mirrorsOf, intelService } from './attest-input.ts';
import { createAttestation, fixedLists } from './attestation.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { gasOf } from './paid-role.ts';
import { paymentFolder } from './payments.ts';
import { knownOwner, roleKey, roleOwner, unknownOwner } from './role-wallet.ts';
import { modelHash } from './served-model.ts';
import { storedAddress } from './values.ts';
import { showWallet, walletOf } from './wallets.ts';
import type { TonAccess } from '../chain/access/types.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { ChainView, RootView } from '../node/doctor/chain-view.ts';
import type { Names } from '../node/doctor/names.ts';
import type { Invocation } from './command.ts';

const GPU_TIMEOUT_MS = 8_000;
/** Of each question to the chain: the doctor ends in seconds. */
const CHAIN_TIMEOUT_MS = 4_500;
const NONCE_BYTES = 32;

export interface DoctorChain extends ChainView {
  close(): Promise<void>;
}

export interface DoctorChainParts {
  /** Full name of the model that would be served; null where none was named. */
  readonly modelName: () => Promise<string | null>;
  readonly names: Names;
}

/** What the network in use is; what it is not good for is in `unusable`. Throws for settings that cannot be used. */
export async function doctorChain(invocation: Invocation, { modelName, names }: DoctorChainParts): Promise<DoctorChain> {
  const { settings } = invocation;
  const name = settings.text('network') ?? 'local';
  const attested = name !== 'local';
  let unusable: ChainView['unusable'] = null;
  let network: ChainNetwork | null = null;
  let unpaid: RootView | null = null;
  const accesses: TonAccess[] = [];
  try {
    if (!attested) unpaid = await unpaidRoot(invocation);
    if (unpaid === null) {
      network = await networkInUse(settings);
      requireRoot(network);
      if (network.endpoints.length === 0) throw new ConfigError('E_CONFIG', 'the local chain is not running', { hint: 'run `cocoon localnet start --detach`' });
    }
  } catch (thrown) {
    const error = asCocoonError(thrown);
    if (error.code === 'E_INTERNAL') throw error;
    unusable = { reason: error.message, fix: error.hint ?? 'cocoon network list' };
    network = null;
  }
  const usable = network;
  const once = memo();
  const chainOf = (): ChainNetwork => {
    if (usable === null) throw new ConfigError('E_CONFIG', `network ${name} has no contracts`);
    return usable;
  };
  const hostOf = ({ url }: ChainNetwork['endpoints'][number]): string => new URL(url).hostname;
  const paid: PaidChain = {
    network: chainOf,
    access: () => once('access', async () => {
      const { endpoints } = chainOf();
      await Promise.any(endpoints.map((endpoint) => names.require(hostOf(endpoint)))).catch(({ errors }: AggregateError) => {
        throw asCocoonError(errors[0]);
      });
      return accessTo(invocation, endpoints, accesses);
    }),
  };
  return {
    ...evidenceView(invocation, { name, isMainnet: usable?.globalId === MAINNET.globalId }, once),
    name, attested, paid: usable !== null, unusable,
    endpoints: usable === null ? [] : await Promise.all(usable.endpoints.map(async (endpoint) => {
      const one = await accessTo(invocation, [endpoint], accesses);
      return {
        name: new URL(endpoint.url).origin,
        ask: async (signal: AbortSignal) => {
          await names.require(hostOf(endpoint));
          return askEndpoint(one, signal);
        },
      };
    })),
    root: (signal) => once('root', async () => {
      if (unpaid !== null) return unpaid;
      const { config } = await readRoot({ access: await paid.access(), signal }, requireRoot(paid.network()));
      return { version: config.version, proxies: config.proxies.map(({ workers }) => workers), workerImages: [...config.workerHashes], modelHashes: [...config.modelHashes] };
    }),
    ...moneyView(invocation, paid, once),
    model: () => once('model', async () => {
      const fullName = await modelName();
      return fullName === null ? null : { fullName, hash: toHex(modelHash(fullName)) };
    }),
    running: () => runningNode(invocation),
    close: async () => {
      for (const one of accesses) await one.close();
    },
  };
}

interface PaidChain {
  /** Throws ConfigError where there are no contracts. */
  network(): ChainNetwork;
  /** Rejects with NetworkError where no endpoint's name can be looked up. */
  access(): Promise<TonAccess>;
}

/** Each question is asked once, whoever needs the answer. */
type Once = <T>(key: string, ask: () => Promise<T>) => Promise<T>;
function memo(): Once {
  const asked = new Map<string, Promise<unknown>>();
  return async <T>(key: string, ask: () => Promise<T>): Promise<T> => {
    const known = asked.get(key) ?? ask();
    asked.set(key, known);
    return await known as T;
  };
}

async function accessTo({ settings }: Invocation, endpoints: ChainNetwork['endpoints'], opened: TonAccess[]): Promise<TonAccess> {
  const access = createTonAccess({ endpoints: await endpointConfigs(endpoints), timeoutMs: Math.min(CHAIN_TIMEOUT_MS, settings.durationMs('timeout')) });
  opened.push(access);
  return access;
}

async function askEndpoint(access: TonAccess, signal: AbortSignal): Promise<{ tookMs: number; seqno: number; timeS: number }> {
  const began = performance.now();
  const { seqno, time } = await access.masterchain({ signal });
  return { tookMs: Math.round(performance.now() - began), seqno, timeS: time };
}

/** A local network without contracts plays the part of the root contract itself; null where it has some. */
async function unpaidRoot({ settings }: Invocation): Promise<RootView | null> {
  const { payments, proxy, workerImageHashes } = await readDescription(localnetLayout(settings.home));
  return payments === 'chain' ? null : { version: 0, proxies: [storedAddress(proxy.workers)], workerImages: workerImageHashes, modelHashes: [] };
}

function evidenceView(invocation: Invocation, { name, isMainnet }: { name: string; isMainnet: boolean }, once: Once): Pick<ChainView, 'evidence' | 'gpuManifests' | 'services' | 'manifestUrl'> {
  const { settings, context } = invocation;
  const mirrors = mirrorsOf(settings);
  const rim = mirrors.nvidiaRim ?? DEFAULT_SERVICES.nvidiaRim;
  return {
    evidence: () => once('evidence', async () => {
      const attestation = await createAttestation({ network: { kind: 'hardware', name, isMainnet }, imageLists: fixedLists({ proxy: [], worker: [] }), settings, context });
      try {
        const identity = await attestation.identity('worker');
        identity.close();
        if (identity.imageHash === null || (identity.evidence !== 'tdx' && identity.evidence !== 'sev-snp')) throw new ConfigError('E_NO_TEE', `this machine's evidence is ${identity.evidence}, expected TDX or SEV-SNP`);
        return { family: identity.evidence, imageHash: toHex(identity.imageHash) };
      } finally {
        attestation.close();
      }
    }),
    gpuManifests: (signal) => once('manifests', async () => {
      const devices = await collectGpuEvidence(runTool, { device: 'gpu', nonce: new Uint8Array(randomBytes(NONCE_BYTES)), timeoutMs: GPU_TIMEOUT_MS, signal });
      return [...new Set(devices.flatMap((device) => rimIdsOf(parseDevice(device))))];
    }),
    services: (tee, gpus) => [
      tee === 'tdx'
        ? { what: 'Intel', url: `${intelService(settings, {}).pccs ?? DEFAULT_SERVICES.intelPcs}/sgx/certification/v4/qe/identity`, setting: 'attest.pccs' }
        : { what: 'AMD', url: `${mirrors.amdKds ?? DEFAULT_SERVICES.amdKds}/vcek/v1/Genoa/crl`, setting: 'attest.amd_kds' },
      ...(gpus ? [{ what: 'NVIDIA manifests', url: `${rim}/ids`, setting: 'attest.nvidia_rim' }, { what: 'NVIDIA OCSP', url: mirrors.nvidiaOcsp ?? DEFAULT_SERVICES.nvidiaOcsp, setting: 'attest.nvidia_ocsp' }] : []),
    ],
    manifestUrl: (id) => `${rim}/${id}`,
  };
}

function moneyView(invocation: Invocation, paid: PaidChain, once: Once): Pick<ChainView, 'wallet' | 'owner' | 'stake' | 'owed'> {
  const { settings } = invocation;
  const key = (): ReturnType<typeof roleKey> => once('key', () => roleKey(invocation, paid.network(), 'node'));
  const owner = () => once('owner', async () => {
    const network = paid.network();
    try {
      return await roleOwner(invocation, network, 'node', await key());
    } catch (error) {
      // Without a hot wallet the owner may be known all the same.
      if (!(error instanceof NotFoundError)) throw error;
      return await knownOwner(invocation, network, 'node', { owner: null }) ?? unknownOwner('node');
    }
  });
  return {
    wallet: (signal) => once('wallet', async () => {
      const network = paid.network();
      const entry = await key();
      const access = await paid.access();
      const { balanceNano, neededNano, fill } = await gasOf(access, network, entry, await walletOf(entry, network, access), signal);
      return { label: entry.label, balanceNano, neededNano, fill };
    }),
    owner: async () => showWallet(await owner(), paid.network()),
    stake: async (signal) => {
      const address = await owner();
      return (await readBond({ access: await paid.access(), signal }, requireRoot(paid.network()), address)).storage?.stakeNano ?? null;
    },
    owed: async (signal) => {
      const network = paid.network();
      const book = await openPaymentBook(paymentFolder(settings, network));
      try {
        const entries = (await book.entries()).filter(({ kind }) => kind === 'worker');
        if (entries.length === 0) return null;
        const { config: { params } } = await readRoot({ access: await paid.access(), signal }, requireRoot(network));
        const tokens = entries.reduce((sum, { signedTokens, claimedTokens }) => sum + (signedTokens > claimedTokens ? signedTokens - claimedTokens : 0n), 0n);
        return { proxies: entries.length, unclaimedNano: workerFeeOf(params, tokens) };
      } finally {
        await book.close();
      }
    },
  };
}

async function runningNode({ settings }: Invocation): Promise<string | null> {
  for (const path of [join(settings.home, 'run', 'node.json'), localnetLayout(settings.home).record('node')]) {
    const record = await readDaemonRecord(path).catch((error: unknown) => {
      if (error instanceof CocoonError) return null;
      throw error;
    });
    if (record !== null && isAlive(record)) return `process ${record.pid} is ${record.state}${record.facts['model'] === undefined ? '' : `, serves ${record.facts['model']}`}`;
  }
  return null;
}
