// The questions of a batch: JSON lines, each with an id of its own. All of them are read and checked before the first is asked.
// Refuses unknown members by name, ids that come twice, and files that are too large.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { UsageError } from '../core/errors.ts';
import { requestOf } from './chat.ts';
import type { Question } from './chat.ts';

export const MAX_BATCH_BYTES = 64 * 1024 * 1024;
const MAX_QUESTIONS = 100_000;
const MAX_ID = 200;

export interface BatchQuestion {
  readonly id: string;
  /** From 1. */
  readonly line: number;
  readonly question: Question;
  /** Hexadecimal SHA-256 of the request: an answer of an earlier run counts only for the very same one. */
  readonly digest: string;
}

const text = z.string().min(1);
const limit = z.number().int().min(1).max(1_000_000);
const message = z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: text });
const schema = z.strictObject({
  id: z.union([z.string().min(1).max(MAX_ID), z.number().int().transform(String)]).optional(),
  prompt: text.optional(),
  /** In place of `prompt`; the last one is the user's. */
  messages: z.array(message).min(1).max(4_096).optional(),
  system: text.optional(),
  model: z.string().min(1).max(512).optional(),
  max_tokens: limit.optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  seed: z.number().int().min(0).max(2 ** 32 - 1).optional(),
  stop: z.union([text, z.array(text).max(16)]).optional(),
});

/** What a line leaves open. */
export type BatchDefaults = Omit<Question, 'prompt' | 'history' | 'conversation'>;

/** The questions in their order; empty lines are left out, and a line without an id has its number. Throws UsageError that names the line. */
export function parseBatch(bytes: Uint8Array, defaults: BatchDefaults): BatchQuestion[] {
  let whole: string;
  try {
    whole = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new UsageError('E_USAGE', 'cannot read the batch: expected UTF-8 text', { cause });
  }
  const questions = whole.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [questionOf(line, index + 1, defaults)]));
  if (questions.length === 0 || questions.length > MAX_QUESTIONS) throw new UsageError('E_USAGE', `the batch has ${questions.length} questions, expected 1 to ${MAX_QUESTIONS}`);
  const lines = new Map<string, number>();
  for (const { id, line } of questions) {
    const before = lines.get(id);
    if (before !== undefined) throw new UsageError('E_USAGE', `lines ${before} and ${line} of the batch have the same id ${JSON.stringify(id)}`);
    lines.set(id, line);
  }
  return questions;
}

function questionOf(text: string, line: number, defaults: BatchDefaults): BatchQuestion {
  const refuse = (why: string, cause?: unknown): UsageError =>
    new UsageError('E_USAGE', `line ${line} of the batch ${why}`, { ...(cause === undefined ? {} : { cause }), hint: 'each line is a JSON object such as {"id":"1","prompt":"your question"}' });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse('is not JSON', cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`cannot be used: ${issue?.path.join('.') || 'the line'}: ${(issue?.message ?? 'is not a question').replace(/^./, (first) => first.toLowerCase())}`);
  }
  const { id = String(line), prompt, messages = [], system, model, max_tokens, temperature, top_p, seed, stop } = parsed.data;
  const last = messages.at(-1);
  if ((prompt === undefined) === (last === undefined)) throw refuse('needs either a prompt or messages');
  if (last !== undefined && last.role !== 'user') throw refuse('needs a last message of the user');
  if (last !== undefined && system !== undefined) throw refuse('has both messages and a system text');
  const question: Question = {
    ...defaults,
    prompt: prompt ?? last?.content ?? '', history: messages.slice(0, -1),
    ...(last === undefined ? system !== undefined && { system } : messages.some(({ role }) => role === 'system') && { system: undefined }),
    ...(model !== undefined && { model }), ...(max_tokens !== undefined && { maxTokens: max_tokens }),
    ...(temperature !== undefined && { temperature }), ...(top_p !== undefined && { topP: top_p }), ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop: typeof stop === 'string' ? [stop] : stop }),
  };
  return { id, line, question, digest: createHash('sha256').update(requestOf(question).payload).digest('hex') };
}
