// Which files a person means by `org/repo:quant`, `org/repo/file.gguf` or an address: names, sizes and SHA-256 from the repository's
// own API (GET /api/models/REPO/revision/REV?blobs=true), at one commit. Refuses repositories without hashes, several candidates, and
// split models with a part missing.
import { z } from 'zod';
import { NetworkError, NotFoundError, UsageError } from '../../core/errors.ts';
import { SPLIT } from './identity.ts';
import type { ModelFetcher } from './fetch.ts';

export type ModelReference =
  | { readonly kind: 'repository'; readonly repository: string; readonly quant: string | null; readonly file: string | null }
  | { readonly kind: 'url'; readonly url: string };

export interface RemoteFile {
  /** Base name. */
  readonly name: string;
  /** Where it is, the preferred source first. */
  readonly urls: readonly string[];
  /** Null where only the server's answer says. */
  readonly size: number | null;
  readonly sha256: string | null;
}

export interface RemoteModel {
  readonly files: readonly RemoteFile[];
  /** 40 hexadecimal digits; null of an address. */
  readonly commit: string | null;
  /** `hf:org/repo@commit/file` or the address. */
  readonly source: string;
}

const PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/;
const QUANT = /^[A-Za-z0-9_.-]{1,32}$/;
const REVISION = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$/;
const DEFAULT_QUANT = 'Q4_K_M';
const MAX_SHOWN = 40;

const Repository = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.object({ rfilename: z.string().max(1_024), size: z.int().min(0).nullish(), lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) }).nullish() })).max(20_000),
});

/** Throws UsageError. */
export function parseReference(text: string): ModelReference {
  if (/^https?:\/\//i.test(text)) {
    if (!URL.canParse(text)) throw new UsageError('E_USAGE', `"${text.slice(0, 200)}" is no address`);
    return { kind: 'url', url: text };
  }
  const [path = '', quant, ...more] = text.split(':');
  const [owner = '', name = '', ...file] = path.split('/');
  const fileName = file.join('/');
  if (more.length > 0 || !PART.test(owner) || !PART.test(name) || (quant !== undefined && (!QUANT.test(quant) || file.length > 0)) || (file.length > 0 && !file.every((part) => /^[A-Za-z0-9][A-Za-z0-9._ +-]{0,239}$/.test(part)))) {
    throw new UsageError('E_USAGE', `"${text.slice(0, 200)}" names no model`, { hint: 'expected org/repo:quant, org/repo/file.gguf or an https address, for example Qwen/Qwen3-8B-GGUF:Q4_K_M' });
  }
  return { kind: 'repository', repository: `${owner}/${name}`, quant: quant ?? null, file: file.length > 0 ? fileName : null };
}

export interface HubOptions {
  /** Address of the hub, without a slash at its end. */
  readonly hub: string;
  /** Addresses in place of the hub's for the files. */
  readonly mirrors: readonly string[];
  readonly revision: string;
}

/** Asks the hub. Throws what ModelFetcher.json throws, NotFoundError, UsageError, NetworkError `E_MODEL_SOURCE`. */
export async function lookUp({ repository, quant, file }: Extract<ModelReference, { kind: 'repository' }>, { hub, mirrors, revision }: HubOptions, fetcher: Pick<ModelFetcher, 'json'>, signal: AbortSignal): Promise<RemoteModel> {
  if (!REVISION.test(revision)) throw new UsageError('E_USAGE', `"${revision.slice(0, 100)}" is no revision`, { hint: 'expected a branch, a tag or a commit' });
  const parsed = Repository.safeParse(await fetcher.json(`${hub}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`, signal));
  if (!parsed.success) throw new NetworkError('E_MODEL_SOURCE', `${new URL(hub).host} does not say what ${repository} holds`, { cause: parsed.error });
  const { sha: commit, siblings } = parsed.data;
  if (/^[0-9a-f]{40}$/.test(revision) && revision !== commit) throw new NetworkError('E_MODEL_SOURCE', `${new URL(hub).host} answered for the commit ${commit}, asked for ${revision}`);
  const chosen = choose(siblings.map(({ rfilename }) => rfilename).filter((name) => /\.gguf$/i.test(name)), { repository, quant, file });
  const files = chosen.map((path): RemoteFile => {
    const entry = siblings.find(({ rfilename }) => rfilename === path);
    if (entry?.lfs === null || entry?.lfs === undefined) throw new NetworkError('E_MODEL_SOURCE', `${repository} states no SHA-256 of ${path}`, { hint: 'pull its address with --sha256' });
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    return { name: path.slice(path.lastIndexOf('/') + 1), size: entry.lfs.size, sha256: entry.lfs.sha256, urls: [hub, ...mirrors].map((base) => `${base}/${repository}/resolve/${commit}/${encoded}`) };
  });
  return { files, commit, source: `hf:${repository}@${commit}/${chosen[0] ?? ''}` };
}

/** Paths of one model, its parts in order. */
function choose(names: readonly string[], { repository, quant, file }: { readonly repository: string; readonly quant: string | null; readonly file: string | null }): string[] {
  const groups = new Map<string, string[]>();
  for (const name of names.filter((path) => !/mmproj/i.test(path))) {
    const group = name.replace(SPLIT, '').replace(/\.gguf$/i, '');
    groups.set(group, [...groups.get(group) ?? [], name].sort());
  }
  if (groups.size === 0) throw new NotFoundError('E_NOT_FOUND', `${repository} holds no GGUF file`, { hint: 'look for a repository whose name ends in -GGUF' });
  const listed = [...groups.keys()].slice(0, MAX_SHOWN).join(', ');
  if (file !== null) {
    const found = [...groups.entries()].find(([group, parts]) => parts.includes(file) || group === file);
    if (found === undefined) throw new NotFoundError('E_NOT_FOUND', `${repository} holds no file ${file}`, { hint: `it holds: ${listed}` });
    return complete(found[1]);
  }
  const wanted = quant ?? (groups.size === 1 ? null : DEFAULT_QUANT);
  const matches = [...groups.entries()].filter(([group]) => wanted === null || isQuant(group, wanted));
  const [only, ...others] = matches;
  if (only === undefined) throw new NotFoundError('E_NOT_FOUND', `${repository} holds no ${wanted ?? 'model'}`, { hint: `it holds: ${listed}` });
  if (others.length > 0) throw new UsageError('E_USAGE', `${repository} holds several files of the kind ${wanted ?? 'GGUF'}`, { hint: `name one: ${matches.slice(0, MAX_SHOWN).map(([group]) => `${repository}/${group}.gguf`).join(', ')}` });
  return complete(only[1]);
}

/** True when the quant is a word of the file's name, or of its folder's. */
const isQuant = (group: string, quant: string): boolean => new RegExp(`(?:^|[-._/])${quant.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?:$|[-._/](?!\\d))`, 'i').test(group);

/** All parts of a split model. */
function complete(parts: readonly string[]): string[] {
  const of = Number(SPLIT.exec(parts[0] ?? '')?.[2] ?? 0);
  if (of === 0) return [...parts];
  const numbers = parts.map((part) => Number(SPLIT.exec(part)?.[1] ?? 0));
  if (parts.length !== of || numbers.some((number, index) => number !== index + 1)) throw new NetworkError('E_MODEL_SOURCE', `the model has ${of} parts, and the repository holds ${parts.length} of them`);
  return [...parts];
}
