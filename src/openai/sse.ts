// Server-sent events as OpenAI's streams use them: one JSON document an event, then the event [DONE]. Between them, for a client that
// asks for it by a header, comments that say what the engine has counted so far: readers of events skip comments.
import type { UsageCounts } from './usage.ts';

const encoder = new TextEncoder();

/** Data of the event that ends a complete stream. A stream without it was cut off. */
export const DONE = '[DONE]';

/** Text of one event. `data` must hold no line breaks: JSON.stringify without indentation writes none. */
export function sseEvent(data: string): string {
  return `data: ${data}\n\n`;
}

/** Bytes of text that consists of whole events. */
export function sseBytes(events: string): Uint8Array {
  return encoder.encode(events);
}

/** Header of a request for comments with counts; its value is 1. */
export const COUNTS_HEADER = 'x-cocoon-counts';

const COUNTS = /^tokens (\d{1,15}) (\d{1,15}) (\d{1,15}) (\d{1,15})$/;

/** A comment that says what was counted so far: prompt, cached, completion and reasoning tokens. */
export function countsComment({ promptTokens, cachedTokens, completionTokens, reasoningTokens }: UsageCounts): string {
  return `: tokens ${promptTokens} ${cachedTokens} ${completionTokens} ${reasoningTokens}\n\n`;
}

/** The counts of a comment's text; null for any other comment. */
export function readCountsComment(comment: string): UsageCounts | null {
  const match = COUNTS.exec(comment);
  if (match === null) return null;
  const [promptTokens = 0, cachedTokens = 0, completionTokens = 0, reasoningTokens = 0] = match.slice(1).map(Number);
  return { promptTokens, cachedTokens, completionTokens, reasoningTokens };
}
