// The model that a node serves: a file that was named, or the small one that comes with the package.
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelIdentity } from '../node/model-file.ts';
import type { ModelIdentity } from '../node/model-file.ts';
import type { Context } from '../core/context.ts';

const BUNDLED_MODEL = fileURLToPath(new URL('../../models/cocoon-tiny-q8_0.gguf', import.meta.url));
const BUNDLED_NAME = 'cocoon-tiny';

export interface ServedModel extends ModelIdentity {
  readonly path: string;
}

/** `file` and `name` as given on the command line. Throws what modelIdentity throws. */
export async function servedModel({ cwd, signal }: Pick<Context, 'cwd' | 'signal'>, file: string | undefined, name?: string): Promise<ServedModel> {
  const path = file === undefined ? BUNDLED_MODEL : resolve(cwd, file);
  return { path, ...await modelIdentity(path, name ?? (file === undefined ? BUNDLED_NAME : undefined), signal) };
}

/** Hash of a model's full name, `name@commit:verity`, as root contracts list it (WIRE.md section 10): 32 bytes. */
export const modelHash = (fullName: string): Uint8Array => new Uint8Array(createHash('sha256').update(fullName).digest());
