// Gets a model: looks up what it consists of, checks the room on the disk, downloads each file (or goes on with what is there), reads
// its header, and gives it a name in the registry with one rename. What is not right is never given a name; what can be gone on with
// is kept under partial/, one folder a model, used by one process at a time.
import { createHash } from 'node:crypto';
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../core/bytes.ts';
import { CocoonError, ConfigError, NetworkError, UsageError } from '../../core/errors.ts';
import { ensureFolder } from '../../core/files.ts';
import { withLock } from '../../core/lock.ts';
import { downloadFile } from './download.ts';
import { ModelFetcher } from './fetch.ts';
import { readGgufHeader } from './gguf-header.ts';
import { withFileSource } from './file-source.ts';
import { lookUp, parseReference } from './hub.ts';
import { formatFullName, hashOfFiles, LOCAL, nameOfFile, parseFullName, requireModelName, SPLIT } from './identity.ts';
import { nameTaken } from './registry.ts';
import { modelRoot } from './tree-hash.ts';
import type { ErrorCode } from '../../core/codes.ts';
import type { Sleep } from '../../core/retry.ts';
import type { RemoteModel } from './hub.ts';
import type { ModelEntry, ModelFile, ModelRegistry } from './registry.ts';

export const DEFAULT_HUB = 'https://huggingface.co';
/** Errors after which what is there is not gone on with. */
const HOPELESS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['E_MODEL_SOURCE', 'E_MODEL_FORMAT', 'E_CONFIG', 'E_NOT_FOUND']);
/** Left free on the disk. */
const RESERVE_BYTES = 256 << 20;

export interface PullOptions {
  /** `org/repo:quant`, `org/repo/file.gguf` or an address. */
  readonly reference: string;
  readonly registry: ModelRegistry;
  /** Base name; default: that of the file. */
  readonly name?: string | undefined;
  /** Default main. */
  readonly revision?: string | undefined;
  /** 64 hexadecimal digits; of models of one file. */
  readonly sha256?: string | undefined;
  /** Addresses in place of the hub's, or of the file where an address is pulled. */
  readonly mirrors?: readonly string[];
  readonly parallel: number;
  readonly hub?: string;
  /** For the hub, and nobody else. */
  readonly token?: string | undefined;
  readonly replace?: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number, totalBytes: number | null) => void;
  /** For tests: without waits, with less patience, on a small disk, in small segments. */
  readonly ports?: { readonly sleep?: Sleep; readonly stallMs?: number; readonly freeBytes?: () => Promise<number>; readonly segmentBytes?: number };
}

export interface Pulled {
  readonly entry: ModelEntry;
  /** False: the files were here already. */
  readonly downloaded: boolean;
}

/** Throws UsageError, NotFoundError, ConfigError (`E_DISK_SPACE`, `E_MODEL_ACCESS`, `E_MODEL_FORMAT`, `E_STATE`), NetworkError, the signal's reason. */
export async function pullModel(options: PullOptions): Promise<Pulled> {
  const { hub = DEFAULT_HUB, token, ports = {} } = options;
  const fetcher = new ModelFetcher({ ...(ports.stallMs !== undefined && { stallMs: ports.stallMs }), ...(token !== undefined && { token, tokenOrigin: new URL(hub).origin }) });
  try {
    const model = await describeRemote(options, fetcher);
    const name = requireModelName(options.name ?? nameOfFile(model.files[0]?.name ?? ''));
    return await knownAlready(model, name, options) ?? await download(model, name, options, fetcher);
  } finally {
    await fetcher.close();
  }
}

/** What there is to get, and what its bytes must be. Throws as pullModel. */
export async function describeRemote({ reference, revision, sha256, mirrors = [], hub = DEFAULT_HUB, signal }: Pick<PullOptions, 'reference' | 'revision' | 'sha256' | 'mirrors' | 'hub' | 'signal'>, fetcher: ModelFetcher): Promise<RemoteModel> {
  const parsed = parseReference(reference);
  if (parsed.kind === 'url') return ofAddress(parsed.url, { sha256, mirrors, revision });
  const model = await lookUp(parsed, { hub, mirrors, revision: revision ?? 'main' }, fetcher, signal);
  if (sha256 === undefined) return model;
  if (model.files.length > 1) throw new UsageError('E_USAGE', `the model has ${model.files.length} files, and --sha256 is of one`);
  const stated = model.files[0]?.sha256;
  if (stated !== sha256) throw new NetworkError('E_MODEL_SOURCE', `the repository states the SHA-256 ${stated ?? 'none'}, expected ${sha256}`, { hint: 'the file was replaced: check the revision' });
  return model;
}

