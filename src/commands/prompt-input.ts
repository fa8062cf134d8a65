// Where a prompt comes from: the argument, a file, or standard input; and the files that are shown with it. Bounded, UTF-8 text
// only, never logged.
import { resolve } from 'node:path';
import { abortError } from '../core/deadline.ts';
import { NotFoundError, UsageError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import { printable } from './output.ts';
import type { Context } from '../core/context.ts';

/** Longest prompt in bytes, attachments included; well below the largest frame of the protocol. */
export const MAX_PROMPT_BYTES = 8 * 1024 * 1024;
const MAX_FILES = 64;
const MAX_NAME = 200;
const STDIN = 'standard input';

type InputContext = Pick<Context, 'stdin' | 'signal' | 'cwd'>;

function decode(bytes: Uint8Array, what: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UsageError('E_USAGE', `cannot use ${what}: expected UTF-8 text`, { cause });
  }
  if (text.includes('\0')) throw new UsageError('E_USAGE', `cannot use ${what}: expected text, it contains a zero byte`);
  return text;
}

function promptOf(bytes: Uint8Array, from: string): string {
  const text = decode(bytes, `the prompt from ${from}`);
  if (text.trim() === '') throw new UsageError('E_USAGE', `the prompt from ${from} is empty`);
  return text;
}

/** All of standard input, at most `maxBytes`. `what` names it in errors. Throws UsageError, or the signal's reason. */
export async function readStdin({ stdin: { source }, signal }: InputContext, maxBytes = MAX_PROMPT_BYTES, what = 'the prompt'): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let total = 0;
  const stop = (): void => { source.destroy(); };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    for await (const chunk of source) {
      const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      total += bytes.length;
      if (total > maxBytes) throw new UsageError('E_USAGE', `${what} on ${STDIN} is longer than ${maxBytes} bytes`);
      chunks.push(bytes);
    }
  } catch (error) {
    if (signal.aborted) throw abortError(signal);
    if (error instanceof UsageError) throw error;
    throw new UsageError('E_USAGE', `cannot read ${what} from ${STDIN}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    signal.removeEventListener('abort', stop);
  }
  if (signal.aborted) throw abortError(signal);
  return Buffer.concat(chunks);
}

/** A file of the user's, at most `maxBytes`. `what` names it in errors. Throws NotFoundError. */
export async function readUserFile({ cwd }: Pick<Context, 'cwd'>, file: string, maxBytes: number, what: string): Promise<Uint8Array> {
  try {
    return await readBounded(resolve(cwd, file), maxBytes);
  } catch (cause) {
    throw new NotFoundError('E_NOT_FOUND', `cannot read the ${what} "${file}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/**
 * The prompt. With a prompt from the argument or, for `-` or none, from standard input, the files are shown before it, each by its
 * name; a single file without an argument is itself the prompt. `-` among the files is standard input. Throws UsageError when
 * there is no prompt, standard input is wanted twice, or something is not text.
 */
export async function readPrompt(context: InputContext, argument: string | undefined, files: readonly string[] = []): Promise<string> {
  const [first] = files;
  if (argument === undefined && first !== undefined && files.length === 1) {
    return promptOf(first === '-' ? await readStdin(context) : await readUserFile(context, first, MAX_PROMPT_BYTES, 'prompt file'), first === '-' ? STDIN : `"${first}"`);
  }
  if (files.length > MAX_FILES) throw new UsageError('E_USAGE', `${files.length} files are attached, expected at most ${MAX_FILES}`);
  const fromStdin = argument === undefined || argument === '-';
  if (files.filter((file) => file === '-').length + (fromStdin ? 1 : 0) > 1) throw new UsageError('E_USAGE', `${STDIN} can be read only once: as the prompt, or as one attached file`, { hint: 'give the prompt as an argument' });
  if (argument === undefined && context.stdin.isTTY) {
    throw files.length > 0
      ? new UsageError('E_USAGE', `no prompt: ${files.length} files are attached, expected what to do with them`, { hint: `cocoon infer ${files.map((file) => `-f ${file}`).join(' ')} "your question"` })
      : new UsageError('E_USAGE', 'no prompt: expected an argument, -f FILE, or text on standard input', { hint: 'cocoon infer "your question"' });
  }
  const prompt = fromStdin ? promptOf(await readStdin(context), STDIN) : promptOf(Buffer.from(argument), 'the argument');
  let text = '';
  for (const file of files) {
    text += attached(file === '-' ? STDIN : file, file === '-' ? await readStdin(context, MAX_PROMPT_BYTES, 'the file') : await readUserFile(context, file, MAX_PROMPT_BYTES, 'attached file'));
    if (Buffer.byteLength(text) + Buffer.byteLength(prompt) > MAX_PROMPT_BYTES) throw new UsageError('E_USAGE', `the prompt and its files are longer than ${MAX_PROMPT_BYTES} bytes together`);
  }
  return text + prompt;
}

/** A file as a model is shown it: its name, and its text between fences that do not occur in it. */
function attached(name: string, bytes: Uint8Array): string {
  const text = decode(bytes, `the attached file "${name}"`);
  const longest = Math.max(2, ...[...text.matchAll(/`{3,}/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const shown = printable(name.replace(/[\r\n\t`]/g, ' ')).slice(-MAX_NAME);
  return `File \`${shown}\`:\n${fence}\n${text}${text.endsWith('\n') || text === '' ? '' : '\n'}${fence}\n\n`;
}
