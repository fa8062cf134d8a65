// `cocoon models verify [MODEL...]`: reads every byte of models of this machine and compares them with their names; of a file that is
// no model of this machine it prints the full name that a node would serve it under.
import { openRegistry, resolveModel, verifyModel } from '../node/models/registry.ts';
import { asCocoonError, ConfigError } from '../core/errors.ts';
import { byteProgress } from './models.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('[models...]', 'names of `models list --local`, or GGUF files (default: all models of this machine)');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args, settings, context, out } = invocation;
  const names = args.length > 0 ? args : (await openRegistry(settings.home).list()).map(({ name }) => name);
  const results: { name: string; ok: boolean; fullName: string | null; error: string | null }[] = [];
  for (const name of names) {
    try {
      const model = await resolveModel(name, { home: settings.home, cwd: context.cwd });
      const progress = byteProgress(invocation, `reading ${model.name}`);
      const fullName = await verifyModel(model, { signal: context.signal, onProgress: (bytes) => progress(bytes, null) });
      results.push({ name, ok: true, fullName, error: null });
      await out.line(`good  ${fullName}`);
    } catch (thrown) {
      if (context.signal.aborted) throw thrown;
      const error = asCocoonError(thrown);
      // With one name the error is the answer.
      if (names.length === 1 || error.code === 'E_INTERNAL') throw error;
      results.push({ name, ok: false, fullName: null, error: error.message });
      await out.line(`BAD   ${name}: ${error.message}`);
    }
  }
  out.result({ models: results });
  if (names.length === 0) await out.note('there are no models of this machine');
  const bad = results.filter(({ ok }) => !ok).map(({ name }) => name);
  if (bad.length > 0) throw new ConfigError('E_MODEL_DAMAGED', `${bad.length} of ${results.length} models are not what their names say: ${bad.join(', ')}`, { hint: 'remove them with `cocoon models rm` and pull them again' });
}
