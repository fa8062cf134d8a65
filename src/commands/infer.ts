// `cocoon infer [PROMPT]`: one question, the answer on stdout as it comes.
import { CapacityError, UsageError } from '../core/errors.ts';
import { askChat } from '../client/chat.ts';
import { declarePaying } from './paying.ts';
import { connectAsClient, evidenceOf, listModels, timeBudget } from './client.ts';
import { printable } from './output.ts';
import { readPrompt } from './prompt-input.ts';
import { decimalNumber, repeated, wholeNumber } from './values.ts';
import type { Answer } from '../client/chat.ts';
import type { ConnectedProxy } from '../client/connect.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

/** Limits of the network's own clients where the caller sets none (WIRE.md section 11). */
const DEFAULT_MAX_TOKENS = 1_000;
const DEFAULT_MAX_COEFFICIENT = 4_000;

interface InferOptions {
  readonly file?: string;
  readonly model?: string;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
}

export function declare(command: Command): void {
  command
    .argument('[prompt]', 'the question; - or nothing reads standard input')
    .option('-f, --file <file>', 'read the prompt from a file')
    .option('-m, --model <name>', 'model to ask (default: the setting `model`, or the only one served)')
    .option('-s, --system <text>', 'system message')
    .option('--max-tokens <n>', `most tokens of the answer (default: ${DEFAULT_MAX_TOKENS})`, wholeNumber(1, 1_000_000))
    .option('--temperature <t>', '0 always takes the likeliest token', decimalNumber(0, 2))
    .option('--top-p <p>', 'share of the likeliest tokens to choose from', decimalNumber(0, 1))
    .option('--seed <n>', 'the same seed and question give the same answer', wholeNumber(0, 2 ** 32 - 1))
    .option('--stop <text>', 'end the answer before this text; may be repeated', repeated(String));
  declarePaying(command);
}

async function chooseModel(proxy: ConnectedProxy, wanted: string | undefined, leftMs: () => number, signal: AbortSignal): Promise<string> {
  if (wanted !== undefined) return wanted;
  const served = (await listModels(proxy, leftMs, signal)).filter(({ activeWorkers }) => activeWorkers > 0);
  const [first] = served;
  if (first === undefined) throw new CapacityError('E_NO_NODE', 'no model is served now', { hint: 'start a node, or wait until one has connected' });
  if (served.length > 1) {
    throw new UsageError('E_USAGE', `several models are served (${served.map(({ model }) => model).join(', ')}), expected --model`, { hint: 'run `cocoon config set model NAME` to choose one for good' });
  }
  return first.model;
}

export async function run(invocation: Invocation): Promise<void> {
  const { args, settings, context, out } = invocation;
  const options: InferOptions = invocation.options;
  const prompt = await readPrompt(context, args[0], options.file);
  const leftMs = timeBudget(settings);
  const proxy = await connectAsClient(invocation, leftMs);
  try {
    const model = await chooseModel(proxy, options.model ?? settings.text('model'), leftMs, context.signal);
    const stream = askChat(proxy.session, {
      model, prompt, system: options.system, maxTokens: options.maxTokens ?? DEFAULT_MAX_TOKENS,
      temperature: options.temperature, topP: options.topP, seed: options.seed, stop: options.stop,
    }, { timeoutMs: leftMs(), maxCoefficient: DEFAULT_MAX_COEFFICIENT, signal: context.signal });
    const answer = await print(stream, invocation);
    out.result({
      model, answer: answer.text, finishReason: answer.finishReason, usage: { ...answer.usage }, ...evidenceOf(proxy) as object,
      costNano: proxy.pricePerTokenNano === null ? null : (answer.charged.total * proxy.pricePerTokenNano).toString(),
      charged: Object.fromEntries(Object.entries(answer.charged).map(([kind, tokens]) => [kind, tokens.toString()])),
      timing: {
        connectMs: proxy.connectMs, handshakeMs: proxy.handshakeMs, firstTextMs: answer.timing.firstTextMs, totalMs: answer.timing.totalMs,
        proxy: answer.timing.proxy === null ? null : { ...answer.timing.proxy }, node: answer.timing.node === null ? null : { ...answer.timing.node },
      },
    });
  } finally {
    await proxy.end();
  }
}

/** Prints the text as it comes, with a line end after its last; on a terminal without the control characters in it. */
async function print(stream: AsyncGenerator<string, Answer>, { out, context }: Invocation): Promise<Answer> {
  const { isTTY } = context.stdout;
  let last = '\n';
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) {
        if (!last.endsWith('\n')) await out.line();
        return next.value;
      }
      last = next.value;
      await out.text(isTTY ? printable(last) : last);
    }
  } catch (error) {
    // The message that follows is for the same eyes; a file keeps exactly what came.
    if (isTTY && !last.endsWith('\n')) await out.line();
    throw error;
  }
}
