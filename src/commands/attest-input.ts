// What all `attest` commands are given: evidence from a file, standard input or a live peer; a policy; a time; a test root;
// and where missing collateral comes from. Reads bounded, and sends a peer nothing but its side of the TLS handshake.
import { resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { readRoot } from '../chain/plans/reading.ts';
import { MAINNET } from '../chain/wallets/network.ts';
import { fromHex } from '../core/bytes.ts';
import { abortError, withDeadline } from '../core/deadline.ts';
import { ConfigError, CocoonError, InterruptedError, NetworkError, UsageError } from '../core/errors.ts';
import { pathExists, readBounded } from '../core/files.ts';
import { joinAsClient } from '../localnet/membership.ts';
import { cacheFolderOf, createCollateralSource } from '../tee/collateral/source.ts';
import type { IntelService } from '../tee/collateral/intel.ts';
import type { Mirrors } from '../tee/collateral/service-url.ts';
import type { CollateralSource } from '../tee/collateral/source.ts';
import { certificateFile, MAX_EVIDENCE_FILE_BYTES, parseEvidenceFile } from '../tee/evidence-file.ts';
import type { EvidenceFile } from '../tee/evidence-file.ts';
import { fetchMissing } from '../tee/evidence-file-collateral.ts';
import { judgeEvidence } from '../tee/evidence-file-judge.ts';
import type { AllowedImages, CombinedVerdict, FetchedCollateral, JudgeInput } from '../tee/evidence-file-judge.ts';
import { defaultPolicyDocument, MAX_POLICY_BYTES, parsePolicy, policyOfDocument, withAllowedImages, withAnyMeasurement } from '../tee/policy-file.ts';
import type { PolicyDocument } from '../tee/policy-fields.ts';
import { createTlsIdentity } from '../tee/tls-identity.ts';
import { MAX_ROOT_BYTES, trustRootsOf } from '../tee/trust-roots.ts';
import { formatAddress } from '../wire/address.ts';
import { dial } from '../wire/dial.ts';
import { networkInUse, requireRoot, withAccess } from './chain.ts';
import { hostPort, repeated } from './values.ts';
import type { Context } from '../core/context.ts';
import type { Command } from 'commander';
import type { Settings } from '../core/settings.ts';
import type { HostPort } from './values.ts';
import type { Invocation } from './command.ts';

/** Options that judging evidence takes, as commander leaves them. */
export interface AttestOptions {
  readonly policy?: string;
  readonly nonce?: Uint8Array;
  readonly at?: number;
  readonly offline?: boolean;
  readonly trustRoot?: string;
  readonly anyMeasurement?: boolean;
  readonly collateral?: readonly string[];
  readonly pccs?: string;
}

const MAX_NONCE_BYTES = 64;

/** Parser of 1 to 64 bytes in hexadecimal. */
export function nonceOption(text: string): Uint8Array {
  if (!/^([0-9a-fA-F]{2})+$/.test(text) || text.length > 2 * MAX_NONCE_BYTES) throw new InvalidArgumentError(`expected 1 to ${MAX_NONCE_BYTES} bytes in hexadecimal`);
  return fromHex(text);
}

/** Parser of a time, RFC 3339 or @seconds, in milliseconds since the Unix epoch. */
export function timeOption(text: string): number {
  const seconds = /^@(\d{1,11})$/.exec(text)?.[1];
  const ms = seconds !== undefined ? Number(seconds) * 1000 : /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text.replace(' ', 'T')) : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidArgumentError('expected a time such as 2026-01-31T12:00:00Z or @1767225600');
  return ms;
}

/** Adds the options of AttestOptions. */
export function declareJudging(command: Command): void {
  declareCollateral(declareRules(command
    .option('--policy <file>', POLICY_HELP)
    .option('--nonce <hex>', 'random bytes that the evidence must have been made for', nonceOption), 'now'));
}

/** Those that need no network. */
export function declareJudgingOffline(command: Command): void {
  declareRules(command.option('--policy <file>', POLICY_HELP), 'that of the receipt').option('--collateral <dir>', 'folder with collateral that `attest fetch` wrote; may be repeated', repeated(String));
}

const POLICY_HELP = 'policy file, or "chain" for the images that the network\'s root contract allows';

/** `now`: which time is the default. */
const declareRules = (command: Command, now: string): Command => command
  .option('--at <time>', `judge at this time instead of ${now}: RFC 3339 or @seconds`, timeOption)
  .option('--trust-root <file>', 'certificate of a test root in place of the manufacturer\'s (PEM or DER)')
  .option('--any-measurement', 'accept any image: only show that the hardware is genuine');

