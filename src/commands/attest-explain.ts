// `cocoon attest explain EVIDENCE`: the exact bytes behind each hash and signature: where they are, what they hash to, and what
// that is compared with. Shows what is in the file, fetches nothing and judges nothing: `attest verify` does.
import { toHex } from '../core/bytes.ts';
import { UsageError } from '../core/errors.ts';
import { explainEvidence, stepData } from '../tee/explain.ts';
import { readEvidence } from './attest-input.ts';
import { printable } from './output.ts';
import type { Piece, Step } from '../tee/explain.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const SHOWN_BYTES = 32;

export function declare(command: Command): void {
  command
    .argument('<evidence>', 'file with a quote, report, attested certificate or JSON bundle; "-"; or HOST:PORT of a peer')
    .option('--full', 'show long byte strings whole, too');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [text = ''], options, out } = invocation;
  const { file, source } = await readEvidence(invocation, text, true);
  const steps = explainEvidence(file);
  if (steps.length === 0) throw new UsageError('E_USAGE', `${source} has no hash or signature that could be explained`);
  out.result({ source, form: file.form, steps: steps.map(stepData) });
  for (const step of steps) await out.text(printable(stepText(step, options['full'] === true)));
}

function stepText({ name, operation, over, digest, against, key, holds }: Step, full: boolean): string {
  const lines = [
    `${name}: ${operation}${holds === null ? '' : holds ? ', holds' : ', DOES NOT HOLD'}`,
    ...over.map((piece) => line('over', piece, full)), ...(digest === null ? [] : [`  digest   ${toHex(digest)}`]),
    ...(against === null ? [] : [line(key === null ? 'equals' : 'signed', against, full)]), ...(key === null ? [] : [line('by', key, full)]),
  ];
  return `${lines.join('\n')}\n\n`;
}

function line(role: string, { what, offset, bytes }: Piece, full: boolean): string {
  const place = offset === null ? '' : ` at ${offset}`;
  const hex = full || bytes.length <= 2 * SHOWN_BYTES ? toHex(bytes) : `${toHex(bytes.subarray(0, SHOWN_BYTES))}…${toHex(bytes.subarray(-8))}`;
  return `  ${role.padEnd(7)}  ${what}${place}, ${bytes.length} bytes: ${hex}`;
}
