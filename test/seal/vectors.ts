// Reads the vectors of test/vectors/seal.
import { readFileSync } from 'node:fs';

export const readVectors = <T>(name: string): T => JSON.parse(readFileSync(new URL(`../vectors/seal/${name}.json`, import.meta.url), 'utf8')) as T;
