// The package's entry (docs/library.md): three functions and their types. Importing it loads no engine, no server and no chain;
// each function loads what it needs when it is called first.
import type { ChatRequest, ChatStream, Client, ConnectOptions } from './library/client.ts';
import type { Verification, VerifyOptions } from './library/verify.ts';

export type { ChatAnswer, ChatRequest, ChatStream, Client, ConnectOptions, Peer } from './library/client.ts';
export type { Verification, VerifyOptions } from './library/verify.ts';

/** Joins a network and connects to the nearest proxy whose evidence is accepted. Throws errors with `code`, `message` and `hint`. */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  return (await import('./library/client.ts')).connect(options);
}

/** Asks a model. Iterate over the pieces as they come, or await `answer()`. Leaving the loop cancels the request. */
export function chat(client: Client, request: ChatRequest): ChatStream {
  let started: Promise<ChatStream> | null = null;
  const start = (): Promise<ChatStream> => started ??= import('./library/client.ts').then((library) => library.chat(client, request));
  return {
    async *[Symbol.asyncIterator]() {
      yield* await start();
    },
    answer: async () => (await start()).answer(),
  };
}

/** Judges evidence, or a receipt with the evidence behind it. A refusal is a verdict; what cannot be read is thrown. */
export async function verify(evidence: Uint8Array, options: VerifyOptions = {}): Promise<Verification> {
  return (await import('./library/verify.ts')).verify(evidence, options);
}
