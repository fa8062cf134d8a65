// The model that a node serves: a model of this machine by its name, a file, or the small one that comes with the package. A model
// of this machine is hashed while it is loaded; a file of unknown origin before, since its bytes are its name.
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { formatFullName, parseFullName, requireModelName } from '../node/models/identity.ts';
import { openRegistry, resolveModel, verifyModel } from '../node/models/registry.ts';
import type { Context } from '../core/context.ts';

const BUNDLED_MODEL = fileURLToPath(new URL('../../models/cocoon-tiny-q8_0.gguf', import.meta.url));
const BUNDLED_NAME = 'cocoon-tiny';

export interface ServedModel {
  readonly path: string;
  /** Base name, as clients ask for it. */
  readonly name: string;
  /** `name@commit:hash`; `name@local:SHA-256` of a file of unknown origin. */
  readonly fullName: string;
  /** Resolves when every byte has been compared with the full name; rejects with ConfigError `E_MODEL_DAMAGED`. Await it before serving. */
  readonly verified: Promise<void>;
  /** Notes that this process has the model open; call what it resolves to at the end. */
  hold(): Promise<() => Promise<void>>;
}

/** `text` and `name` as given on the command line. Throws NotFoundError, UsageError, the signal's reason. */
export async function servedModel({ cwd, signal, home }: Pick<Context, 'cwd' | 'signal'> & { readonly home: string }, text: string | undefined, name?: string): Promise<ServedModel> {
  const model = await resolveModel(text ?? BUNDLED_MODEL, { home, cwd });
  const chosen = requireModelName(name ?? (text === undefined ? BUNDLED_NAME : model.name));
  const { path, entry, expected } = model;
  const hold = async (): Promise<() => Promise<void>> => (entry === null ? async () => undefined : openRegistry(home).use(entry));
  const identity = expected === null ? null : parseFullName(expected);
  if (identity === null) return { path, name: chosen, fullName: await verifyModel({ ...model, name: chosen }, { signal }), verified: Promise.resolve(), hold };
  const verified = verifyModel(model, { signal }).then(() => undefined);
  verified.catch(() => undefined); // whoever serves it awaits it
  return { path, name: chosen, fullName: formatFullName({ ...identity, name: chosen }), verified, hold };
}

/** Hash of a model's full name, `name@commit:verity`, as root contracts list it (WIRE.md section 10): 32 bytes. */
export const modelHash = (fullName: string): Uint8Array => new Uint8Array(createHash('sha256').update(fullName).digest());
