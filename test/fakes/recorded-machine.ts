// A machine of test/fixtures/machines: its tree of files and links, what its tools print, what the network and the chain answer.
// Everything that is not recorded does not exist.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ConfigError, NetworkError } from '../../src/core/errors.ts';
import { gatherFacts, likelyRole } from '../../src/node/doctor/facts.ts';
import type { ChainView, RootView } from '../../src/node/doctor/chain-view.ts';
import type { Examined } from '../../src/node/doctor/check.ts';
import type { EngineProbe } from '../../src/node/doctor/engine-probe.ts';
import type { MachineRole } from '../../src/node/doctor/facts.ts';
import type { Machine, ToolText } from '../../src/node/doctor/machine.ts';
import type { HttpProbe, NetworkProbe } from '../../src/node/doctor/network-probe.ts';

type Failing = { readonly error: 'E_NO_TEE' | 'E_COLLECT'; readonly message: string; readonly hint: string };

interface Recording {
  readonly what: string;
  readonly release: string;
  readonly isRoot: boolean;
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number };
  readonly role?: MachineRole;
  readonly tools: Readonly<Record<string, ToolText>>;
  readonly network: Readonly<Record<string, number | 'E' | { readonly status: number }>> & { readonly clockErrorS?: number };
  readonly engine: { readonly backend: Awaited<ReturnType<EngineProbe['backend']>>; readonly fit?: Awaited<ReturnType<EngineProbe['fit']>> };
  readonly chain: {
    readonly name: string; readonly attested: boolean; readonly paid: boolean;
    readonly endpoints: readonly { readonly name: string; readonly tookMs: number; readonly seqno: number; readonly behindS: number }[];
    readonly root: RootView; readonly wallet?: { readonly label: string; readonly balanceNano: string; readonly neededNano: string; readonly fill: string };
    readonly owner?: string; readonly stake?: string | null; readonly owed?: null; readonly running: string | null;
    readonly evidence?: Awaited<ReturnType<ChainView['evidence']>> | Failing; readonly model?: Awaited<ReturnType<ChainView['model']>>; readonly gpuManifests?: readonly string[] | Failing;
  };
}

const NOW_MS = Date.UTC(2026, 10, 22, 12);
const notRecorded = (what: string): never => {
  throw new ConfigError('E_STATE', `${what} is not recorded`);
};

function answerOf<T extends object>(recorded: T | Failing | undefined, what: string): T {
  if (recorded === undefined) return notRecorded(what);
  if ('error' in recorded) throw new ConfigError(recorded.error, recorded.message, { hint: recorded.hint });
  return recorded;
}

export async function recordedMachine(folder: string): Promise<Examined> {
  const recording = JSON.parse(await readFile(join(folder, 'machine.json'), 'utf8')) as Recording;
  const machine = machineOf(recording, join(folder, 'tree'));
  const facts = await gatherFacts(machine);
  return {
    machine, facts, role: recording.role ?? likelyRole(facts), network: networkOf(recording.network), chain: chainOf(recording), home: '/var/lib/cocoon', nowMs: () => NOW_MS, signal: new AbortController().signal,
    engine: { backend: async () => recording.engine.backend, fit: async () => recording.engine.fit ?? null, memoryBandwidth: async () => 12 * 1024 ** 3 },
  };
}

function machineOf({ release, isRoot, disk, tools }: Recording, tree: string): Machine {
  return {
    async read(path) {
      try {
        return { kind: 'text', text: await readFile(join(tree, path), 'utf8') };
      } catch {
        return { kind: 'absent' };
      }
    },
    list: async (path) => (await readdir(join(tree, path)).catch(() => [])).sort(),
    link: async (path) => readlink(join(tree, path)).then((target) => basename(target), () => null),
    exists: async (path) => stat(join(tree, path)).then(() => true, () => false),
    run: async (tool, args) => tools[[tool, ...args].join(' ')] ?? null,
    disk: async () => disk, release: () => release, platform: 'linux', nodeVersion: '22.12.0', isRoot,
  };
}

function networkOf(recorded: Recording['network']): NetworkProbe {
  return {
    resolve: async () => undefined,
    async reach(host, port) {
      const ms = recorded[`${host}:${port}`];
      if (typeof ms !== 'number') throw new NetworkError('E_UNREACHABLE', `no connection to ${host}:${port}: ECONNREFUSED`);
      return ms;
    },
    async ask(url): Promise<HttpProbe> {
      const answer = recorded[url] ?? recorded[new URL(url).origin];
      if (typeof answer !== 'object') throw new NetworkError('E_UNREACHABLE', `${new URL(url).host} gives no answer: ENOTFOUND`);
      return { status: answer.status, dateMs: Math.floor(NOW_MS / 1000 - (recorded.clockErrorS ?? 0)) * 1000, tookMs: 80 };
    },
  };
}

function chainOf({ chain }: Recording): ChainView {
  const { name, attested, paid, endpoints, root, wallet, owner, running } = chain;
  return {
    name, attested, paid, unusable: null, root: async () => root, running: async () => running,
    endpoints: endpoints.map(({ name: origin, tookMs, seqno, behindS }) => ({ name: origin, ask: async () => ({ tookMs, seqno, timeS: NOW_MS / 1000 - behindS }) })),
    wallet: async () => (wallet === undefined ? notRecorded('the wallet') : { label: wallet.label, balanceNano: BigInt(wallet.balanceNano), neededNano: BigInt(wallet.neededNano), fill: wallet.fill }),
    owner: async () => owner ?? notRecorded('the owner'), stake: async () => (typeof chain.stake === 'string' ? BigInt(chain.stake) : null), owed: async () => null,
    evidence: async () => answerOf(chain.evidence, 'evidence'), model: async () => chain.model ?? null, gpuManifests: async () => answerOf(chain.gpuManifests, 'evidence of GPUs'),
    services: (tee, gpus) => [
      tee === 'tdx' ? { what: 'Intel', url: 'https://api.trustedservices.intel.com/sgx', setting: 'attest.pccs' } : { what: 'AMD', url: 'https://kdsintf.amd.com/vcek', setting: 'attest.amd_kds' },
      ...(gpus ? [{ what: 'NVIDIA manifests', url: 'https://rim.attestation.nvidia.com/v1/rim/ids', setting: 'attest.nvidia_rim' }, { what: 'NVIDIA OCSP', url: 'https://ocsp.ndis.nvidia.com/', setting: 'attest.nvidia_ocsp' }] : []),
    ],
    manifestUrl: (id) => `https://rim.attestation.nvidia.com/v1/rim/${id}`,
  };
}
