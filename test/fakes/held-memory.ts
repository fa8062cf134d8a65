// What this process really holds: bytes that a garbage collection does not free. The resident size would count what other
// tests of the same process left behind.
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

/** Heap and buffers in bytes after a collection. */
export async function heldBytes(): Promise<number> {
  collect();
  await sleep(20); // buffers are freed after the collection, by another thread
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
