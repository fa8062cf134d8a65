// `cocoon attest fetch EVIDENCE`: gets the collateral that evidence needs into the cache or, with --out, into a folder that can
// be carried to a machine without network (`attest verify --offline --collateral FOLDER`).
import { resolve } from 'node:path';
import { documentsOf } from '../tee/evidence-file-collateral.ts';
import { UsageError } from '../core/errors.ts';
import { collateralSource, completeEvidence, declareCollateral, intelService, readEvidence } from './attest-input.ts';
import type { AttestOptions } from './attest-input.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

interface FetchOptions extends AttestOptions {
  readonly out?: string;
  readonly refresh?: boolean;
}

export function declare(command: Command): void {
  command
    .argument('<evidence>', 'file with a quote, report, attested certificate or JSON bundle; "-"; or HOST:PORT of a peer')
    .option('--out <dir>', 'also write the documents into this folder')
    .option('--refresh', 'fetch anew what the cache holds already');
  declareCollateral(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [text = ''], context, out } = invocation;
  const options: FetchOptions = invocation.options;
  const intel = intelService(invocation.settings, options);
  const { file, source: from } = await readEvidence(invocation, text, true);
  const documents = documentsOf(file, intel);
  if (documents.length === 0) throw new UsageError('E_USAGE', `${from} holds no evidence that needs collateral`, { hint: 'run `cocoon attest verify` to see what it holds' });
  const source = collateralSource(invocation, options, options.refresh === true);
  await out.note(`fetching ${documents.length} documents`);
  if (options.out === undefined) await source.get(documents, context.signal);
  else await source.export(documents, resolve(context.cwd, options.out), context.signal);
  // OCSP answers about GPUs are known only when the manifests are there; they live too short to be carried.
  if (file.gpu !== null) await completeEvidence(invocation, file);
  out.result({ source: from, folder: options.out ?? null, documents: documents.map(({ id, what, request }) => ({ id, what, url: request.url })) });
  for (const { id, what } of documents) await out.line(`${id}  ${what}`);
}
