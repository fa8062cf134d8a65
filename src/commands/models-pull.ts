// `cocoon models pull MODEL`: gets a model from a repository or an address, checks every byte, and gives it a name on this machine.
// A token is read from HF_TOKEN and given to the hub only. Cut off, it goes on where it was.
import { pullModel } from '../node/models/pull.ts';
import { openRegistry } from '../node/models/registry.ts';
import { bytesText } from '../node/doctor/check.ts';
import { byteProgress, declarePull, entryData, sizeOf } from './models.ts';
import { modelHash } from './served-model.ts';
import { toHex } from '../core/bytes.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';
import type { PullFlags } from './models.ts';

const DEFAULT_PARALLEL = 4;

export function declare(command: Command): void {
  command.argument('<model>', 'org/repo:quant, org/repo/file.gguf, or an https address of a .gguf file');
  declarePull(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [reference = ''], settings, context, out } = invocation;
  const { name, revision, sha256, mirror, parallel, replace }: PullFlags = invocation.options;
  const token = context.env['HF_TOKEN'];
  const hub = settings.text('models.hub');
  const { entry, downloaded } = await pullModel({
    reference, registry: openRegistry(settings.home), name, revision, sha256, mirrors: mirror ?? [], parallel: parallel ?? DEFAULT_PARALLEL, replace: replace === true,
    ...(hub !== undefined && { hub }), ...(token !== undefined && token !== '' && { token }), signal: context.signal, onProgress: byteProgress(invocation, 'downloading'),
  });
  const rootHash = toHex(modelHash(entry.fullName));
  out.result({ ...entryData(entry), downloaded, rootHash });
  await out.note(downloaded ? `${bytesText(sizeOf(entry))} downloaded and verified` : 'it was here already');
  await out.line(`name       ${entry.name}\nfull name  ${entry.fullName}\nroot hash  ${rootHash}\nfile       ${entry.paths[0] ?? ''}`);
}
