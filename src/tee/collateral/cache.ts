// Documents in files, one each, named by their id: the cache (mode 0600 in a folder 0700, written atomically) and folders
// that the user gives. A file is checked as strictly as an answer from the network; the cache treats a damaged one, or one
// that others may write, as absent. Nothing here makes a document trustworthy.
import { join } from 'node:path';
import { CocoonError, ConfigError } from '../../core/errors.ts';
import { ensureFolder, readBounded, writeFileAtomic } from '../../core/files.ts';
import { checkId, jsonObject } from './document.ts';
import type { DocumentContent, DocumentSpec } from './document.ts';

const SCHEMA = 'cocoon.collateral/1';
/** A CRL of the largest accepted size in hexadecimal, and room for the rest. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
const WRITABLE_BY_OTHERS = 0o022;

export type Lookup =
  | { readonly state: 'found'; readonly content: DocumentContent; readonly expiresAtMs: number | null }
  | { readonly state: 'absent' | 'damaged' | 'expired' };

const fileOf = (folder: string, id: string): string => join(folder, `${checkId(id)}.json`);

/** What the cache folder holds for `spec` at `nowMs`. Never throws for the state of a file. */
export async function readCached(folder: string, spec: DocumentSpec, nowMs: number): Promise<Lookup> {
  let stored: Stored;
  try {
    stored = await readDocument(fileOf(folder, spec.id), spec, WRITABLE_BY_OTHERS);
  } catch (error) {
    if (!(error instanceof CocoonError)) throw error;
    return { state: error.code === 'E_NOT_FOUND' ? 'absent' : 'damaged' };
  }
  const { content, expiresAtMs } = stored;
  if (expiresAtMs === null || expiresAtMs <= nowMs) return { state: 'expired' };
  return { state: 'found', content, expiresAtMs };
}

/**
 * What the folders given by the user hold, first match; expired documents too, since the verifier judges time.
 * Throws ConfigError E_STATE for a file of the right name that is damaged.
 */
export async function readGiven(folders: readonly string[], spec: DocumentSpec): Promise<Lookup> {
  for (const folder of folders) {
    const path = fileOf(folder, spec.id);
    try {
      return { state: 'found', ...await readDocument(path, spec, 0) };
    } catch (error) {
      if (!(error instanceof CocoonError)) throw error;
      if (error.code === 'E_NOT_FOUND') continue;
      if (error.code === 'E_STATE') throw error;
      throw new ConfigError('E_STATE', `cannot use ${path}: ${error.message}`, { cause: error, hint: 'fetch the document again' });
    }
  }
  return { state: 'absent' };
}

/** Writes a document into a folder, for the cache and for `attest fetch`. Throws ConfigError E_STATE. */
export async function writeDocument(folder: string, spec: DocumentSpec, content: DocumentContent, fetchedAtMs: number): Promise<void> {
  await ensureFolder(folder);
  const expiresAtMs = spec.expiresAtMs(content, fetchedAtMs);
  const file = {
    schema: SCHEMA, id: spec.id, what: spec.what, source: spec.request.url,
    fetchedAt: new Date(fetchedAtMs).toISOString(), expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(), content,
  };
  await writeFileAtomic(fileOf(folder, spec.id), `${JSON.stringify(file, null, 2)}\n`);
}

interface Stored {
  readonly content: DocumentContent;
  readonly expiresAtMs: number | null;
}

async function readDocument(path: string, spec: DocumentSpec, forbiddenMode: number): Promise<Stored> {
  const bytes = await readBounded(path, MAX_FILE_BYTES, { forbiddenMode });
  const file = jsonObject(Buffer.from(bytes).toString('utf8'), path);
  const fetchedAtMs = typeof file['fetchedAt'] === 'string' ? Date.parse(file['fetchedAt']) : Number.NaN;
  if (file['schema'] !== SCHEMA || file['id'] !== spec.id || !Number.isFinite(fetchedAtMs)) {
    throw new ConfigError('E_STATE', `cannot use ${path}: it is not the document ${spec.id} in the form ${SCHEMA}`);
  }
  const content = file['content'];
  if (typeof content !== 'object' || content === null || !Object.values(content).every((value) => typeof value === 'string')) {
    throw new ConfigError('E_STATE', `cannot use ${path}: its content is not a list of texts`);
  }
  const texts = content as DocumentContent;
  return { content: texts, expiresAtMs: spec.expiresAtMs(texts, fetchedAtMs) };
}
