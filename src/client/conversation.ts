// A conversation with a model: its turns, in memory only, and what the next question is made of. A question whose answer did not
// become complete leaves no trace in it.
import { randomBytes } from 'node:crypto';
import { UsageError } from '../core/errors.ts';
import type { ChatMessage, Question } from './chat.ts';

/** Longest conversation in bytes; well below the largest frame of the protocol. */
const MAX_BYTES = 8 * 1024 * 1024;

export interface Turn {
  readonly prompt: string;
  readonly answer: string;
}

export interface Conversation {
  readonly turns: readonly Turn[];
  system: string | undefined;
  /** What is asked next. Throws UsageError when the conversation has become too long to be sent. */
  question(prompt: string): Pick<Question, 'prompt' | 'system' | 'history' | 'conversation'>;
  /** The answer is complete. */
  add(turn: Turn): void;
  /** Forgets the oldest turn; false when there is none. */
  forget(): boolean;
  /** Forgets everything but the system message, and is another conversation to the network. */
  clear(): void;
  /** Everything as Markdown. */
  transcript(): string;
}

const newName = (): string => randomBytes(24).toString('base64url');

export function createConversation(system: string | undefined): Conversation {
  let turns: readonly Turn[] = [];
  let name = newName();
  const conversation: Conversation = {
    system,
    get turns() {
      return turns;
    },
    question(prompt) {
      const history = turns.flatMap((turn): ChatMessage[] => [{ role: 'user', content: turn.prompt }, { role: 'assistant', content: turn.answer }]);
      const bytes = [prompt, conversation.system ?? '', ...history.map(({ content }) => content)].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      if (bytes > MAX_BYTES) throw new UsageError('E_USAGE', `the conversation has ${bytes} bytes, expected at most ${MAX_BYTES}`, { hint: '/forget drops the oldest question and answer, /clear all of them' });
      return { prompt, system: conversation.system, history, conversation: name };
    },
    add(turn) {
      turns = [...turns, turn];
    },
    forget() {
      if (turns.length === 0) return false;
      turns = turns.slice(1);
      return true;
    },
    clear() {
      turns = [];
      name = newName();
    },
    transcript: () => [
      ...(conversation.system === undefined ? [] : [`## System\n\n${conversation.system}\n`]),
      ...turns.map(({ prompt, answer }) => `## Question\n\n${prompt}\n\n## Answer\n\n${answer}\n`),
    ].join('\n'),
  };
  return conversation;
}
