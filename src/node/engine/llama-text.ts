// From tokens to text that may be sent: characters that are split over tokens are held until they are whole, and text
// that may be the beginning of a stop string is held until it is decided.

const REPLACEMENT = '\u{FFFD}';
/** After so many tokens without a whole character the bytes are not text; they are sent as they decode. */
const MAX_HELD_TOKENS = 64;
/** Tokens of context that decide about a space before the next one. */
const PREVIOUS_TOKENS = 4;

export interface TextAssembler {
  /** Text that has become whole with this token; often empty in scripts of several bytes a character. */
  push(token: number): string;
  /** What is still held when the model has ended its answer by itself. */
  flush(): string;
}

/** Assembles the text that follows `prompt`. `detokenize` is that of LlamaRuntime. */
export function createTextAssembler(
  detokenize: (tokens: readonly number[], previous: readonly number[]) => string,
  prompt: readonly number[],
): TextAssembler {
  let previous = prompt.slice(-PREVIOUS_TOKENS);
  let held: number[] = [];
  /** UTF-16 units of the text of `held` that were sent already. */
  let sent = 0;

  const settle = (text: string): string => {
    const rest = text.slice(sent);
    previous = [...previous, ...held].slice(-PREVIOUS_TOKENS);
    held = [];
    sent = 0;
    return rest;
  };

  return {
    push(token) {
      held.push(token);
      const text = detokenize(held, previous);
      if (!text.endsWith(REPLACEMENT) || held.length >= MAX_HELD_TOKENS) return settle(text);
      // Only the last U+FFFD can still become another character; what precedes it is final.
      const rest = text.slice(sent, -REPLACEMENT.length);
      sent = text.length - REPLACEMENT.length;
      return rest;
    },
    flush: () => (held.length === 0 ? '' : settle(detokenize(held, previous))),
  };
}

export interface StopMatcher {
  /** Text that is certainly before any stop string, and whether one has been reached; nothing follows it then. */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** What was held when the answer ends without a stop string. */
  flush(): string;
}

/** Looks for the first of `stops`, none of which is empty. */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  let held = '';
  return {
    push(text) {
      if (stops.length === 0) return { text, stopped: false };
      held += text;
      const found = stops.map((stop) => held.indexOf(stop)).filter((index) => index >= 0);
      if (found.length > 0) {
        const before = held.slice(0, Math.min(...found));
        held = '';
        return { text: before, stopped: true };
      }
      const keep = Math.max(...stops.map((stop) => overlap(held, stop)));
      const ready = held.slice(0, held.length - keep);
      held = held.slice(held.length - keep);
      return { text: ready, stopped: false };
    },
    flush() {
      const rest = held;
      held = '';
      return rest;
    },
  };
}

/** Length of the longest end of `text` that is a beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
