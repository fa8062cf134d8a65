// Targets with faults that somebody has put there, to show that the fuzzer finds faults: behind a value that chance does not
// hit, too slow, too large, and one without fault.
import { CocoonError } from '../../src/core/errors.ts';
import type { Target } from './engine.ts';

const refused = (): CocoonError => new CocoonError('E_EVIDENCE_MALFORMED', 'refused');
const seeds = [Buffer.from('a seed of some bytes')];

export const TARGETS: readonly Target[] = [
  { name: 'sound', files: [], seeds, run: (input) => { if (input.length > 3) throw refused(); } },
  {
    name: 'untyped', files: [], seeds,
    run(input) {
      const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
      if (input.length < 8 || view.getUint32(0, true) !== 0xc0c0_07ee) throw refused();
      if (view.getUint16(4, false) !== input.length) throw refused();
      if (Buffer.from(input.subarray(6, 8)).toString('latin1') === 'ok') throw new RangeError('planted');
    },
  },
  { name: 'internal', files: [], seeds, run: (input) => { if (input[0] === 0x62) throw new CocoonError('E_INTERNAL', 'planted'); } },
  {
    name: 'slow', files: [], seeds, maxMs: 50,
    run(input) {
      if (input[0] !== 0x62) return;
      for (const started = process.cpuUsage(); process.cpuUsage(started).user < 80_000;);
    },
  },
  { name: 'large', files: [], seeds, run: (input) => (input[0] === 0x62 ? new Uint8Array(100 * 1024 * 1024).fill(1) : null) },
];
