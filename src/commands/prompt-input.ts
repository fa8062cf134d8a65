// Where a prompt comes from: the argument, a file, or standard input. Bounded, UTF-8 only, never logged.
import { resolve } from 'node:path';
import { abortError } from '../core/deadline.ts';
import { NotFoundError, UsageError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import type { Context } from '../core/context.ts';

/** Longest prompt in bytes; well below the largest frame of the protocol. */
export const MAX_PROMPT_BYTES = 8 * 1024 * 1024;

function decode(bytes: Uint8Array, from: string): string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UsageError('E_USAGE', `cannot use the prompt from ${from}: expected UTF-8 text`, { cause });
  }
  if (text.trim() === '') throw new UsageError('E_USAGE', `the prompt from ${from} is empty`);
  return text;
}

async function readStdin(context: Context): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let total = 0;
  const { source } = context.stdin;
  const stop = (): void => { source.destroy(); };
  context.signal.addEventListener('abort', stop, { once: true });
  if (context.signal.aborted) stop();
  try {
    for await (const chunk of source) {
      const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      total += bytes.length;
      if (total > MAX_PROMPT_BYTES) {
        throw new UsageError('E_USAGE', `the prompt on standard input is longer than ${MAX_PROMPT_BYTES} bytes`);
      }
      chunks.push(bytes);
    }
  } catch (error) {
    if (context.signal.aborted) throw abortError(context.signal);
    if (error instanceof UsageError) throw error;
    throw new UsageError('E_USAGE', `cannot read the prompt from standard input: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    context.signal.removeEventListener('abort', stop);
  }
  if (context.signal.aborted) throw abortError(context.signal);
  return Buffer.concat(chunks);
}

async function readPromptFile(context: Context, file: string): Promise<Uint8Array> {
  const path = resolve(context.cwd, file);
  try {
    return await readBounded(path, MAX_PROMPT_BYTES);
  } catch (cause) {
    throw new NotFoundError('E_NOT_FOUND', `cannot read the prompt file "${file}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** The prompt text. Throws UsageError when there is none, more than one source, or it is not text. */
export async function readPrompt(context: Context, argument: string | undefined, file: string | undefined): Promise<string> {
  if (argument !== undefined && file !== undefined) throw new UsageError('E_USAGE', 'cannot use both a prompt argument and --file');
  if (file !== undefined && file !== '-') return decode(await readPromptFile(context, file), `"${file}"`);
  if (argument !== undefined && argument !== '-') return decode(Buffer.from(argument), 'the argument');
  if (argument === undefined && file === undefined && context.stdin.isTTY) {
    throw new UsageError('E_USAGE', 'no prompt: expected an argument, -f FILE, or text on standard input', { hint: 'cocoon infer "your question"' });
  }
  return decode(await readStdin(context), 'standard input');
}
