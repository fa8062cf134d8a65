// What lies below node-llama-cpp's public interface: one context whose batches are filled, evaluated and sampled by hand. The
// library's own sequences queue tokens one by one and keep its lock meanwhile, which costs a fifth of the speed with 16 streams.
// What is used is checked when an engine is loaded: a library that is made otherwise inside is refused.
import { EngineError } from '../../core/errors.ts';

/** Evaluation of tokens in batches; while one is being evaluated nothing is called, or only what native code will do after it. */
export interface BatchContext {
  /** Begins a batch of exactly `size` tokens. */
  begin(size: number): void;
  /** Adds tokens of a sequence at `position`; returns the index of the last one's result, -1 where it is not wanted. */
  add(sequence: number, position: number, tokens: Uint32Array, wantsResult: boolean): number;
  decode(): Promise<void>;
  /** Forgets the tokens of a sequence from `from` up to `to`; false where the model's state cannot be cut so. */
  remove(sequence: number, from: number, to?: number): boolean;
  /** Moves the tokens from `from` on by `delta` positions. */
  shift(sequence: number, from: number, to: number, delta: number): void;
}

/** Draws the tokens of one answer. */
export interface TokenSampler {
  /** From the result of a batch; throws when there is no token that may follow. */
  sample(index: number): Promise<number>;
  /** The likeliest tokens by the model alone, and `token` itself: natural logarithms of their probabilities. */
  logprobs(index: number, token: number, count: number): Promise<{ readonly chosen: number; readonly top: readonly { readonly token: number; readonly logprob: number }[] }>;
  dispose(): void;
}

export interface SamplerConfig {
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
}

export interface NativeParts {
  readonly batches: BatchContext;
  /** `grammarState`: of the library, to be used by one answer only. */
  sampler(config: SamplerConfig, grammarState: object | null): TokenSampler;
}

/** A parsed Jinja template. */
export interface Template {
  /** Throws what the template raises, and when it cannot be rendered. */
  render(variables: Readonly<Record<string, unknown>>): string;
}

