// Where third-party attestation vectors may be.
import { existsSync } from 'node:fs';

/** A folder of third-party vectors, or null where it is absent. */
export function sharedFolder(name: string): URL | null {
  const folder = new URL(`../../../../shared/attestation/vectors/${name}/`, import.meta.url);
  return existsSync(folder) ? folder : null;
}
