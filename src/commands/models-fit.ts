// `cocoon models fit MODEL`: what a model needs and whether this machine can hold it, before anything is downloaded: of a model on the
// network only the header is read. Exit 3 when it does not fit.
import { ConfigError } from '../core/errors.ts';
import { fitModel, KV_TYPES, readShape } from '../node/models/fit.ts';
import { thisMachine } from '../node/models/fit-machine.ts';
import { ModelFetcher } from '../node/models/fetch.ts';
import { withFileSource } from '../node/models/file-source.ts';
import { describeRemote } from '../node/models/pull.ts';
import { resolveModel } from '../node/models/registry.ts';
import { remoteSource } from '../node/models/remote-source.ts';
import { bytesText } from '../node/doctor/check.ts';
import { NotFoundError } from '../core/errors.ts';
import { fitData, fitRows } from './fit-view.ts';
import { declareRemote } from './models.ts';
import { renderTable } from './table-view.ts';
import { boundedSetting, oneOf, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';
import type { KvType, ModelShape } from '../node/models/fit.ts';
import type { ByteSource } from '../node/models/gguf-header.ts';
import type { RemoteOptions } from './models.ts';

interface FitOptions extends RemoteOptions {
  readonly parallel?: number;
  readonly ctx?: number;
  readonly kvType?: KvType;
  readonly flashAttention?: boolean;
}

const DEFAULT_PARALLEL = 4;
const PARALLEL = [1, 256] as const;
const CTX = [16, 10_000_000] as const;

export function declare(command: Command): void {
  command
    .argument('<model>', 'a name of `models list --local`, a GGUF file, org/repo:quant, org/repo/file.gguf or an https address')
    .option('--parallel <n>', 'requests answered at the same time (default: the setting engine.parallel)', wholeNumber(...PARALLEL))
    .option('--ctx <n>', 'tokens of context of each request (default: the setting engine.ctx, else the model\'s own)', wholeNumber(...CTX))
    .option('--kv-type <type>', `type of the KV cache: ${Object.keys(KV_TYPES).join(', ')} (default: f16)`, oneOf<KvType>(['f32', 'f16', 'bf16', 'q8_0', 'q4_0']))
    .option('--no-flash-attention', 'with the buffer that attention needs without it');
  declareRemote(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [model = ''], settings, context: { signal }, options, out } = invocation;
  const { parallel, ctx, kvType, flashAttention }: FitOptions = options;
  const shape = await shapeOf(invocation, model);
  const contextSize = ctx ?? boundedSetting(settings, 'engine.ctx', ...CTX);
  const fit = fitModel(shape, {
    parallel: parallel ?? boundedSetting(settings, 'engine.parallel', ...PARALLEL) ?? DEFAULT_PARALLEL, flashAttention: flashAttention !== false,
    ...(contextSize !== undefined && { contextSize }), ...(kvType !== undefined && { kvType }),
  }, await thisMachine(signal));
  out.result(fitData(fit));
  await out.text(await renderTable(['WHAT', 'VALUE'], fitRows(fit)));
  if (fit.fits) return;
  throw new ConfigError('E_MODEL_FIT', `${model} needs ${bytesText(fit.totalBytes)}, and this machine has ${bytesText(fit.availableBytes)} for it`, {
    hint: fit.largestContext > 0 ? `it would fit with --ctx ${fit.largestContext} --parallel ${fit.parallel}` : 'take a smaller quantisation, or a machine with more memory',
  });
}

/** The header of a model of this machine, or of one on the network. */
async function shapeOf(invocation: Invocation, text: string): Promise<ModelShape> {
  const { settings, context, options } = invocation;
  const { signal, cwd } = context;
  const remote = /^https?:\/\//i.test(text) || /^[^./][^/]*\/[^/]+[:/]?/.test(text);
  try {
    const { paths } = await resolveModel(text, { home: settings.home, cwd });
    return await withFiles(paths, readShape);
  } catch (error) {
    if (!(error instanceof NotFoundError) || !remote) throw error;
  }
  const { revision, sha256 }: FitOptions = options;
  const hub = settings.text('models.hub') ?? '';
  const token = context.env['HF_TOKEN'];
  const fetcher = new ModelFetcher({ ...(token !== undefined && token !== '' && { token, tokenOrigin: new URL(hub).origin }) });
  try {
    const { files } = await describeRemote({ reference: text, revision, sha256, hub, signal }, fetcher);
    return await readShape(files.map((file) => remoteSource(file, fetcher, signal)));
  } finally {
    await fetcher.close();
  }
}

/** Runs `work` with all files open. */
async function withFiles<T>(paths: readonly string[], work: (sources: readonly ByteSource[]) => Promise<T>, opened: readonly ByteSource[] = []): Promise<T> {
  const [path, ...rest] = paths;
  if (path === undefined) return work(opened);
  return withFileSource(path, (source) => withFiles(rest, work, [...opened, source]));
}
