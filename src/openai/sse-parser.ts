// Incremental reader of server-sent events (WHATWG HTML, section 9.2.6). Any chunking of the same bytes gives the same
// events. Refuses events over a bound, bytes that are not UTF-8, and an end inside an event.
import { NetworkError } from '../core/errors.ts';

export interface SseEvent {
  /** The `data` lines joined with \n. */
  readonly data: string;
  /** The `event` field, "message" when absent; ":" for a comment, where they were asked for. */
  readonly event: string;
}

export interface SseParser {
  /** Events completed by these bytes, in order. Throws NetworkError E_PROTOCOL; the parser is unusable afterwards. */
  push(bytes: Uint8Array): SseEvent[];
  /** To be called at the end of the stream. Throws NetworkError E_CLOSED when it ends inside an event. */
  end(): void;
}

export interface SseParserOptions {
  /** Largest size of one event with its line ends, in UTF-16 units. Default 1 Mi. */
  readonly maxEventLength?: number;
  /** Give comments too, as events of their own. Default false. */
  readonly comments?: boolean;
}

const DEFAULT_MAX_EVENT_LENGTH = 1 << 20;

/** A parser for one stream. */
export function createSseParser(options: SseParserOptions = {}): SseParser {
  const maxEventLength = options.maxEventLength ?? DEFAULT_MAX_EVENT_LENGTH;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let partial: string[] = [];
  let partialLength = 0;
  let afterCarriageReturn = false;
  let data: string[] = [];
  let event = '';
  let eventLength = 0;

  const account = (length: number): void => {
    eventLength += length;
    if (eventLength > maxEventLength) {
      throw new NetworkError('E_PROTOCOL', `server-sent event is longer than ${maxEventLength} characters`);
    }
  };

  const endLine = (line: string, events: SseEvent[]): void => {
    if (line === '') {
      if (data.length > 0) events.push({ data: data.join('\n'), event: event === '' ? 'message' : event });
      data = [];
      event = '';
      eventLength = 0;
      return;
    }
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const raw = colon < 0 ? '' : line.slice(colon + 1);
    const value = raw.startsWith(' ') ? raw.slice(1) : raw;
    if (name === 'data') data.push(value);
    else if (name === 'event') event = value;
    else if (colon === 0 && options.comments === true) events.push({ data: value, event: ':' });
    // id, retry and unknown fields carry nothing that this stream needs
  };

  const take = (text: string): SseEvent[] => {
    const events: SseEvent[] = [];
    let start = 0;
    if (afterCarriageReturn && text !== '') {
      afterCarriageReturn = false;
      if (text.startsWith('\n')) start = 1;
    }
    const breaks = /\r\n|\r|\n/g;
    breaks.lastIndex = start;
    for (let match = breaks.exec(text); match !== null; match = breaks.exec(text)) {
      account(match.index - start + 1);
      const tail = text.slice(start, match.index);
      const line = partialLength === 0 ? tail : partial.join('') + tail;
      partial = [];
      partialLength = 0;
      start = breaks.lastIndex;
      if (match[0] === '\r' && start === text.length) afterCarriageReturn = true;
      endLine(line, events);
    }
    if (start < text.length) {
      account(text.length - start);
      partial.push(text.slice(start));
      partialLength += text.length - start;
    }
    return events;
  };

  const decode = (bytes: Uint8Array | undefined): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw new NetworkError('E_PROTOCOL', 'server-sent events are not valid UTF-8', { cause });
    }
  };

  return {
    push: (bytes) => take(decode(bytes)),
    end() {
      decode(undefined);
      if (partialLength > 0 || data.length > 0) {
        throw new NetworkError('E_CLOSED', 'stream ended inside a server-sent event');
      }
    },
  };
}
