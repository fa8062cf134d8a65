// What the commands about models of this machine have in common: where they come from, how many at a time, progress for a person.
import { InvalidArgumentError } from 'commander';
import { bytesText } from '../node/doctor/check.ts';
import { repeated, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';
import type { ModelEntry } from '../node/models/registry.ts';
import type { JsonValue } from './output.ts';

export interface RemoteOptions {
  readonly revision?: string;
  readonly sha256?: string;
}

export interface PullFlags extends RemoteOptions {
  readonly name?: string;
  readonly mirror?: readonly string[];
  readonly parallel?: number;
  readonly replace?: boolean;
}

const MAX_PARALLEL = 32;

function sha256Option(text: string): string {
  if (!/^[0-9a-fA-F]{64}$/.test(text)) throw new InvalidArgumentError('expected 64 hexadecimal digits');
  return text.toLowerCase();
}

function addressOption(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '') throw new InvalidArgumentError('expected an https address');
  return text.replace(/\/+$/, '');
}

export function declareRemote(command: Command): void {
  command
    .option('--revision <rev>', 'branch, tag or commit of the repository (default: main)')
    .option('--sha256 <hash>', 'what the bytes of the file must be', sha256Option);
}

export function declarePull(command: Command): void {
  declareRemote(command);
  command
    .option('--name <name>', 'name under which it is kept and served (default: the file\'s name)')
    .option('--mirror <url>', 'also fetch from here: a base in place of the hub\'s, or with an address the same file elsewhere; may be repeated', repeated(addressOption))
    .option('--parallel <n>', 'ranges fetched at the same time (default: 4)', wholeNumber(1, MAX_PARALLEL))
    .option('--replace', 'take the name from the model that has it');
}

/** Talk about bytes, at most once a second and only to a person. */
export function byteProgress({ out, context }: Invocation, what: string): (done: number, total: number | null) => void {
  let told = 0;
  return (done, total) => {
    const now = context.clock.now();
    if (!out.interactive || now - told < 1_000) return;
    told = now;
    void out.note(`${what}: ${bytesText(done)}${total === null ? '' : ` of ${bytesText(total)} (${Math.floor(100 * done / Math.max(1, total))} %)`}`);
  };
}

export const sizeOf = ({ files }: Pick<ModelEntry, 'files'>): number => files.reduce((sum, { size }) => sum + size, 0);

export function entryData(entry: ModelEntry): { [key: string]: JsonValue } {
  const { name, fullName, source, addedAtMs, references, paths, files } = entry;
  return { name, fullName, source, addedAtMs, references, bytes: sizeOf(entry), paths, files: files.map((file) => ({ ...file })) };
}
