// `cocoon attest policy show|init|pin|diff`: policy files. `pin` verifies evidence first and writes nothing unless everything
// but its image passes.
import { resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { pathExists, writeFileAtomic } from '../core/files.ts';
import { diffPolicies } from '../tee/policy-diff.ts';
import { defaultPolicyDocument, policyOfDocument, withAnyMeasurement } from '../tee/policy-file.ts';
import { pinMeasurement } from '../tee/policy-pin.ts';
import { policyToml } from '../tee/policy-text.ts';
import { declareJudging, judgeGiven, judgeRules, readEvidence, readPolicy } from './attest-input.ts';
import { printVerdict, verdictData, verdictError } from './attest-view.ts';
import { renderTable } from './table-view.ts';
import { oneOf } from './values.ts';
import type { PolicyDocument } from '../tee/policy-fields.ts';
import type { AttestOptions } from './attest-input.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const ACTIONS = ['show', 'init', 'pin', 'diff'] as const;

const HELP = `
Actions:
  show [FILE]        print a policy with every default filled in (default: the policy that counts without a file)
  init FILE          write a strict policy with a comment for every field
  pin EVIDENCE       verify evidence, then add its image to the policy of --policy, which is made if it is not there
  diff OLD NEW       list what makes the second policy weaker or stronger`;

export function declare(command: Command): void {
  command
    .argument('<action>', ACTIONS.join(', '), oneOf(ACTIONS))
    .argument('[files...]', 'policy files; for pin, a file with evidence, "-", or HOST:PORT of a peer');
  declareJudging(command);
  command.option('--force', 'for init: replace an existing file').addHelpText('after', HELP);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [action, ...files], options } = invocation;
  const expect = (min: number, max: number): void => {
    if (files.length < min || files.length > max) throw new UsageError('E_USAGE', `\`attest policy ${action}\` got ${files.length} files, expected ${min === max ? min : `${min} or ${max}`}`, { hint: 'run `cocoon attest policy --help`' });
  };
  const [given] = Object.keys(options).filter((name) => action !== 'pin' && !(action === 'init' && name === 'force'));
  if (given !== undefined || (action === 'pin' && options['force'] !== undefined)) throw new UsageError('E_USAGE', `--${(given ?? 'force').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is not for \`attest policy ${action}\``);
  switch (action) {
    case 'show': expect(0, 1); return show(invocation, files[0]);
    case 'init': expect(1, 1); return init(invocation, files[0] ?? '');
    case 'pin': expect(1, 1); return pin(invocation, files[0] ?? '');
    default: expect(2, 2); return diff(invocation, files[0] ?? '', files[1] ?? '');
  }
}

async function show(invocation: Invocation, file: string | undefined): Promise<void> {
  const document = await readPolicy(invocation, file);
  invocation.out.result({ file: file ?? null, policy: document });
  await invocation.out.text(policyToml(document));
}

async function init({ context, options, out }: Invocation, file: string): Promise<void> {
  await writePolicy(resolve(context.cwd, file), defaultPolicyDocument(), options['force'] !== true);
  out.result({ file });
  await out.note(`wrote ${file}: name the images that you accept, or run \`cocoon attest policy pin EVIDENCE --policy ${file}\``);
}

/** JSON where the name says so, else TOML. A policy is no secret. */
async function writePolicy(path: string, document: PolicyDocument, exclusive: boolean): Promise<void> {
  const text = path.endsWith('.json') ? `${JSON.stringify(document, null, 2)}\n` : policyToml(document);
  await writeFileAtomic(path, text, { mode: 0o644, exclusive });
}

async function pin(invocation: Invocation, text: string): Promise<void> {
  const { context, out } = invocation;
  const { policy: file, anyMeasurement }: AttestOptions = invocation.options;
  if (file === undefined || file === 'chain') throw new UsageError('E_USAGE', '`attest policy pin` changes a policy, expected --policy FILE');
  if (anyMeasurement !== undefined) throw new UsageError('E_USAGE', '--any-measurement is not for `attest policy pin`: the image is what it is about');
  const path = resolve(context.cwd, file);
  const isNew = !await pathExists(path);
  const document = await readPolicy(invocation, isNew ? undefined : file);
  const given = await readEvidence(invocation, text, true);
  const { policy: _file, ...others } = invocation.options;
  const rules = await judgeRules({ ...invocation, options: others }, given);
  const verdict = await judgeGiven(invocation, given, { ...rules, policy: policyOfDocument(withoutImages(document), file), anySimulatedImage: true });
  const error = verdictError(verdict);
  const pinned = error === null && given.file.cpu !== null ? pinMeasurement(document, given.file.cpu) : null;
  if (error !== null || pinned === null) {
    out.result({ file, ...verdictData(verdict) });
    await printVerdict(out, verdict, false);
    throw error ?? new UsageError('E_USAGE', `${given.source} holds no evidence whose image a policy can name`);
  }
  await writePolicy(path, pinned.document, isNew);
  out.result({ file, created: isNew, pinned: { ...pinned.pin }, ...verdictData(verdict) });
  await out.line(`${pinned.pin.field}  ${pinned.pin.value}`);
  await out.note(`${isNew ? 'wrote' : 'changed'} ${file}`);
}

/** The policy as it is, but with the image left open. */
function withoutImages(document: PolicyDocument): PolicyDocument {
  const open = withAnyMeasurement(document);
  return {
    ...open, tdx: { ...open.tdx, image_hashes: [], measurements: [] }, sgx: { ...open.sgx, measurements: [] }, 'sev-snp': { ...open['sev-snp'], image_hashes: [], measurements: [] },
  };
}

async function diff(invocation: Invocation, before: string, after: string): Promise<void> {
  const { out } = invocation;
  const differences = diffPolicies(await readPolicy(invocation, before), await readPolicy(invocation, after));
  const shown = (value: unknown): string => (value === null ? 'none' : JSON.stringify(value));
  out.result({
    before, after, same: differences.length === 0, weaker: differences.some(({ effect }) => effect === 'weaker'),
    differences: differences.map((one) => ({ field: one.field, effect: one.effect, before: shown(one.before), after: shown(one.after) })),
  });
  if (differences.length === 0) await out.note(`${before} and ${after} mean the same`);
  else await out.text(await renderTable(['EFFECT', 'FIELD', 'BEFORE', 'AFTER'], differences.map((one) => [one.effect, one.field, shown(one.before), shown(one.after)])));
}
