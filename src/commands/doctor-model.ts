// The model that `node doctor` is asked about: its full name, and whether it fits this machine. Reads the whole file for the name of
// a file that the registry does not have.
import { fitFile } from '../node/models/fit.ts';
import { memoryOf } from '../node/models/fit-machine.ts';
import { resolveModel, verifyModel } from '../node/models/registry.ts';
import { fitText } from './fit-view.ts';
import { boundedSetting } from './values.ts';
import type { EngineProbe } from '../node/doctor/engine-probe.ts';
import type { MachineFacts } from '../node/doctor/facts.ts';
import type { Invocation } from './command.ts';

const DEFAULT_PARALLEL = 4;

export interface DoctorModel {
  /** Null where none was named. */
  readonly fullName: () => Promise<string | null>;
  readonly fit: EngineProbe['fit'];
}

export function doctorModel({ settings, context }: Invocation, text: string | undefined, facts: Promise<MachineFacts>): DoctorModel {
  if (text === undefined) return { fullName: async () => null, fit: async () => null };
  const resolved = resolveModel(text, { home: settings.home, cwd: context.cwd });
  resolved.catch(() => undefined); // told by the checks that ask
  return {
    fullName: async () => {
      const model = await resolved;
      return model.expected ?? verifyModel(model, { signal: context.signal });
    },
    fit: async () => {
      const { paths, name } = await resolved;
      const parallel = boundedSetting(settings, 'engine.parallel', 1, 256) ?? DEFAULT_PARALLEL;
      const contextSize = boundedSetting(settings, 'engine.ctx', 16, 10_000_000);
      const fit = await fitFile(paths, { parallel, ...(contextSize !== undefined && { contextSize }) }, memoryOf(await facts));
      return { model: name, layersOnGpu: fit.layersOnGpu, layers: fit.layers, fits: fit.fits, text: fitText(fit) };
    },
  };
}
