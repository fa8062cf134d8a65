// Where the certificate and image-hash vectors are, and where third-party ones may be.
import { existsSync, readFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);

export const vector = (path: string): Buffer => readFileSync(new URL(`test/vectors/${path}`, root));
export const jsonVector = (path: string): unknown => JSON.parse(vector(path).toString('utf8'));

/** Folder of third-party attested certificates, or null where it is absent. */
const ratls = new URL('../shared/attestation/vectors/ratls/', root);
export const ratlsFolder = existsSync(ratls) ? ratls : null;