interface AddonContext {
  initBatch(size: number): void;
  addToBatch(sequence: number, position: number, tokens: Uint32Array, results: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  sampleToken(index: number, sampler: AddonSampler): Promise<number>;
  sampleToken(index: number, sampler: AddonSampler, probabilities: true): Promise<readonly [token: number, probabilities: readonly number[] | undefined]>;
  removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
  shiftSequenceTokenCells(sequence: number, start: number, end: number, delta: number): void;
}

interface AddonSampler {
  applyConfig(config: Readonly<Record<string, unknown>>): void;
  dispose(): void;
}

type AddonSamplerClass = new (model: object) => AddonSampler;

/** Tokens of an answer that the frequency and presence penalties look back at. */
const MAX_PENALTY_TOKENS = 4096;
/** Smallest probability that is shown, so that what underflows is no infinity, which JSON does not have. */
const LEAST_LOGPROB = -9999;
const LAST_ONLY = new Uint32Array(1);
const NONE = new Uint32Array(0);

/** `context`, `model` and `llama` are node-llama-cpp's. Throws EngineError when they are not made as this file knows them. */
export function nativeParts(context: object, model: object, llama: object): NativeParts {
  const addonContext = part(context, '_ctx', (value): value is AddonContext => hasMethods(value, [
    'initBatch', 'addToBatch', 'decodeBatch', 'sampleToken', 'removeTokenCellsFromSequence', 'shiftSequenceTokenCells',
  ]));
  const addonModel = part(model, '_model', (value): value is object => hasMethods(value, ['isEogToken']));
  const bindings = part(llama, '_bindings', (value): value is { readonly AddonSampler: AddonSamplerClass } => hasMethods(value, ['AddonSampler']));
  const create = (): AddonSampler => new bindings.AddonSampler(addonModel);
  return {
    batches: batchContext(addonContext),
    sampler: (config, grammarState) => tokenSampler(addonContext, create, config, grammarState),
  };
}

/** llama.cpp's own reading of a Jinja template; `llama` is node-llama-cpp's. Throws for a template that it cannot read. */
export function nativeTemplate(llama: object, template: string): Template {
  const bindings = part(llama, '_bindings', (value): value is { readonly AddonJinjaRenderer: new (text: string) => Template } => hasMethods(value, ['AddonJinjaRenderer']));
  return new bindings.AddonJinjaRenderer(template);
}

/** The native state of a grammar of node-llama-cpp's LlamaGrammarEvaluationState. */
export const nativeGrammarState = (state: object): object =>
  part(state, '_state', (value): value is object => typeof value === 'object' && value !== null);

function batchContext(context: AddonContext): BatchContext {
  return {
    begin: (size) => context.initBatch(size),
    add(sequence, position, tokens, wantsResult) {
      LAST_ONLY[0] = tokens.length - 1;
      return context.addToBatch(sequence, position, tokens, wantsResult ? LAST_ONLY : NONE)[0] ?? -1;
    },
    decode: () => context.decodeBatch(),
    remove: (sequence, from, to = -1) => context.removeTokenCellsFromSequence(sequence, from, to),
    shift: (sequence, from, to, delta) => context.shiftSequenceTokenCells(sequence, from, to, delta),
  };
}

function tokenSampler(context: AddonContext, create: () => AddonSampler, config: SamplerConfig, grammarState: object | null): TokenSampler {
  const sampler = create();
  const { temperature, topP, seed, frequencyPenalty, presencePenalty } = config;
  sampler.applyConfig({
    temperature, topP, seed, topK: 0, minP: 0,
    ...(grammarState !== null && { grammarEvaluationState: grammarState }),
    // The sampler takes up what it draws by itself: the list that it starts with is all that it has to be told.
    ...((frequencyPenalty !== 0 || presencePenalty !== 0) && {
      repeatPenalty: 1, repeatPenaltyMaxTokens: MAX_PENALTY_TOKENS, repeatPenaltyTokens: NONE,
      repeatPenaltyFrequencyPenalty: frequencyPenalty, repeatPenaltyPresencePenalty: presencePenalty,
    }),
  });
  let plain: AddonSampler | null = null;
  return {
    async sample(index) {
      const token = await context.sampleToken(index, sampler);
      if (token < 0) throw new EngineError('E_ENGINE', 'engine found no token that may follow');
      return token;
    },
    async logprobs(index, token, count) {
      if (plain === null) {
        plain = create();
        plain.applyConfig({ temperature: 1, topP: 1, topK: 0, minP: 0, seed: 0 });
      }
      const [, probabilities = []] = await context.sampleToken(index, plain, true);
      const logprobAt = (at: number): number => Math.max(LEAST_LOGPROB, Math.log(probabilities[at] ?? 0));
      const top = [];
      for (let at = 0; at + 1 < probabilities.length && top.length < count; at += 2) top.push({ token: probabilities[at] ?? 0, logprob: logprobAt(at + 1) });
      for (let at = 0; at + 1 < probabilities.length; at += 2) {
        if (probabilities[at] === token) return { chosen: logprobAt(at + 1), top };
      }
      throw new EngineError('E_ENGINE', 'engine has no probability of the token that it drew');
    },
    dispose() {
      sampler.dispose();
      plain?.dispose();
    },
  };
}

function part<T>(whole: object, name: string, fits: (value: unknown) => value is T): T {
  const value = (whole as Readonly<Record<string, unknown>>)[name];
  if (fits(value)) return value;
  throw new EngineError('E_ENGINE', `node-llama-cpp has no usable part "${name}"`, { hint: 'install the version of node-llama-cpp that cocoon names in its package.json' });
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  return typeof value === 'object' && value !== null && names.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === 'function');
}