function ofAddress(url: string, { sha256, mirrors, revision }: { sha256: string | undefined; mirrors: readonly string[]; revision: string | undefined }): RemoteModel {
  if (revision !== undefined) throw new UsageError('E_USAGE', 'an address has no revision', { hint: 'leave --revision out' });
  if (mirrors.length > 0 && sha256 === undefined) throw new UsageError('E_USAGE', 'bytes of several sources are put together only where their hash is known', { hint: 'add --sha256' });
  const path = decodeURIComponent(new URL(url).pathname);
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (!/^[A-Za-z0-9][A-Za-z0-9._ +-]{0,234}\.gguf$/i.test(name)) throw new UsageError('E_USAGE', `the address ends in ${JSON.stringify(name.slice(0, 80))}, expected a file name that ends in .gguf`);
  if (SPLIT.test(name)) throw new UsageError('E_USAGE', 'a model in several parts can be pulled from a repository only', { hint: 'use org/repo:quant' });
  // An address may hold a token: only what names the file is kept.
  const shown = new URL(url);
  shown.search = '';
  return { files: [{ name, urls: [url, ...mirrors], size: null, sha256: sha256 ?? null }], commit: null, source: shown.href };
}

/** The model without a download: it has this name, or its files are here under another one. */
async function knownAlready(model: RemoteModel, name: string, { registry, replace = false, signal }: PullOptions): Promise<Pulled | null> {
  const all = await registry.list();
  const taken = all.find((entry) => entry.name === name);
  if (taken?.source === model.source && model.commit !== null) return { entry: taken, downloaded: false };
  // Before anything is fetched; an address may give the same bytes again.
  if (taken !== undefined && taken.source !== model.source && !replace) throw nameTaken(taken);
  const hashes = model.files.map(({ sha256 }) => sha256);
  if (hashes.some((hash) => hash === null)) return null;
  const twin = all.find(({ files }) => files.length === model.files.length && files.every((file, index) => file.sha256 === hashes[index] && file.name === model.files[index]?.name));
  if (twin === undefined) return null;
  const commit = model.commit ?? LOCAL;
  const hash = parseFullName(twin.fullName)?.commit !== LOCAL && commit !== LOCAL ? parseFullName(twin.fullName)?.hash : await hashOfFiles(twin.paths, commit, { signal });
  const entry = hash === undefined ? null : await registry.share({ name, fullName: formatFullName({ name, commit, hash }), files: twin.files, source: model.source }, { replace });
  return entry === null ? null : { entry, downloaded: false };
}

async function download(model: RemoteModel, name: string, options: PullOptions, fetcher: ModelFetcher): Promise<Pulled> {
  const { registry, signal, replace = false } = options;
  await ensureFolder(registry.partialFolder);
  const folder = join(registry.partialFolder, createHash('sha256').update(model.source).digest('hex').slice(0, 32));
  const busy = (holder: string): ConfigError => new ConfigError('E_STATE', `${holder} is downloading the same model`, { hint: 'wait for it, or stop it' });
  return withLock(folder, async () => {
    try {
      const files = await fetchFiles(model, folder, options, fetcher);
      const commit = model.commit ?? LOCAL;
      const hash = commit === LOCAL ? files[0]?.file.sha256 ?? '' : toHex(modelRoot(files.map(({ root }) => root)));
      await withFileSource(join(folder, 'files', files[0]?.file.name ?? ''), readGgufHeader);
      const entry = await registry.add({ name, fullName: formatFullName({ name, commit, hash }), files: files.map(({ file }) => file), source: model.source }, join(folder, 'files'), { replace });
      await rm(folder, { recursive: true, force: true });
      return { entry, downloaded: true };
    } catch (error) {
      if (error instanceof CocoonError && HOPELESS.has(error.code)) await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }, { timeoutMs: 0, signal, busy });
}

async function fetchFiles(model: RemoteModel, folder: string, { parallel, signal, onProgress, ports = {} }: PullOptions, fetcher: ModelFetcher): Promise<{ file: ModelFile; root: Uint8Array }[]> {
  await ensureFolder(join(folder, 'files'));
  await ensureFolder(join(folder, 'state'));
  const total = model.files.reduce<number | null>((sum, { size }) => (sum === null || size === null ? null : sum + size), 0);
  const freeBytes = ports.freeBytes ?? (async () => {
    const { bavail, bsize } = await statfs(folder);
    return Math.max(0, bavail * bsize - RESERVE_BYTES);
  });
  const fetched: { file: ModelFile; root: Uint8Array }[] = [];
  let before = 0;
  for (const [index, remote] of model.files.entries()) {
    const { size, sha256, root } = await downloadFile(remote, {
      fetcher, path: join(folder, 'files', remote.name), statePath: join(folder, 'state', `${index}.json`), parallel, freeBytes, signal,
      onProgress: (bytes) => onProgress?.(before + bytes, total), ...(ports.sleep !== undefined && { sleep: ports.sleep }), ...(ports.segmentBytes !== undefined && { segmentBytes: ports.segmentBytes }),
    });
    before += size;
    fetched.push({ file: { name: remote.name, size, sha256 }, root });
  }
  return fetched;
}
