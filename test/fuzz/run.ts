// The command line of the fuzzer: shares the time among the targets, prints a line for each, keeps corpora and findings.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { execute, fuzz } from './engine.ts';
import type { Finding, Outcome, Target } from './engine.ts';
// @ts-expect-error: plain JavaScript, because a thread has no hook that strips types
import { startWatchdog } from './watchdog.mjs';

interface Watchdog {
  announce(input: Uint8Array): void;
  stop(): Promise<unknown>;
}

const DEFAULT_MINUTES = 10;
const FINDINGS = fileURLToPath(new URL('../../coverage/fuzz/', import.meta.url));
const SHARED_BYTES = 1 << 17;

const print = (line: string): void => { process.stdout.write(`${line}\n`); };
const nameOf = (input: Uint8Array): string => createHash('sha256').update(input).digest('hex').slice(0, 16);

interface Settings {
  readonly targets: readonly Target[];
  readonly seed: string;
  readonly seconds: number;
  readonly executions: number;
  readonly untilFound: boolean;
  /** Null: none is read or kept. */
  readonly corpus: string | null;
}

async function settingsOf(args: readonly string[]): Promise<Settings & { readonly replay: readonly string[] | undefined }> {
  const { values } = parseArgs({
    args: [...args], strict: true,
    options: {
      minutes: { type: 'string' }, seconds: { type: 'string' }, executions: { type: 'string' }, target: { type: 'string', multiple: true }, seed: { type: 'string' }, corpus: { type: 'string' },
      replay: { type: 'string', multiple: true }, planted: { type: 'boolean' }, 'until-found': { type: 'boolean' },
    },
  });
  const { TARGETS } = values.planted === true ? await import('./planted.ts') : await import('./targets.ts');
  const unknown = values.target?.find((name) => !TARGETS.some((target) => target.name === name));
  if (unknown !== undefined) throw new Error(`unknown target "${unknown}", expected one of ${TARGETS.map(({ name }) => name).join(', ')}`);
  const targets = TARGETS.filter(({ name }) => values.target?.includes(name) ?? true);
  // `--seconds` and `--executions` are for each target, `--minutes` for all of them.
  const seconds = values.seconds === undefined ? Number(values.minutes ?? DEFAULT_MINUTES) * 60 / targets.length : Number(values.seconds);
  const executions = Number(values.executions ?? Number.MAX_SAFE_INTEGER);
  if (!(seconds > 0) || !(executions > 0)) throw new Error('expected a time and a number of executions above 0');
  return { targets, seed: values.seed ?? '1', seconds, executions, corpus: values.corpus ?? null, untilFound: values['until-found'] === true, replay: values.replay };
}

/** Returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let settings: Awaited<ReturnType<typeof settingsOf>>;
  try {
    settings = await settingsOf(args);
  } catch (error) {
    process.stderr.write(`fuzz: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  if (settings.replay === undefined) return fuzzAll(settings);
  let found = 0;
  for (const file of settings.replay) found += await replay(settings, file);
  return found > 0 ? 1 : 0;
}

/** Runs one input: by the target that its folder is named after, as in regressions/, or else by all that were chosen. */
async function replay({ targets }: Settings, file: string): Promise<number> {
  let found = 0;
  const input = readFileSync(file);
  const own = targets.filter(({ name }) => name === basename(dirname(file)));
  for (const target of own.length > 0 ? own : targets) {
    const { problem } = await execute(target, input);
    print(`${target.name}: ${problem === null ? 'passes' : `${problem.kind}, ${problem.detail}`}`);
    found += problem === null ? 0 : 1;
  }
  return found === 0 ? 0 : 1;
}

async function fuzzAll({ targets, seed, seconds, executions, untilFound, corpus }: Settings): Promise<number> {
  mkdirSync(FINDINGS, { recursive: true });
  const watchdog: Watchdog = startWatchdog(SHARED_BYTES, join(FINDINGS, 'hang'));
  const outcomes: Outcome[] = [];
  for (const target of targets) {
    const outcome = await fuzz(target, seed, { seconds, executions, untilFound }, readCorpus(corpus, target), watchdog.announce);
    writeCorpus(corpus, target, outcome.corpus);
    outcome.findings.forEach(report);
    print(lineOf(outcome));
    outcomes.push(outcome);
  }
  await watchdog.stop();
  const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const findings = sum((outcome) => outcome.findings.length);
  print(`seed ${seed}: ${sum((outcome) => outcome.executions)} executions of ${targets.length} targets in ${Math.round(sum((outcome) => outcome.seconds))} s, ${findings} findings`);
  return findings === 0 ? 0 : 1;
}

function lineOf({ target, executions, seconds, kept, branches, share, findings }: Outcome): string {
  const percent = share.all === 0 ? 0 : (100 * share.reached) / share.all;
  return `${target.padEnd(18)} ${String(executions).padStart(9)} executions in ${seconds.toFixed(0).padStart(4)} s  ${String(branches).padStart(5)} branches, ${percent.toFixed(0).padStart(3)} % of its own ${String(share.all).padStart(4)}  ${String(kept).padStart(4)} inputs kept  ${findings.length === 0 ? 'nothing found' : `${findings.length} FOUND`}`;
}

function report({ target, kind, detail, input }: Finding): void {
  const path = join(FINDINGS, `${target}-${nameOf(input)}`);
  writeFileSync(path, input);
  print(`FOUND ${target}: ${kind}, ${input.length} bytes in ${path}\n  ${detail}`);
}

function readCorpus(folder: string | null, { name }: Target): Uint8Array[] {
  const path = folder === null ? '' : join(folder, name);
  return folder === null || !existsSync(path) ? [] : readdirSync(path).sort().map((file) => readFileSync(join(path, file)));
}

function writeCorpus(folder: string | null, { name }: Target, inputs: readonly Uint8Array[]): void {
  if (folder === null) return;
  mkdirSync(join(folder, name), { recursive: true });
  for (const input of inputs) writeFileSync(join(folder, name, nameOf(input)), input);
}
