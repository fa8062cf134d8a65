// Quantiles of a handful of measurements, by the nearest rank: always one of the values that were measured.

/** `share` of the values, 0 to 1, are at most this one. Throws RangeError without values. */
export function nearest(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const found = sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
  if (found === undefined) throw new RangeError('expected at least one value');
  return found;
}
