// `cocoon infer --batch FILE`: many questions, several at once, results in the order of the questions. With --out they are kept in
// a file as they come, and a run that was interrupted, by whatever, goes on where it ended.
import { basename, dirname, join, resolve } from 'node:path';
import { inOrder, runBatch } from '../client/batch.ts';
import { MAX_BATCH_BYTES, parseBatch } from '../client/batch-questions.ts';
import { openBatchResults } from '../client/batch-results.ts';
import { CocoonError, ConfigError, PolicyError, UsageError } from '../core/errors.ts';
import { withLock } from '../core/lock.ts';
import { formatTon } from '../core/units.ts';
import { wholeAnswer } from './answer-output.ts';
import { costOf, defaultsOf, openAsking, originOf } from './asking.ts';
import { timeBudget } from './client.ts';
import { runDryRun } from './infer-dry-run.ts';
import { readStdin, readUserFile } from './prompt-input.ts';
import type { AnswerSchema } from '../client/answer-schema.ts';
import type { Answer, Question } from '../client/chat.ts';
import type { BatchProgress } from '../client/batch.ts';
import type { BatchQuestion } from '../client/batch-questions.ts';
import type { BatchResult, BatchResults, JsonObject, JsonValue } from '../client/batch-results.ts';
import type { Asking, AskingOptions } from './asking.ts';
import type { Invocation } from './command.ts';

/** How often a log is told how far it is; a terminal sees every answer. */
const NOTE_EVERY_MS = 10_000;
/** Two runs that start at the same moment need a little time to see which of them it is. */
const LOCK_MS = 1_000;

export interface BatchCommandOptions extends AskingOptions {
  /** File of questions; - is standard input. */
  readonly batch: string;
  /** File of results. */
  readonly out?: string;
  readonly dryRun?: boolean;
}

export async function runBatchCommand(invocation: Invocation, options: BatchCommandOptions, schema: AnswerSchema | null, parallel: number): Promise<void> {
  const { context, out } = invocation;
  const { batch, out: file } = options;
  if (out.json && file === undefined && options.dryRun !== true) throw new UsageError('E_USAGE', '--json needs --out with --batch: results are one JSON line a question, not one document', { hint: 'name a file with --out, or leave --json away' });
  const bytes = batch === '-' ? await readStdin(context, MAX_BATCH_BYTES, 'the batch') : await readUserFile(context, batch, MAX_BATCH_BYTES, 'batch file');
  const defaults = { ...defaultsOf(options), ...(schema !== null && { schema }) };
  const questions = (model: string): BatchQuestion[] => parseBatch(bytes, { ...defaults, model });
  questions(''); // what is wrong with a line is said before anything is connected
  if (options.dryRun === true) {
    await runDryRun(invocation, options, (model) => questions(model).map(({ question }) => question));
    return;
  }
  if (file === undefined) {
    await answerAll(invocation, options, questions, schema, parallel, null);
    return;
  }
  const path = resolve(context.cwd, file);
  const busy = (holder: string): ConfigError => new ConfigError('E_STATE', `cannot use ${file}: ${holder} is writing its results there`, { hint: 'wait for it to end, or name another file with --out' });
  // The lock lies beside the file, hidden, so that it holds for whoever reaches the file.
  await withLock(join(dirname(path), `.${basename(path)}`), async () => {
    const results = await openBatchResults(path);
    try {
      await answerAll(invocation, options, questions, schema, parallel, { file, results });
    } finally {
      await results.close();
    }
  }, { timeoutMs: LOCK_MS, busy });
}

interface Kept {
  readonly file: string;
  readonly results: BatchResults;
}

