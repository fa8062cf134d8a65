// Ends an execution that never ends: the fuzzer writes each input into shared memory before it runs; a second thread looks
// whether the inputs change and, if one stays too long, writes it into a file and ends the process.
import { writeFileSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const HEADER_BYTES = 16;
const LIMIT_MS = 20_000;
const INTERVAL_MS = 1000;

/** Starts the thread. `hangFile` gets the input that did not end. */
export function startWatchdog(maxBytes, hangFile) {
  const memory = new SharedArrayBuffer(HEADER_BYTES + maxBytes);
  const header = new Int32Array(memory, 0, HEADER_BYTES / 4);
  const bytes = new Uint8Array(memory, HEADER_BYTES);
  const worker = new Worker(new URL(import.meta.url), { workerData: { memory, hangFile } });
  worker.unref();
  return {
    announce(input) {
      bytes.set(input.subarray(0, maxBytes));
      Atomics.store(header, 1, Math.min(input.length, maxBytes));
      Atomics.add(header, 0, 1);
    },
    stop: () => worker.terminate(),
  };
}

function watch({ memory, hangFile }) {
  const header = new Int32Array(memory, 0, HEADER_BYTES / 4);
  let [last, sinceMs] = [-1, performance.now()];
  setInterval(() => {
    const count = Atomics.load(header, 0);
    if (count !== last) [last, sinceMs] = [count, performance.now()];
    else if (performance.now() - sinceMs > LIMIT_MS) {
      writeFileSync(hangFile, Uint8Array.from(new Uint8Array(memory, HEADER_BYTES, Atomics.load(header, 1))));
      process.stderr.write(`an input did not end within ${LIMIT_MS} ms: ${hangFile}\n`);
      process.kill(process.pid, 'SIGKILL');
    }
  }, INTERVAL_MS);
}

if (!isMainThread) watch(workerData);
