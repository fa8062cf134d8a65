// Compares what a device has measured with what manifests say it should measure (attestation checks list, NVIDIA GPU 4).
// Every active measurement counts: one that the device does not report, or with another value, is a mismatch, and no index
// may be active in two manifests.
import { equalBytes } from '../../core/bytes.ts';
import type { Rim, RimMeasurement } from './parse-rim.ts';

/** The video decoder's measurement, by its index in manifests. */
const NVDEC_INDEX = 35;
/** SPDM counts from 1, manifests from 0. */
const toSpdm = (index: number): number => index + 1;

export interface Comparison {
  readonly compared: number;
  /** Indices as in the manifest. */
  readonly mismatches: readonly number[];
  /** True when the decoder's measurement was left out because the decoder is off. */
  readonly decoderSkipped: boolean;
}

const activeOf = ({ measurements }: Rim): RimMeasurement[] => measurements.filter(({ active }) => active);

/** Indices that are active in both manifests. */
export function overlapOf(a: Rim, b: Rim): number[] {
  const indices = new Set(activeOf(a).map(({ index }) => index));
  return activeOf(b).map(({ index }) => index).filter((index) => indices.has(index));
}

/** `measured` by SPDM index. */
export function compare(rim: Rim, measured: ReadonlyMap<number, Uint8Array>, decoderOff: boolean): Comparison {
  const active = activeOf(rim);
  const counted = active.filter(({ index }) => index !== NVDEC_INDEX || !decoderOff);
  const mismatches = counted.filter(({ index, alternatives }) => {
    const value = measured.get(toSpdm(index));
    return value === undefined || !alternatives.some((alternative) => equalBytes(alternative, value));
  });
  return { compared: counted.length, mismatches: mismatches.map(({ index }) => index), decoderSkipped: counted.length < active.length };
}
