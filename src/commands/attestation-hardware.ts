// Attestation on every network that is not local: the evidence of this machine, and peers judged by the manufacturers'
// collateral, the policy of the settings, and the root contract's lists. Loaded only where it is needed. Refuses a test root on
// mainnet, and says so where one stands in for a manufacturer's.
import { resolve } from 'node:path';
import { ConfigError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import { silentLog } from '../core/log.ts';
import { collectCertificateEvidence } from '../tee/collect/collect.ts';
import { cacheFolderOf, createCollateralSource } from '../tee/collateral/source.ts';
import { hardwareAttester } from '../tee/live/hardware-attester.ts';
import { EvidenceJudge } from '../tee/live/judge.ts';
import { livePolicyOf } from '../tee/live/live-policy.ts';
import { createVerifyHardware } from '../tee/live/verify-hardware.ts';
import { MAX_ROOT_BYTES, trustRootsOf } from '../tee/trust-roots.ts';
import { intelService, mirrorsOf, readPolicy } from './attest-input.ts';
import { freshnessOf } from './attestation.ts';
import type { GpuWish } from '../tee/collect/collect.ts';
import type { TrustRoots } from '../tee/evidence-file-judge.ts';
import type { AttestationOptions, AttestedNetwork, NetworkAttestation } from './attestation.ts';

export async function hardwareAttestation(network: Extract<AttestedNetwork, { kind: 'hardware' }>, options: AttestationOptions): Promise<NetworkAttestation> {
  const { settings, context, imageLists, log = silentLog, ports = {} } = options;
  const { clock, cwd } = context;
  const roots = await testRoots(network, options);
  if (roots !== undefined) log.warn('peers are judged by a test root', { network: network.name, file: settings.text('attest.trust_root') });
  const policyFile = settings.text('attest.policy');
  const policy = livePolicyOf(await readPolicy({ context }, policyFile), policyFile ?? 'default');
  const given = settings.text('attest.collateral');
  const source = createCollateralSource({
    cacheFolder: cacheFolderOf(settings.home), givenFolders: given === undefined ? [] : [resolve(cwd, given)], mirrors: mirrorsOf(settings), clock, log,
    ...(ports.http !== undefined && { http: ports.http }),
  });
  const judge = new EvidenceJudge({ clock, source, intel: intelService(settings, {}), policy, ...(roots !== undefined && { roots }) });
  const forget = imageLists.onChange(() => judge.forget());
  const collect = { source, log, ...ports.collect };
  return {
    machine: (own) => ({
      evidence: (publicKey) => collectCertificateEvidence(publicKey, { ...collect, signal: context.signal }),
      // A proxy computes nothing, so that its GPUs, if it has any, say nothing about it.
      attester: (publicKey) => hardwareAttester(publicKey, { collect, gpus: own === 'worker' ? gpuWish(settings.text('attest.gpus')) : 'none' }),
    }),
    verifyPeer: (role) => createVerifyHardware({ kind: 'tee', role, imageHashes: imageLists }, { clock, judge, freshness: freshnessOf(settings) }),
    close() {
      forget();
      judge.clear();
    },
  };
}

const gpuWish = (text: string | undefined): GpuWish => (text === 'require' || text === 'none' ? text : 'if-present');

async function testRoots({ name, isMainnet }: Extract<AttestedNetwork, { kind: 'hardware' }>, { settings, context }: AttestationOptions): Promise<TrustRoots | undefined> {
  const file = settings.text('attest.trust_root');
  if (file === undefined) return undefined;
  if (isMainnet) {
    throw new ConfigError('E_CONFIG', `cannot use the test root "${file}" on network "${name}": its peers hold real money and real prompts`, { hint: 'remove attest.trust_root, or use a test network' });
  }
  return trustRootsOf(await readBounded(resolve(context.cwd, file), MAX_ROOT_BYTES));
}
