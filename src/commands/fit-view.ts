// What a model needs of this machine, as text and as JSON: bytes there, and units of 1024 for people.
import { bytesText } from '../node/doctor/check.ts';
import type { ModelFit } from '../node/models/fit.ts';
import type { JsonValue } from './output.ts';

/** One line. */
export function fitText({ totalBytes, availableBytes, weightsBytes, kvBytes, buffersBytes, parallel, contextSize, kvType }: ModelFit): string {
  return `${bytesText(totalBytes)} of ${bytesText(availableBytes)}: weights ${bytesText(weightsBytes)}, KV cache ${bytesText(kvBytes)} (${parallel} × ${contextSize} tokens, ${kvType}), buffers about ${bytesText(buffersBytes)}`;
}

export function fitRows(fit: ModelFit): [string, string][] {
  const { shape, layers, layersOnGpu, fits, availableBytes, parallel, contextSize, kvType, largestContext } = fit;
  return [
    ['model', `${shape.name ?? 'unnamed'} (${shape.architecture}, ${layers} layers, trained for ${shape.trainedContext} tokens)`],
    ['weights', bytesText(fit.weightsBytes)],
    ['KV cache a token', `${bytesText(fit.kvBytesPerToken)} (${kvType})${shape.slidingWindow ? ', at most: some layers see a window only' : ''}`],
    ['KV cache a sequence', `${bytesText(fit.kvBytesPerSequence)} for ${contextSize} tokens`],
    ['KV cache', `${bytesText(fit.kvBytes)} for ${parallel} sequences`],
    ['buffers', `about ${bytesText(fit.buffersBytes)}`],
    ['in all', bytesText(fit.totalBytes)],
    ['this machine', `${bytesText(availableBytes)} usable`],
    ['layers on the GPU', `${layersOnGpu} of ${layers}`],
    ['largest context', largestContext === 0 ? 'none: the weights alone do not fit' : `${largestContext} tokens for ${parallel} sequences`],
    ['fits', fits ? 'yes' : 'no'],
  ];
}

export function fitData({ shape, ...fit }: ModelFit): { [key: string]: JsonValue } {
  const { architecture, name, trainedContext, slidingWindow } = shape;
  return { ...fit, model: { architecture, name, trainedContext, slidingWindow } };
}