/** Adds the options that say where collateral comes from. */
export function declareCollateral(command: Command): void {
  command
    .option('--collateral <dir>', 'folder with collateral that `attest fetch` wrote; may be repeated', repeated(String))
    .option('--pccs <url>', 'Intel PCCS to ask instead of Intel')
    .option('--offline', 'use no network: collateral comes from the evidence, --collateral and the cache');
}

/** Evidence and where it came from. */
export interface GivenEvidence {
  readonly file: EvidenceFile;
  /** For a person: path, "standard input" or host:port. */
  readonly source: string;
  /** True when a peer has shown it now. */
  readonly live: boolean;
}

/** Reads FILE, `-` or, where `live` allows it, the certificate of HOST:PORT. Throws AttestationError for what is no evidence. */
export async function readEvidence(invocation: Invocation, text: string, live = false): Promise<GivenEvidence> {
  const { context } = invocation;
  if (text === '-') {
    const bytes = await readStdin(invocation);
    return givenFile(bytes, 'standard input');
  }
  const path = resolve(context.cwd, text);
  const peer = live && !await pathExists(path) ? peerOf(text) : null;
  if (peer !== null) {
    const bytes = await certificateOf(invocation, peer);
    return { file: certificateFile(bytes), source: formatAddress(peer.host, peer.port), live: true };
  }
  return givenFile(await readBounded(path, MAX_EVIDENCE_FILE_BYTES), text);
}

function givenFile(bytes: Uint8Array, source: string): GivenEvidence {
  return { file: parseEvidenceFile(bytes), source, live: false };
}

function peerOf(text: string): HostPort | null {
  try {
    return hostPort(text);
  } catch {
    return null;
  }
}

