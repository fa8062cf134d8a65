// Engine: which backend would compute, does the model fit in front of it, is Node new enough, how fast is memory. A GPU that the
// engine cannot use is a failure: a node must not fall back to the CPU unnoticed.
import { ConfigError, NotFoundError } from '../../core/errors.ts';
import { bytesText, fail, info, pass, skip } from './check.ts';
import { compareVersions } from './facts.ts';
import type { Check } from './check.ts';

const MIN_NODE = '20.19.0';

export const ENGINE: readonly Check[] = [
  {
    id: 'node-version', title: 'Node.js',
    run: async ({ machine: { nodeVersion } }) => (compareVersions(nodeVersion, MIN_NODE) >= 0 ? pass(nodeVersion) : fail(nodeVersion, { wanted: `${MIN_NODE} or newer`, cause: 'this version lacks what the program uses', fix: ['install Node.js 22 or newer'] })),
  },
  {
    id: 'backend', title: 'backend', roles: ['guest', 'bare'],
    run: async ({ engine, signal, facts: { driverGpus } }) => {
      const { backend, devices, vramBytes, note } = await engine.backend(signal);
      const seen = `${backend}${devices.length === 0 ? '' : ` on ${devices.join(', ')}`}${vramBytes > 0 ? `, ${bytesText(vramBytes)}` : ''}`;
      if (backend !== 'cpu' || driverGpus.length === 0) return pass(note === null ? seen : `${seen} (${note})`);
      return fail(seen, {
        wanted: 'cuda', cause: note ?? 'there is a GPU, and the engine cannot load CUDA', fix: ['install the CUDA runtime libraries 12.4 or newer (libcudart, libcublas): apt-get install libcublas-12-6 cuda-cudart-12-6', 'to serve on the CPU on purpose: cocoon node start --gpu off'],
      });
    },
  },
  {
    id: 'layers', title: 'model', roles: ['guest', 'bare'], required: false,
    run: async ({ engine, signal }) => {
      let fit: Awaited<ReturnType<typeof engine.fit>>;
      try {
        fit = await engine.fit(signal);
      } catch (error) {
        if (signal.aborted || !(error instanceof NotFoundError || error instanceof ConfigError)) throw error;
        return fail(error.message, { wanted: 'the model that --model names', cause: 'a node that is told to serve it does not start', fix: [error.hint ?? 'cocoon models list --local'] });
      }
      if (fit === null) return info('none was named (--model)');
      const seen = `${fit.model}: ${fit.layersOnGpu} of ${fit.layers} layers on the GPU; ${fit.text}`;
      return fit.fits ? pass(seen) : fail(seen, { wanted: 'the whole model, its context and its buffers in memory', cause: 'the model needs more than there is', fix: ['cocoon models fit MODEL --ctx N --parallel N shows what would fit', 'take a smaller quantisation'] });
    },
  },
  {
    id: 'bandwidth', title: 'memory bandwidth', roles: ['guest', 'bare'], required: false,
    run: async ({ engine, facts: { driverGpus } }) => {
      const rate = await engine.memoryBandwidth();
      if (rate <= 0) return skip('could not be measured');
      return info(`${bytesText(rate)}/s a thread${driverGpus.length === 0 ? '' : `; PCIe ${driverGpus.map(({ index, pcie }) => `GPU ${index} ${pcie}`).join(', ')}`}`);
    },
  },
];
