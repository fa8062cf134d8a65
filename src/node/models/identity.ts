// What a model is called towards the network, `name@commit:hash` (WIRE.md section 10), and whether files are what a name says.
// A model of a repository is named by commit and tree hash; a file of unknown origin is `name@local:SHA-256`, as it always was.
// Root contracts list SHA-256 of the whole text. Refuses files that are not those of their name.
import { basename } from 'node:path';
import { toHex } from '../../core/bytes.ts';
import { abortError } from '../../core/deadline.ts';
import { ConfigError, NotFoundError, UsageError } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';
import { sha256File } from './file-hash.ts';
import { hashFileTree, modelRoot } from './tree-hash.ts';

export const LOCAL = 'local';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;
const FULL_NAME = /^([^@:]{1,128})@(local|[0-9a-f]{40}):([0-9a-f]{64})$/;
/** Part of a model that was split over several files: `model-00001-of-00003.gguf`. */
export const SPLIT = /-(\d{5})-of-(\d{5})\.gguf$/i;

export interface FullName {
  readonly name: string;
  /** Commit of its repository, 40 hexadecimal digits, or `local`. */
  readonly commit: string;
  /** Tree hash; for `local` SHA-256 of the file. 64 hexadecimal digits. */
  readonly hash: string;
}

/** The parts of a full name; null for text of another form. */
export function parseFullName(text: string): FullName | null {
  const [, name, commit, hash] = FULL_NAME.exec(text) ?? [];
  return name === undefined || commit === undefined || hash === undefined || !NAME.test(name) ? null : { name, commit, hash };
}

export const formatFullName = ({ name, commit, hash }: FullName): string => `${name}@${commit}:${hash}`;

/** The name, checked. Throws UsageError for one that the wire cannot carry. */
export function requireModelName(name: string): string {
  if (NAME.test(name)) return name;
  throw new UsageError('E_USAGE', `cannot serve a model as "${name.slice(0, 140)}": expected letters, digits, ".", "_", "-" and "/", at most 128`, { hint: 'choose a name with --name' });
}

/** The name of a file without --name: its base name without `.gguf` and without the number of a part. */
export const nameOfFile = (path: string): string => basename(path).replace(SPLIT, '').replace(/\.gguf$/i, '');

export interface VerifyOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told how many bytes of all files have been hashed so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** The hash that the full name of these files has under a commit or `local`, 64 hexadecimal digits. Throws as the file system. */
export async function hashOfFiles(paths: readonly string[], commit: string, { signal, onProgress }: VerifyOptions = {}): Promise<string> {
  if (commit === LOCAL) {
    const [only] = paths;
    if (only === undefined || paths.length > 1) throw new RangeError('expected one file');
    return toHex(await sha256File(only, { signal, ...(onProgress !== undefined && { onProgress }) }));
  }
  const roots: Uint8Array[] = [];
  let before = 0;
  for (const path of paths) {
    const { size, root } = await hashFileTree(path, { signal, onProgress: (bytes) => onProgress?.(before + bytes) });
    before += size;
    roots.push(root);
  }
  return toHex(modelRoot(roots));
}

/**
 * Reads every byte of the files and returns the full name that they have. Throws ConfigError `E_MODEL_DAMAGED` where it is not
 * `expected`, NotFoundError without the files, UsageError for an `expected` that is no full name, and the signal's reason.
 */
export async function verifyFiles(paths: readonly string[], expected: string, options: VerifyOptions = {}): Promise<string> {
  const wanted = parseFullName(expected);
  if (wanted === null) throw new UsageError('E_USAGE', `"${expected.slice(0, 240)}" is no full name of a model`, { hint: 'expected name@commit:hash, as `cocoon models list --local` shows it' });
  let hash: string;
  try {
    hash = await hashOfFiles(paths, wanted.commit, options);
  } catch (cause) {
    if (options.signal?.aborted === true) throw abortError(options.signal);
    if (systemErrorCode(cause) === 'ENOENT') throw new NotFoundError('E_NOT_FOUND', `there is no file of the model ${wanted.name} at "${paths.join('", "')}"`, { cause });
    throw new ConfigError('E_MODEL_DAMAGED', `cannot read the model ${wanted.name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (hash === wanted.hash) return expected;
  throw new ConfigError('E_MODEL_DAMAGED', `the model ${wanted.name} has the hash ${hash}, expected ${wanted.hash}`, { hint: `remove it with \`cocoon models rm ${wanted.name}\` and pull it again` });
}
