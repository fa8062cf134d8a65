// `cocoon chat`: a conversation with a model in the terminal. History is in memory only and ends with the program; what it cost
// and who answered stands under each answer. For scripts there is `infer`.
import { resolve } from 'node:path';
import { createConversation } from '../client/conversation.ts';
import { asCocoonError, CocoonError, UsageError } from '../core/errors.ts';
import { writeFileAtomic } from '../core/files.ts';
import { abortError } from '../core/deadline.ts';
import { formatTon } from '../core/units.ts';
import { printAnswer } from './answer-output.ts';
import { costOf, declareAsking, defaultsOf, openAsking, originOf } from './asking.ts';
import { openChatTerminal } from './chat-terminal.ts';
import { listModels, timeBudget } from './client.ts';
import type { Command } from 'commander';
import type { Answer } from '../client/chat.ts';
import type { Conversation } from '../client/conversation.ts';
import type { Asking, AskingOptions } from './asking.ts';
import type { ChatTerminal } from './chat-terminal.ts';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareAsking(command);
}

const HELP = `/help            this
/model [NAME]    the models that are served now; another one from here on
/system [TEXT]   the system message; another one from here on; - for none
/cost            what this conversation has cost
/attest          who passed on and who made the last answer, and what was checked
/forget          drop the oldest question and its answer
/clear           forget everything and start anew
/save FILE       write the conversation to a new file; it is kept nowhere else
/quit            leave (also Ctrl-D, or Ctrl-C twice)
//TEXT           send a line that begins with /
`;

export async function run(invocation: Invocation): Promise<void> {
  const { context: { stdin, stdout, stderr, signal }, settings, out } = invocation;
  const options: AskingOptions = invocation.options;
  if (out.json || !stdin.isTTY || !stdout.isTTY || !stderr.isTTY) {
    throw new UsageError('E_NO_TERMINAL', out.json ? 'cannot use --json: chat is for a person at a terminal' : 'chat needs a terminal to talk at', { hint: 'in scripts use `cocoon infer`' });
  }
  const asking = await openAsking(invocation, options);
  try {
    const leftMs = timeBudget(settings);
    await asking.connect(leftMs(), signal);
    const model = await asking.model(leftMs, signal);
    const terminal = await openChatTerminal(invocation.context);
    try {
      await out.note(`talking with ${model}; /help for what can be done here`);
      await new Talk(invocation, asking, terminal, model).run();
    } finally {
      await terminal.close();
    }
  } finally {
    await asking.end();
  }
}

class Talk {
  readonly #invocation: Invocation;
  readonly #asking: Asking;
  readonly #terminal: ChatTerminal;
  readonly #conversation: Conversation;
  #model: string;
  #last: Answer | null = null;
  #answers = 0;

  constructor(invocation: Invocation, asking: Asking, terminal: ChatTerminal, model: string) {
    this.#invocation = invocation;
    this.#asking = asking;
    this.#terminal = terminal;
    this.#model = model;
    this.#conversation = createConversation((invocation.options as AskingOptions).system);
  }

  async run(): Promise<void> {
    const { context: { signal } } = this.#invocation;
    for (let line = await this.#terminal.read('> '); line !== null; line = await this.#terminal.read('> ')) {
      if (line.trim() === '') continue;
      try {
        if (!line.startsWith('/') || line.startsWith('//')) await this.#ask(line.startsWith('//') ? line.slice(1) : line);
        else if (!await this.#command(line)) return;
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        await this.#tell(asCocoonError(error));
      }
    }
  }

  async #ask(prompt: string): Promise<void> {
    const { settings } = this.#invocation;
    const asked = this.#conversation.question(prompt);
    const question = { ...defaultsOf(this.#invocation.options), model: this.#model, ...asked };
    const answer = await this.#terminal.during((signal) => printAnswer(this.#asking.ask(question, { timeoutMs: settings.durationMs('timeout'), signal }), this.#invocation));
    this.#conversation.add({ prompt, answer: answer.text });
    this.#last = answer;
    this.#answers += 1;
    await this.#status(answer);
  }

  async #status(answer: Answer): Promise<void> {
    const { usage, timing, finishReason, proof, proxy } = answer;
    const costNano = costOf(answer, this.#asking.price());
    const node = proof?.node ?? null;
    await this.#invocation.out.note([
      `${usage.promptTokens} + ${usage.completionTokens} tokens in ${(timing.totalMs / 1000).toFixed(1)} s${finishReason === 'length' ? ', cut at its limit (--max-tokens)' : ''}`,
      ...(costNano === null ? [] : [`${formatTon(costNano)} TON, ${formatTon(this.#asking.spending.spentNano)} in all`]),
      `proxy ${proxy.peer.evidence}`, node === null ? 'not sealed to a node' : `sealed to a node, ${node.evidence}`,
    ].join(' · '));
  }

