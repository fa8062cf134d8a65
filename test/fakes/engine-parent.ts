// A program for a test: starts an engine in a process of its own, says its id, and generates without an end until it is killed.
import { silentLog } from '../../src/core/log.ts';
import { startChildEngine } from '../../src/node/engine/child-engine.ts';
import { ENGINE_PROGRAM } from './source-program.ts';

const engine = await startChildEngine({
  launch: ENGINE_PROGRAM,
  load: { modelPath: 'models/cocoon-tiny-q8_0.gguf', gpu: 'off', contextSize: 1024, parallel: 1, threads: 1 },
  log: silentLog,
});
process.stdout.write(`${engine.pid}\n`);
for (;;) {
  for await (const event of engine.complete({ prompt: { kind: 'text', text: 'Hello' } }, new AbortController().signal)) void event;
}
