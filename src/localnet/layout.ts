// Where a local network keeps its files, and the public description of it that clients and daemons read.
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigError, NotFoundError } from '../core/errors.ts';
import { readBounded, writeFileAtomic } from '../core/files.ts';

export interface LocalnetLayout {
  readonly root: string;
  /** Signing key of the simulated evidence (src/tee/local-authority.ts). */
  readonly authority: string;
  readonly description: string;
  readonly lock: string;
  /** Folder of the local chain. */
  readonly chain: string;
  /** What the chain is and which root contract was deployed on it. */
  readonly chainState: string;
  record(part: LocalPart): string;
  log(part: LocalPart): string;
}

export const LOCAL_ROLES = ['proxy', 'node'] as const;
export type LocalRole = (typeof LOCAL_ROLES)[number];
/** Everything that runs as a process of its own: the chain, and the roles. */
export type LocalPart = 'chain' | LocalRole;

export function localnetLayout(home: string): LocalnetLayout {
  const root = join(home, 'localnet');
  return {
    root,
    authority: join(root, 'authority'),
    description: join(root, 'network.json'),
    lock: join(root, 'lock'),
    chain: join(root, 'chain'),
    chainState: join(root, 'chain-state.json'),
    record: (part) => join(root, `${part}.json`),
    log: (part) => join(root, `${part}.log`),
  };
}

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const address = z.string().regex(/^127\.0\.0\.1:\d{1,5}$/).refine((text) => {
  const port = Number(text.slice(text.lastIndexOf(':') + 1));
  return port > 0 && port <= 65_535;
}, 'expected a port from 1 to 65535');

const Description = z.strictObject({
  version: z.literal(1),
  /** Always true: only the attestation of a local network is simulated, and it says so. */
  simulatedAttestation: z.literal(true),
  networkId: hex(32),
  authorityPublicKey: hex(32),
  proxyImageHashes: z.array(hex(32)).min(1),
  workerImageHashes: z.array(hex(32)).min(1),
  proxy: z.strictObject({ clients: address, workers: address }),
  /** `chain`: contracts on the local chain are charged and paid. `none`: nobody pays, and there is no chain. */
  payments: z.enum(['chain', 'none']).default('none'),
});

/** Public facts of a local network; without payments it plays the part of the root contract too. */
export type LocalnetDescription = z.infer<typeof Description>;
export type Payments = LocalnetDescription['payments'];

/** Reads the description; throws ConfigError when there is none or it is not one. */
export async function readDescription(layout: LocalnetLayout): Promise<LocalnetDescription> {
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(layout.description, 64 * 1024);
  } catch (cause) {
    if (!(cause instanceof NotFoundError)) throw cause;
    throw new ConfigError('E_CONFIG', `cannot use network "local": no local network at "${layout.root}"`, { cause, hint: 'run `cocoon localnet start --detach`' });
  }
  try {
    return Description.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw new ConfigError('E_CONFIG', `cannot read "${layout.description}": not a description of a local network`, { cause, hint: 'run `cocoon localnet stop`, remove the file and start again' });
  }
}

export async function writeDescription(layout: LocalnetLayout, description: LocalnetDescription): Promise<void> {
  await writeFileAtomic(layout.description, `${JSON.stringify(Description.parse(description), null, 2)}\n`);
}