  /** False: leave. */
  async #command(line: string): Promise<boolean> {
    const { out } = this.#invocation;
    const [, word = '', rest = ''] = /^\/(\S*)\s*([\s\S]*)$/.exec(line.trim()) ?? [];
    switch (word) {
      case 'help': await out.text(HELP); return true;
      case 'model': await this.#chooseModel(rest); return true;
      case 'system': await this.#system(rest); return true;
      case 'cost': await this.#cost(); return true;
      case 'attest': await this.#attest(); return true;
      case 'forget': await out.note(this.#conversation.forget() ? `forgotten; ${this.#conversation.turns.length} left` : 'there is nothing to forget'); return true;
      case 'clear': this.#conversation.clear(); await out.note('everything is forgotten'); return true;
      case 'save': await this.#save(rest); return true;
      case 'quit': case 'exit': case 'q': return false;
      default: throw new UsageError('E_USAGE', `no command is called "/${word.slice(0, 40)}"`, { hint: '/help lists them; // sends a line that begins with /' });
    }
  }

  async #chooseModel(name: string): Promise<void> {
    const { out, settings, context: { signal } } = this.#invocation;
    const leftMs = timeBudget(settings);
    const served = (await listModels(await this.#asking.connect(leftMs(), signal), leftMs, signal)).filter(({ activeWorkers }) => activeWorkers > 0);
    if (name === '') {
      for (const { model, minCoefficient } of served) await out.line(`${model === this.#model ? '*' : ' '} ${model}${minCoefficient === null ? '' : `  from ×${minCoefficient / 1000}`}`);
      return;
    }
    if (!served.some(({ model }) => model === name)) throw new UsageError('E_USAGE', `model ${name} is not served now`, { hint: '/model lists those that are' });
    this.#model = name;
    await out.note(`talking with ${name} from here on`);
  }

  async #system(text: string): Promise<void> {
    const { out } = this.#invocation;
    if (text !== '') this.#conversation.system = text === '-' ? undefined : text;
    await out.note(this.#conversation.system === undefined ? 'no system message' : `system message: ${this.#conversation.system}`);
  }

  async #cost(): Promise<void> {
    const { spending, price } = this.#asking;
    const answers = `${this.#answers} ${this.#answers === 1 ? 'answer' : 'answers'}`;
    await this.#invocation.out.note(price() === null ? `${answers}; nobody pays on this network` : `${answers}, ${formatTon(spending.spentNano)} TON`);
  }

  async #attest(): Promise<void> {
    const { out } = this.#invocation;
    if (this.#last === null) {
      await out.note('nothing was answered yet');
      return;
    }
    const { proxy, proof } = this.#last;
    await out.line(`proxy ${proxy.address}: ${proxy.peer.evidence} evidence`);
    for (const { name, detail } of proxy.peer.checks ?? []) await out.line(`  ${name}: ${detail}`);
    const { node } = originOf(this.#last);
    await out.line(proof?.node === undefined || proof.node === null ? 'node: chosen by the proxy, not sealed to' : `node: ${JSON.stringify(node)}`);
  }

  async #save(file: string): Promise<void> {
    const { out, context: { cwd } } = this.#invocation;
    if (file === '') throw new UsageError('E_USAGE', 'no file was named', { hint: '/save FILE' });
    await writeFileAtomic(resolve(cwd, file), this.#conversation.transcript(), { exclusive: true });
    await out.note(`saved in ${file}`);
  }

  /** An error that does not end the conversation. */
  async #tell(error: CocoonError): Promise<void> {
    const { out } = this.#invocation;
    if (error.code === 'E_INTERRUPTED') {
      await out.note('interrupted: the question and what came of its answer are not kept');
      return;
    }
    const isFull = error.code === 'E_CONTEXT_LENGTH' && this.#conversation.turns.length > 0;
    await out.fail(isFull ? new CocoonError('E_CONTEXT_LENGTH', `the conversation no longer fits the model's context: ${error.message}`, {
      hint: '/forget drops the oldest question and its answer, /clear all of them; nothing was charged', cause: error,
    }) : error);
  }
}