async function readStdin({ context }: Invocation): Promise<Uint8Array> {
  const { source } = context.stdin;
  const chunks: Buffer[] = [];
  let total = 0;
  const stop = (): void => { source.destroy(); };
  context.signal.addEventListener('abort', stop, { once: true });
  try {
    if (context.signal.aborted) throw abortError(context.signal);
    for await (const chunk of source) {
      const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      total += bytes.length;
      if (total > MAX_EVIDENCE_FILE_BYTES) throw new UsageError('E_USAGE', `the evidence on standard input is longer than ${MAX_EVIDENCE_FILE_BYTES} bytes`);
      chunks.push(bytes);
    }
  } catch (error) {
    if (context.signal.aborted) throw abortError(context.signal);
    if (error instanceof CocoonError) throw error;
    throw new UsageError('E_USAGE', `cannot read the evidence from standard input: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    context.signal.removeEventListener('abort', stop);
  }
  if (context.signal.aborted) throw abortError(context.signal);
  return Buffer.concat(chunks);
}

/** The certificate that a peer shows. The handshake ends there, so that nothing is said to a peer that is not judged yet. */
async function certificateOf({ context, settings }: Invocation, { host, port }: HostPort): Promise<Uint8Array> {
  const identity = await createTlsIdentity({ clock: context.clock, evidence: () => ({ family: 'none' }) });
  identity.close(); // one short connection needs no renewal
  const timeoutMs = settings.durationMs('timeout');
  const address = formatAddress(host, port);
  const late = (): NetworkError => new NetworkError('E_TIMEOUT', `${address} did not show its certificate within ${timeoutMs} ms`);
  const enough = new InterruptedError('E_INTERRUPTED', 'the certificate is all that was wanted');
  let shown: Uint8Array | undefined;
  const verifyPeer = (certificateDer: Uint8Array): never => {
    shown = certificateDer.slice();
    throw enough;
  };
  try {
    await withDeadline((signal) => dial({ host, port, identity: identity.current(), verifyPeer, signal }), { timeoutMs, signal: context.signal, late });
  } catch (error) {
    if (error !== enough) throw error;
  }
  if (shown === undefined) throw new NetworkError('E_PROTOCOL', `${address} showed no certificate`);
  return shown;
}

/** The policy of --policy FILE or of none, before --any-measurement. */
export async function readPolicy({ context }: { readonly context: Pick<Context, 'cwd'> }, file: string | undefined): Promise<PolicyDocument> {
  if (file === undefined) return defaultPolicyDocument();
  const bytes = await readBounded(resolve(context.cwd, file), MAX_POLICY_BYTES);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError('E_CONFIG', `cannot read the policy "${file}": it is not UTF-8 text`, { cause });
  }
  return parsePolicy(text, file);
}

/** What the root contract of the network in use allows. */
export async function chainImages(invocation: Invocation): Promise<AllowedImages> {
  const network = await networkInUse(invocation.settings);
  const address = requireRoot(network);
  return withAccess(invocation, network, async (access) => {
    const { config } = await readRoot({ access, signal: invocation.context.signal }, address);
    return { network: `network ${network.name}`, proxy: [...config.proxyHashes], worker: [...config.workerHashes] };
  });
}

/** Where collateral comes from: given folders, the cache, then the services unless --offline. */
export function collateralSource({ settings, context }: Invocation, { offline = false, collateral = [] }: AttestOptions, refresh = false): CollateralSource {
  return createCollateralSource({
    cacheFolder: cacheFolderOf(settings.home), givenFolders: collateral.map((folder) => resolve(context.cwd, folder)), offline, refresh,
    timeoutMs: settings.durationMs('timeout'), clock: context.clock, mirrors: mirrorsOf(settings),
  });
}

/** Where to ask instead of AMD and NVIDIA. */
export function mirrorsOf(settings: Settings): Mirrors {
  const [amdKds, nvidiaRim, nvidiaOcsp] = (['attest.amd_kds', 'attest.nvidia_rim', 'attest.nvidia_ocsp'] as const).map((key) => settings.text(key));
  return { ...(amdKds !== undefined && { amdKds }), ...(nvidiaRim !== undefined && { nvidiaRim }), ...(nvidiaOcsp !== undefined && { nvidiaOcsp }) };
}

/** Whom to ask for Intel's collateral: --pccs, the setting, Intel. */
export function intelService(settings: Settings, { pccs = settings.text('attest.pccs') }: AttestOptions): IntelService {
  return pccs === undefined ? {} : { pccs };
}

/** Everything that judging takes but the evidence itself. */
export type JudgeRules = Omit<JudgeInput, 'file' | 'fetched'> & { readonly policyName: string };

/** Reads what the options name. Throws UsageError for what must not be combined. */
export async function judgeRules(invocation: Invocation, given: GivenEvidence): Promise<JudgeRules> {
  const { settings, context } = invocation;
  const options: AttestOptions = invocation.options;
  const network = settings.text('network');
  const { trustRoot, anyMeasurement = false } = options;
  const chain = options.policy === 'chain';
  // What the network does not decide is as for peers: the policy of the settings.
  const policyFile = chain ? settings.text('attest.policy') : options.policy;
  if (trustRoot !== undefined && given.live && await isMainnet(settings)) {
    throw new UsageError('E_USAGE', 'a peer of mainnet is never judged by a test root', { hint: 'leave --trust-root out' });
  }
  if (anyMeasurement && chain) throw new UsageError('E_USAGE', 'cannot use both --policy chain and --any-measurement: either the network decides on the image or nobody');
  const roots = trustRoot === undefined ? undefined : trustRootsOf(await readBounded(resolve(context.cwd, trustRoot), MAX_ROOT_BYTES));
  const isSimulated = given.file.cpu?.kind === 'simulated' && network === 'local';
  const member = isSimulated ? await joinAsClient(settings.home) : null;
  const [proxy, worker] = [member?.policy('proxy'), member?.policy('worker')];
  const own = member === null ? null : { network: 'the local network', proxy: member.description.proxyImageHashes, worker: member.description.workerImageHashes };
  const images = chain ? await chainImages(invocation) : anyMeasurement ? null : own;
  const document = await readPolicy(invocation, policyFile);
  const judged = chain && images !== null ? withAllowedImages(document, images) : anyMeasurement ? withAnyMeasurement(document) : document;
  return {
    policy: policyOfDocument(judged, policyFile ?? 'default'), policyName: [chain ? 'chain' : null, policyFile ?? (chain ? null : 'default')].filter((name) => name !== null).join(' with '),
    nowMs: options.at ?? context.clock.now(), nonce: options.nonce ?? null, ...(roots !== undefined && { roots }),
    local: (proxy ?? worker)?.network ?? null, images, anySimulatedImage: anyMeasurement,
  };
}

/** Mainnet by whatever name; a local chain need not run to be told apart. */
async function isMainnet(settings: Settings): Promise<boolean> {
  return settings.text('network') !== 'local' && (await networkInUse(settings)).globalId === MAINNET.globalId;
}

/** Gets what the evidence lacks. */
export function completeEvidence(invocation: Invocation, file: EvidenceFile): Promise<FetchedCollateral> {
  const options: AttestOptions = invocation.options;
  return fetchMissing(file, collateralSource(invocation, options), intelService(invocation.settings, options), invocation.context.signal);
}

/** Reads, completes and judges. */
export async function judgeGiven(invocation: Invocation, given: GivenEvidence, rules: JudgeRules): Promise<CombinedVerdict> {
  return judgeEvidence({ ...rules, file: given.file, fetched: await completeEvidence(invocation, given.file) });
}
