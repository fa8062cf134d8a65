// A program for a test: loads the engine and answers once. Its messages go to a log; its exit code says what that saw:
// 42 with and 43 without a message of the native part, 44 when the engine could not be loaded and the log says why.
import { loadLlamaEngine } from '../../src/node/engine/llama-engine.ts';

const seen: string[] = [];
const note = (message: string): void => {
  seen.push(message);
};

try {
  const engine = await loadLlamaEngine({
    // a context over the trained one makes llama.cpp warn, so that there is something to catch
    modelPath: 'models/cocoon-tiny-q8_0.gguf', gpu: 'off', contextSize: 2048, parallel: 1, threads: 1, log: { debug: note, info: note, warn: note, error: note },
  });
  for await (const event of engine.complete({ prompt: { kind: 'text', text: 'Hello' }, maxTokens: 2 }, new AbortController().signal)) void event;
  await engine.close();
  process.exitCode = seen.some((message) => message.startsWith('llama.cpp: ')) ? 42 : 43;
} catch {
  process.exitCode = seen.some((message) => message.includes('Failed to load a prebuilt binary')) ? 44 : 45;
}
