// `cocoon attest collect`: evidence of this machine as a JSON bundle that `attest verify` reads: quote or report, event log,
// GPUs, bound to the verifier's nonce. Outside a TEE it fails and says so.
import { resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { writeFileAtomic } from '../core/files.ts';
import { collectBundle } from '../tee/collect/collect.ts';
import { generateTlsKeys } from '../tee/tls-keys.ts';
import { collateralSource, declareCollateral, intelService, nonceOption } from './attest-input.ts';
import { oneOf } from './values.ts';
import type { AttestOptions } from './attest-input.ts';
import type { GpuWish } from '../tee/collect/collect.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

const NONCE_BYTES = 32;

interface CollectCommandOptions extends AttestOptions {
  readonly gpus?: GpuWish;
  readonly withCollateral?: boolean;
  readonly out?: string;
}

export function declare(command: Command): void {
  declareCollateral(command
    .option('--nonce <hex>', 'the verifier\'s 32 random bytes; without it, own ones', nonceOption)
    .option('--gpus <wish>', 'require, if-present or none (default: if-present)', oneOf<GpuWish>(['require', 'if-present', 'none']))
    .option('--with-collateral', 'also fetch what a verifier needs, and put it in')
    .option('--out <file>', 'write the bundle into this file instead of standard output'));
}

export async function run(invocation: Invocation): Promise<void> {
  const { context, out, settings } = invocation;
  const options: CollectCommandOptions = invocation.options;
  const { nonce, gpus = 'if-present', withCollateral = false, out: file } = options;
  if (nonce !== undefined && nonce.length !== NONCE_BYTES) throw new UsageError('E_USAGE', `the nonce has ${nonce.length} bytes, expected ${NONCE_BYTES}`);
  // A key for this one collection: what it has signed shows that all parts belong together.
  const bundle = await collectBundle(
    { keys: generateTlsKeys(), gpus, collateral: withCollateral, ...(nonce !== undefined && { nonce }), intel: intelService(settings, options) },
    { source: collateralSource(invocation, options), ...(context.systemFiles !== undefined && { kernel: context.systemFiles }), timeoutMs: settings.durationMs('timeout'), signal: context.signal },
  );
  const text = `${JSON.stringify(bundle, null, 2)}\n`;
  if (file !== undefined) await writeFileAtomic(resolve(context.cwd, file), text, { mode: 0o644 });
  else await out.text(text);
  const devices = bundle.nvidia?.devices.length ?? 0;
  // The document is the text that was written: a bundle is JSON already.
  const evidence: JsonValue = file === undefined ? JSON.parse(text) : null;
  out.result({ file: file ?? null, family: bundle.family, nonce: bundle.nonce, devices, evidence });
  if (file !== undefined) await out.note(`wrote ${file}: ${bundle.family}, ${devices} GPUs and switches`);
}
