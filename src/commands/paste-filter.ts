// Between the keyboard and the line editor: text that is pasted (bracketed paste) and has several lines becomes one short mark in
// the line, so that its line ends do not send it piece by piece; the mark becomes the text again when the line is sent.
import { Transform } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { Readable, TransformCallback } from 'node:stream';

const START = '\u001b[200~';
const END = '\u001b[201~';
/** What a terminal must be told, so that it marks what is pasted. */
export const PASTE_ON = '\u001b[?2004h';
export const PASTE_OFF = '\u001b[?2004l';
const MARK = /\[pasted \d+: [^\]]*\]/g;
/** Longest text of one paste, and how many are kept, in UTF-16 units; what is longer is cut and said to be. */
const MAX_PASTE = 4 * 1024 * 1024;
const MAX_PASTES = 100;
/** A beginning of a marker that stays one for so long was a key. */
const KEY_MS = 30;

export class PasteFilter extends Transform {
  readonly #decoder = new StringDecoder('utf8');
  readonly #source: Readable;
  readonly #pastes = new Map<string, string>();
  #count = 0;
  /** Text of the paste that is under way; null between pastes. */
  #pasting: string | null = null;
  /** Perhaps the beginning of a marker. */
  #held = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(source: Readable) {
    super({ decodeStrings: true, encoding: 'utf8' });
    this.#source = source;
    source.pipe(this);
  }

  /** Of the terminal behind it, where it is one. */
  setRawMode(on: boolean): this {
    const { setRawMode } = this.#source as { setRawMode?: (on: boolean) => unknown };
    setRawMode?.call(this.#source, on);
    return this;
  }

  /** The line with its pasted texts in place of their marks. */
  expand(line: string): string {
    return line.replace(MARK, (mark) => this.#pastes.get(mark) ?? mark);
  }

  /** Forgets what was pasted. */
  forget(): void {
    this.#pastes.clear();
  }

  /** Stops reading from the keyboard. */
  detach(): void {
    clearTimeout(this.#timer);
    this.#source.unpipe(this);
    this.#source.pause();
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    clearTimeout(this.#timer);
    this.#take(this.#held + this.#decoder.write(chunk));
    done();
  }

  override _flush(done: TransformCallback): void {
    clearTimeout(this.#timer);
    if (this.#pasting === null) this.push(this.#held);
    done();
  }

  #take(text: string): void {
    let rest = text;
    this.#held = '';
    for (;;) {
      const marker = this.#pasting === null ? START : END;
      const at = rest.indexOf(marker);
      if (at < 0) break;
      this.#pass(rest.slice(0, at));
      rest = rest.slice(at + marker.length);
      if (this.#pasting === null) this.#pasting = '';
      else this.#finish();
    }
    const marker = this.#pasting === null ? START : END;
    let keep = Math.min(marker.length - 1, rest.length);
    while (keep > 0 && !marker.startsWith(rest.slice(rest.length - keep))) keep -= 1;
    this.#pass(rest.slice(0, rest.length - keep));
    this.#held = rest.slice(rest.length - keep);
    if (this.#held !== '' && this.#pasting === null) {
      this.#timer = setTimeout(() => {
        this.push(this.#held);
        this.#held = '';
      }, KEY_MS);
    }
  }

  #pass(text: string): void {
    if (text === '') return;
    if (this.#pasting === null) this.push(text);
    else this.#pasting = (this.#pasting + text).slice(0, MAX_PASTE);
  }

  #finish(): void {
    // eslint-disable-next-line no-control-regex
    const text = (this.#pasting ?? '').replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
    const cut = (this.#pasting ?? '').length >= MAX_PASTE;
    this.#pasting = null;
    if (!text.includes('\n') && !cut) {
      this.push(text.replaceAll('\t', ' '));
      return;
    }
    this.#count += 1;
    const lines = text.trimEnd().split('\n').length;
    const mark = `[pasted ${this.#count}: ${lines} ${lines === 1 ? 'line' : 'lines'}${cut ? ', cut' : ''}]`;
    this.#pastes.set(mark, text);
    const [oldest] = this.#pastes.keys();
    if (this.#pastes.size > MAX_PASTES && oldest !== undefined) this.#pastes.delete(oldest);
    this.push(mark);
  }
}
