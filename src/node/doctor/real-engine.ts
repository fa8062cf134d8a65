// What the engine of this machine would be, found without loading it: a driver that lists GPUs, and the CUDA runtime libraries that
// the prebuilt backend links against (libcudart and libcublas of 12.4 or newer). Memory speed is measured by copying.
import type { EngineProbe } from './engine-probe.ts';
import type { DriverGpu } from './facts.ts';
import type { Machine } from './machine.ts';

const LIBRARIES = ['libcudart.so', 'libcublas.so'] as const;
const COPY_BYTES = 32 << 20;
const COPIES = 8;

export function realEngine(machine: Machine, gpus: () => Promise<readonly DriverGpu[]>, fit: EngineProbe['fit']): EngineProbe {
  return {
    async backend() {
      const found = await gpus();
      if (found.length === 0) return { backend: 'cpu', devices: [], vramBytes: 0, note: null };
      const cache = await machine.run('ldconfig', ['-p']) ?? await machine.run('/sbin/ldconfig', ['-p']);
      const missing = cache === null ? [] : LIBRARIES.filter((name) => !new RegExp(`\\b${name.replace('.', '\\.')}\\.1[2-9]\\b`).test(cache.stdout));
      if (missing.length > 0) return { backend: 'cpu', devices: [], vramBytes: 0, note: `no ${missing.join(', no ')} of version 12 or newer` };
      return { backend: 'cuda', devices: found.map(({ name }) => name), vramBytes: found.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0), note: null };
    },
    fit,
    async memoryBandwidth() {
      const [from, to] = [Buffer.alloc(COPY_BYTES, 1), Buffer.alloc(COPY_BYTES, 2)];
      let best = 0;
      for (let copy = 0; copy < COPIES; copy += 1) {
        const began = performance.now();
        from.copy(to);
        const seconds = (performance.now() - began) / 1000;
        // Each byte is read and written.
        if (seconds > 0) best = Math.max(best, 2 * COPY_BYTES / seconds);
        await new Promise<void>((resolve) => { setImmediate(resolve); });
      }
      return best;
    },
  };
}
