// Server-sent events as OpenAI's streams use them: one JSON document an event, then the event [DONE].

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
