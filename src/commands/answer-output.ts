// How an answer reaches the reader: as it comes, or whole where it must be judged first.
import { UnconstrainedError } from '../client/chat.ts';
import { printable } from './output.ts';
import type { Answer, Question } from '../client/chat.ts';
import type { Invocation } from './command.ts';

/** The whole answer; from a node that cannot hold it to the schema, one without. */
export async function wholeAnswer(ask: (question: Question) => AsyncGenerator<string, Answer>, question: Question, warn: (text: string) => Promise<void>): Promise<Answer> {
  try {
    return await last(ask(question));
  } catch (error) {
    if (!(error instanceof UnconstrainedError)) throw error;
    await warn('the node cannot hold its answer to the schema: it is only judged here');
    return last(ask({ ...question, schema: undefined }));
  }
}

async function last(stream: AsyncGenerator<string, Answer>): Promise<Answer> {
  for (;;) {
    const next = await stream.next();
    if (next.done === true) return next.value;
  }
}

/** Prints the text as it comes, with a line end after its last; on a terminal without the control characters in it. */
export async function printAnswer(stream: AsyncGenerator<string, Answer>, { out, context: { stdout: { isTTY } } }: Pick<Invocation, 'out' | 'context'>): Promise<Answer> {
  let text = '\n';
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) {
        if (!text.endsWith('\n')) await out.line();
        return next.value;
      }
      text = next.value;
      await out.text(isTTY ? printable(text) : text);
    }
  } catch (error) {
    // The message that follows is for the same eyes; a file keeps exactly what came.
    if (isTTY && !text.endsWith('\n')) await out.line();
    throw error;
  }
}
