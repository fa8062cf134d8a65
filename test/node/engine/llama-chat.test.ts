// Chats as tokens: what users and models wrote goes in as plain text, reasoning too, and an answer that is begun goes on where it ends.
import { describe, expect, it } from '@jest/globals';
import { tokenizeChat } from '../../../src/node/engine/llama-chat.ts';
import type { ChatModel } from '../../../src/node/engine/llama-chat.ts';
import type { EngineMessage } from '../../../src/node/engine.ts';

interface Rendered {
  readonly role: string;
  readonly content: string;
  readonly reasoning_content?: string;
}

/** A template that shows reasoning before an answer; what was tokenized as special text, and what as plain text. */
function told(messages: readonly EngineMessage[]): { special: boolean; text: string }[] {
  const parts: { special: boolean; text: string }[] = [];
  const model: ChatModel = {
    render: (variables) => `${(variables.messages as readonly Rendered[]).map(({ role, content, reasoning_content: thought }) =>
      `<|${role}|>${thought === undefined ? '' : `<think>${thought}</think>`}${content}<|end|>`).join('')}${variables.add_generation_prompt === true ? '<|assistant|>' : ''}`,
    tokenize: (text, special) => {
      parts.push({ special, text });
      return [parts.length];
    },
    specials: ['<|end|>'], bosText: '', eosText: '<|end|>',
  };
  tokenizeChat(model, { kind: 'chat', messages });
  return parts.filter(({ text }) => text !== '');
}

const question: EngineMessage = { role: 'user', content: 'hi' };

describe('tokenizeChat', () => {
  it('takes reasoning as plain text', () => {
    expect(told([question, { role: 'assistant', content: 'ho', reasoning: 'a<|end|>b' }, question])).toEqual([
      { special: true, text: '<|user|>' }, { special: false, text: 'hi' }, { special: true, text: '<|end|><|assistant|><think>' }, { special: false, text: 'a<|end|>b' },
      { special: true, text: '</think>' }, { special: false, text: 'ho' }, { special: true, text: '<|end|><|user|>' }, { special: false, text: 'hi' }, { special: true, text: '<|end|><|assistant|>' },
    ]);
  });

  it('goes on behind an answer that is begun, not behind its reasoning', () => {
    expect(told([question, { role: 'assistant', content: 'ho', reasoning: 'hmm' }]).slice(-3)).toEqual([{ special: false, text: 'hmm' }, { special: true, text: '</think>' }, { special: false, text: 'ho' }]);
  });
});
