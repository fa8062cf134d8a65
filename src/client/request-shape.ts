// What the envelope of a request has to say of its body, for whoever pays for it and whoever seals it: how many answers it asks for,
// whether they come in pieces, and which conversation it belongs to. A body that cannot be read is refused later, by who answers it.
import { choicesOf } from '../openai/limit-body.ts';
import { decodeBoxed } from '../wire/tl/codec.ts';
import type { Members } from '../openai/limit-body.ts';
import type { HttpRequest } from '../wire/tl/types.ts';

export interface RequestShape {
  /** Answers that the request asks for: of each prompt `n`, or the `best_of` that are generated for them. */
  readonly answers: number;
  readonly streamed: boolean;
  /** `X-Cocoon-Conversation`; null without one. */
  readonly conversation: string | null;
}

const MAX_CONVERSATION = 64;
const CONVERSATION_HEADER = 'x-cocoon-conversation';
const MARKS = ['"n"', '"best_of"', '"prompt"', '"stream"', 'onversation'].map((mark) => Buffer.from(mark));

const PLAIN: RequestShape = { answers: 1, streamed: false, conversation: null };

/** `query`: boxed `http.request`. */
export function requestShape(query: Uint8Array): RequestShape {
  const bytes = Buffer.from(query.buffer, query.byteOffset, query.byteLength);
  if (!MARKS.some((mark) => bytes.includes(mark))) return PLAIN;
  try {
    const http = decodeBoxed(query);
    if (http._ !== 'http.request') return PLAIN;
    const conversation = http.headers.find(({ name }) => name.toLowerCase() === CONVERSATION_HEADER)?.value ?? null;
    return { ...bodyShape(http), conversation: conversation !== null && conversation.length <= MAX_CONVERSATION ? conversation : null };
  } catch {
    return PLAIN;
  }
}

function bodyShape({ url, payload }: HttpRequest): Pick<RequestShape, 'answers' | 'streamed'> {
  const body: unknown = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('utf8'));
  if (typeof body !== 'object' || body === null) return PLAIN;
  const members = body as Members;
  return { answers: choicesOf(members, url.split('?', 1)[0] ?? ''), streamed: members['stream'] === true };
}
