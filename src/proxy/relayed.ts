// What the proxy saw of one answer on its way to the client: bytes of the body, events with text in them, and the usage that
// the answer itself shows at its end. These bound what the node may report (WIRE.md section 20.14); nothing else is kept.
import { assertUsage, readUsage } from '../openai/usage.ts';
import type { UsageCounts } from '../openai/usage.ts';

/** The end of the body in which usage is looked for. */
const TAIL_BYTES = 1_024;
/** The beginning of a text that is not empty; cannot occur within a JSON string, where quotes are escaped. */
const TEXT_MEMBERS = ['"content":"', '"text":"', '"reasoning_content":"'].map((text) => Buffer.from(text));
const QUOTE = 0x22;
const USAGE_MEMBER = '"usage":';

export class Relayed {
  /** Of the body. */
  bytes = 0;
  /** Pieces of text, each of which took at least one token. A lower bound: a piece that two parts share is not seen. */
  texts = 0;
  /** The last bytes of the body, `#tailBytes` of them. */
  readonly #tail = Buffer.allocUnsafe(TAIL_BYTES);
  #tailBytes = 0;
  /** Found at the present end; undefined: not looked for. */
  #usage: UsageCounts | null | undefined;

  /** To be called for each part that is passed on. */
  add(part: Uint8Array): void {
    if (part.byteLength === 0) return;
    this.bytes += part.byteLength;
    this.#usage = undefined;
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    for (const member of TEXT_MEMBERS) {
      for (let at = bytes.indexOf(member); at >= 0; at = bytes.indexOf(member, at)) {
        at += member.length;
        if (bytes[at] !== QUOTE) this.texts += 1;
      }
    }
    this.#keep(bytes);
  }

  #keep(bytes: Buffer): void {
    const added = Math.min(bytes.length, TAIL_BYTES);
    const kept = Math.min(this.#tailBytes, TAIL_BYTES - added);
    this.#tail.copyWithin(0, this.#tailBytes - kept, this.#tailBytes);
    bytes.copy(this.#tail, kept, bytes.length - added);
    this.#tailBytes = kept + added;
  }

  /** The same for bytes that only the client can read. */
  addOpaque({ byteLength }: Uint8Array): void {
    this.bytes += byteLength;
    this.#usage = null;
  }

  /** The last usage at the end of the body; null where there is none that makes sense. */
  usage(): UsageCounts | null {
    if (this.#usage === undefined) this.#usage = this.#findUsage();
    return this.#usage;
  }

  #findUsage(): UsageCounts | null {
    const tail = this.#tail.toString('latin1', 0, this.#tailBytes); // names and numbers are ASCII, and cut characters do no harm
    for (let at = tail.lastIndexOf(USAGE_MEMBER); at >= 0; at = at === 0 ? -1 : tail.lastIndexOf(USAGE_MEMBER, at - 1)) {
      const usage = parseUsage(objectAt(tail, at + USAGE_MEMBER.length));
      if (usage !== null) return usage;
    }
    return null;
  }
}

/** The text of the object that begins at `start`, as far as its braces say; usage holds no strings with braces. */
function objectAt(text: string, start: number): string | null {
  const from = text.slice(start).search(/\S/) + start;
  if (text[from] !== '{') return null;
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1;
    if (text[at] === '}') depth -= 1;
    if (depth === 0) return text.slice(from, at + 1);
  }
  return null;
}

function parseUsage(text: string | null): UsageCounts | null {
  if (text === null) return null;
  try {
    const usage = readUsage({ usage: JSON.parse(text) });
    if (usage === null) return null;
    assertUsage(usage);
    return usage;
  } catch {
    return null; // the client may make of it what it likes; it bounds nothing
  }
}
