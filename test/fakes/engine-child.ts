// A program for a test: the process of an engine, as `cocoon node run-engine` is it, without the rest of the command line.
import { Socket } from 'node:net';
import { runEngineChild } from '../../src/node/engine/child-main.ts';
import { loadLlamaEngine } from '../../src/node/engine/llama-engine.ts';

await runEngineChild(new Socket({ fd: 3, readable: true, writable: true }), {
  load: (options, log, onProgress, signal) => loadLlamaEngine({ ...options, ownProcess: true, log, onProgress, signal }),
  kill: () => process.kill(process.pid, 'SIGKILL'),
});
