// What the doctor asks of the inference engine, as a port: which backend it would use, whether a model fits, and how fast memory is.
export interface EngineProbe {
  /** The backend that would be used now and why not a better one. Rejects with CocoonError. */
  backend(signal: AbortSignal): Promise<{ readonly backend: string; readonly devices: readonly string[]; readonly vramBytes: number; readonly note: string | null }>;
  /** Layers of the named model that fit; null without a model. Rejects with CocoonError. */
  fit(signal: AbortSignal): Promise<{ readonly model: string; readonly layersOnGpu: number; readonly layers: number; readonly fits: boolean; readonly text: string } | null>;
  /** Bytes a second that one thread reads and writes; measured for some hundred milliseconds. */
  memoryBandwidth(): Promise<number>;
}
