// `cocoon infer [PROMPT]`: one question, the answer on stdout as it comes; or a file of questions (--batch), or what a question
// would cost (--dry-run).
import { resolve } from 'node:path';
import { MAX_SCHEMA_BYTES } from '../client/answer-schema.ts';
import { encodeReceiptFile, receiptOf } from '../client/receipt-file.ts';
import { UsageError } from '../core/errors.ts';
import { writeFileAtomic } from '../core/files.ts';
import { printAnswer, wholeAnswer } from './answer-output.ts';
import { costOf, declareAsking, defaultsOf, openAsking, originOf } from './asking.ts';
import { timeBudget } from './client.ts';
import { runBatchCommand } from './infer-batch.ts';
import { runDryRun } from './infer-dry-run.ts';
import { printable } from './output.ts';
import { sealModeOf } from './paying.ts';
import { readPrompt, readUserFile } from './prompt-input.ts';
import { repeated, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { AnswerSchema } from '../client/answer-schema.ts';
import type { Answer, Question } from '../client/chat.ts';
import type { SealMode } from '../client/sealed-session.ts';
import type { Asking, AskingOptions } from './asking.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

const DEFAULT_PARALLEL = 4;
const MAX_PARALLEL = 256;

export interface InferOptions extends AskingOptions {
  readonly file?: readonly string[];
  readonly schema?: string;
  readonly batch?: string;
  readonly out?: string;
  readonly parallel?: number;
  readonly dryRun?: boolean;
  readonly receipt?: string;
  readonly receiptBodies?: boolean;
}

export function declare(command: Command): void {
  command
    .argument('[prompt]', 'the question; - or nothing reads standard input')
    .option('-f, --file <file>', 'show a file with the prompt, by its name; may be repeated; alone it is the prompt; - is standard input', repeated(String))
    .option('--schema <file>', 'JSON Schema that the answer must fit; printed only when it does');
  declareAsking(command);
  command
    .option('--receipt <file>', 'write the receipt that the node has signed for the answer')
    .option('--receipt-bodies', 'beside it, FILE.request and FILE.answer: the bodies that the receipt is for')
    .option('--dry-run', 'say what it would cost and who would answer, and send nothing')
    .option('--batch <file>', 'ask every line of a JSON lines file: {"id":"1","prompt":"…"}; - is standard input')
    .option('--out <file>', 'with --batch: keep results in a file; what is answered there is not asked again')
    .option('--parallel <n>', `with --batch: questions at the same time (default: ${DEFAULT_PARALLEL})`, wholeNumber(1, MAX_PARALLEL));
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [argument], settings, context } = invocation;
  const options: InferOptions = invocation.options;
  refuseMixtures(options, argument, sealModeOf(invocation));
  const schema = await readSchema(invocation, options.schema);
  const { batch } = options;
  if (batch !== undefined) {
    await runBatchCommand(invocation, { ...options, batch }, schema, options.parallel ?? DEFAULT_PARALLEL);
    return;
  }
  const prompt = await readPrompt(context, argument, options.file);
  const more = { ...defaultsOf(options), prompt, ...(schema !== null && { schema }) };
  if (options.dryRun === true) {
    await runDryRun(invocation, options, (model) => [{ ...more, model }]);
    return;
  }
  const leftMs = timeBudget(settings);
  const asking = await openAsking(invocation, options);
  try {
    const proxy = await asking.connect(leftMs(), context.signal);
    const model = await asking.model(leftMs, context.signal);
    const { answer, value } = await answerOf(invocation, asking, { ...more, model }, schema, leftMs, options.receiptBodies === true);
    invocation.out.result({
      model, answer: answer.text, ...(value !== undefined && { value }), finishReason: answer.finishReason, usage: { ...answer.usage }, ...originOf(answer),
      costNano: costOf(answer, asking.price())?.toString() ?? null,
      charged: Object.fromEntries(Object.entries(answer.charged).map(([kind, tokens]) => [kind, tokens.toString()])),
      timing: {
        connectMs: proxy.connectMs, handshakeMs: proxy.handshakeMs, firstTextMs: answer.timing.firstTextMs, totalMs: answer.timing.totalMs,
        proxy: answer.timing.proxy === null ? null : { ...answer.timing.proxy }, node: answer.timing.node === null ? null : { ...answer.timing.node },
      },
    });
    if (options.receipt !== undefined) await writeReceipt(invocation, options.receipt, answer);
  } finally {
    await asking.end();
  }
}

function refuseMixtures({ batch, out, parallel, file, receipt, receiptBodies, dryRun }: InferOptions, argument: string | undefined, seal: SealMode): void {
  const refuse = (message: string): never => {
    throw new UsageError('E_USAGE', message, { hint: 'run `cocoon infer --help`' });
  };
  if (batch === undefined && (out !== undefined || parallel !== undefined)) refuse(`${out === undefined ? '--parallel' : '--out'} is for --batch`);
  if (batch !== undefined && argument !== undefined) refuse('cannot use both --batch and a prompt: the questions are in the file');
  if (batch !== undefined && file !== undefined) refuse('cannot use both --batch and --file');
  if (batch !== undefined && receipt !== undefined) refuse('cannot use both --batch and --receipt: a receipt is for one answer');
  if (receiptBodies === true && receipt === undefined) refuse('--receipt-bodies is for --receipt');
  if (receipt !== undefined && seal === 'off') refuse('cannot use both --receipt and --seal off: a receipt is for an answer that was sealed');
  if (dryRun === true && receipt !== undefined) refuse('cannot use both --dry-run and --receipt: nothing is answered');
}

async function readSchema({ context }: Invocation, file: string | undefined): Promise<AnswerSchema | null> {
  if (file === undefined) return null;
  const { parseAnswerSchema } = await import('../client/answer-schema.ts');
  return parseAnswerSchema(await readUserFile(context, file, MAX_SCHEMA_BYTES, 'schema file'), file);
}

/** Asks and prints. With a schema nothing is printed before the whole answer has been judged. */
async function answerOf(
  invocation: Invocation, asking: Asking, question: Question, schema: AnswerSchema | null, leftMs: () => number, keepAnswer: boolean,
): Promise<{ readonly answer: Answer; readonly value?: JsonValue }> {
  const { out, context: { signal, stdout } } = invocation;
  const ask = (asked: Question): AsyncGenerator<string, Answer> => asking.ask(asked, { timeoutMs: leftMs(), signal, keepAnswer });
  if (schema === null) return { answer: await printAnswer(ask(question), invocation) };
  const answer = await wholeAnswer(ask, question, (text) => out.warn(text));
  out.result({ model: question.model, answer: answer.text, finishReason: answer.finishReason });
  const value = schema.read(answer.text) as JsonValue;
  const text = answer.text.trim();
  await out.line(stdout.isTTY ? printable(text) : text);
  return { answer, value };
}

/** Throws CocoonError `E_NO_RECEIPT`: the answer has been given by then, and what shows who made it is missing. */
async function writeReceipt({ context: { cwd }, settings, out }: Invocation, file: string, answer: Answer): Promise<void> {
  const receipt = receiptOf(answer, settings.text('network') ?? 'local');
  const path = resolve(cwd, file);
  const { request, answer: body } = answer.exchange;
  if (body !== null) {
    await writeFileAtomic(`${path}.request`, request);
    await writeFileAtomic(`${path}.answer`, body);
  }
  await writeFileAtomic(path, encodeReceiptFile(receipt), { mode: 0o644 });
  await out.note(`receipt in ${file}`);
}