async function answerAll(
  invocation: Invocation, options: AskingOptions, questionsOf: (model: string) => BatchQuestion[], schema: AnswerSchema | null, parallel: number, kept: Kept | null,
): Promise<void> {
  const { settings, context: { signal }, out } = invocation;
  const asking = await openAsking(invocation, options);
  try {
    const leftMs = timeBudget(settings);
    const needsModel = questionsOf('').some(({ question }) => question.model === '');
    const all = questionsOf(needsModel ? await asking.model(leftMs, signal) : '');
    const questions = kept === null ? all : all.filter((question) => !isDone(question, kept));
    // What keeps everybody from asking is said once, and not for each question.
    if (questions.length > 0) await asking.connect(leftMs(), signal);
    const tell = progressOf(invocation, questions.length);
    const write = (result: BatchResult): Promise<void> => out.text(`${JSON.stringify(result)}\n`);
    let progress: BatchProgress = { answered: 0, failed: 0, lastError: null };
    try {
      progress = await runBatch({
        questions, parallel, timeoutMs: settings.durationMs('timeout'), signal,
        ask: (question, timeoutMs, inner) => answerOf(invocation, asking, question.question, schema, timeoutMs, inner),
        record: kept === null ? inOrder(all.map(({ id }) => id), parallel, write) : (result) => kept.results.append(result),
        onProgress: (now) => {
          progress = now;
          tell(now);
        },
      });
      await kept?.results.arrange(all.map(({ id }) => id));
    } finally {
      await out.progress('');
      out.result({
        questions: all.length, done: all.length - questions.length, answered: progress.answered, failed: progress.failed,
        costNano: asking.price() === null ? null : asking.spending.spentNano.toString(), out: kept?.file ?? null,
      });
    }
    const cost = asking.price() === null ? '' : `, ${formatTon(asking.spending.spentNano)} TON`;
    await out.note(`${progress.answered} answered, ${progress.failed} failed, ${all.length - questions.length} were done before${cost}`);
    if (progress.failed > 0) throw failure(progress, questions.length, kept);
  } finally {
    await asking.end();
  }
}

/** Throws UsageError when the id was answered for something else. */
function isDone({ id, line, digest }: BatchQuestion, { file, results }: Kept): boolean {
  const known = results.known.get(id);
  if (known === undefined || !known.ok) return false;
  if (known.request === digest) return true;
  throw new UsageError('E_USAGE', `line ${line} of the batch, id ${JSON.stringify(id)}, was answered in ${file} for another question or with other options`, { hint: 'give the question a new id, or name another file with --out' });
}

async function answerOf({ out }: Invocation, asking: Asking, question: Question, schema: AnswerSchema | null, timeoutMs: number, signal: AbortSignal): Promise<JsonObject> {
  const ask = (asked: Question): AsyncGenerator<string, Answer> => asking.ask(asked, { timeoutMs, signal });
  for (;;) {
    try {
      const answer = await wholeAnswer(ask, question, (text) => out.detail(text));
      const value = schema === null ? undefined : schema.read(answer.text) as JsonValue;
      const { proxy, seal, node } = originOf(answer);
      return {
        model: question.model, answer: answer.text, ...(value !== undefined && { value }), finishReason: answer.finishReason, usage: { ...answer.usage },
        costNano: costOf(answer, asking.price())?.toString() ?? null, proxy: answer.proxy.address, evidence: (proxy as { evidence: string }).evidence, seal: seal ?? null, node: node ?? null,
      };
    } catch (error) {
      // What others have put aside may be free again when they have ended.
      const next = error instanceof PolicyError && error.code === 'E_MAX_SPEND' ? asking.spending.next() : null;
      if (next === null) throw error;
      await next;
    }
  }
}

function progressOf({ out }: Invocation, total: number): (progress: BatchProgress) => void {
  let notedMs = performance.now();
  return ({ answered, failed }) => {
    const text = `${answered + failed} of ${total} done${failed === 0 ? '' : `, ${failed} failed`}`;
    void out.progress(text);
    if (out.interactive || performance.now() - notedMs < NOTE_EVERY_MS) return;
    notedMs = performance.now();
    void out.note(text);
  };
}

function failure({ failed, lastError }: BatchProgress, total: number, kept: Kept | null): CocoonError {
  const last = lastError === null ? '' : `, the last one because ${lastError.message}`;
  return new CocoonError('E_BATCH', `${failed} of ${total} questions have no answer${last}`, {
    hint: kept === null ? 'with --out FILE the same command asks only those again' : 'run the same command again: only those are asked', ...(lastError !== null && { cause: lastError }),
  });
}
