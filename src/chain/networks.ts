// The networks that commands can work on: mainnet and testnet are built in, `local` is whatever the local network says of
// itself, all others (and other endpoints for the built-in two) are in networks.json. API keys stay in files of their own.
// Refuses unknown fields, names that are taken, endpoints without encryption, and a network whose file is damaged.
import { dirname } from 'node:path';
import { Address } from '@ton/core';
import { z } from 'zod';
import { ConfigError, NotFoundError, UsageError } from '../core/errors.ts';
import { ensureFolder, readBounded, writeFileAtomic } from '../core/files.ts';
import { withLock } from '../core/lock.ts';
import { parseEndpointUrl } from './access/endpoint.ts';
import type { EndpointConfig } from './access/endpoint.ts';
import { MAINNET, TESTNET } from './wallets/network.ts';
import type { WalletNetwork } from './wallets/network.ts';

export interface NetworkEndpoint {
  readonly url: string;
  /** File with the API key of this endpoint, absolute; null where it needs none. */
  readonly apiKeyFile: string | null;
}

export interface ChainNetwork extends WalletNetwork {
  readonly kind: 'local' | 'built-in' | 'added';
  /** Null where no root contract is known yet. */
  readonly root: Address | null;
  /** In order of preference; empty while a local chain does not run. */
  readonly endpoints: readonly NetworkEndpoint[];
}

/** What a local network knows of its chain. */
export interface LocalChainFacts {
  readonly globalId: number;
  readonly root: Address | null;
  /** Null while it does not run. */
  readonly endpoint: string | null;
}

export interface NewNetwork {
  readonly name: string;
  readonly globalId: number;
  readonly root: Address | null;
  readonly endpoints: readonly NetworkEndpoint[];
}

export interface NetworksOptions {
  /** Path of networks.json. */
  readonly file: string;
  /** Facts of the local chain; null where there never was one. */
  readonly local: () => Promise<LocalChainFacts | null>;
}

/** Root contract of the public network, as published with its worker since November 2025. */
const MAINNET_ROOT = Address.parse('EQCns7bYSp0igFvS1wpb5wsZjCKCV19MD5AVzI4EyxsnU73k');

const BUILT_IN: Readonly<Record<string, WalletNetwork & { readonly root: Address | null; readonly url: string }>> = {
  mainnet: { ...MAINNET, root: MAINNET_ROOT, url: 'https://toncenter.com/api/v2/jsonRPC' },
  testnet: { ...TESTNET, root: null, url: 'https://testnet.toncenter.com/api/v2/jsonRPC' },
};

export const LOCAL = 'local';
const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;
const MAX_ENDPOINTS = 8;
const MAX_BYTES = 256 * 1024;
const MAX_KEY_BYTES = 1024;
const LOCK_MS = 10_000;

const Entry = z.strictObject({
  globalId: z.int().min(-(2 ** 31)).max(2 ** 31 - 1),
  root: z.string().regex(/^(0|-1):[0-9a-f]{64}$/).nullable(),
  endpoints: z.array(z.strictObject({ url: z.string().max(2048), apiKeyFile: z.string().min(1).max(4096).nullable() })).min(1).max(MAX_ENDPOINTS),
});
const NetworksFile = z.strictObject({ version: z.literal(1), networks: z.record(z.string().regex(NAME), Entry) });
type Entries = z.infer<typeof NetworksFile>['networks'];

export class Networks {
  readonly #options: NetworksOptions;

  constructor(options: NetworksOptions) {
    this.#options = options;
  }

  async #read(): Promise<Entries> {
    const { file } = this.#options;
    let text: string;
    try {
      text = Buffer.from(await readBounded(file, MAX_BYTES)).toString('utf8');
    } catch (error) {
      if (error instanceof NotFoundError) return {};
      throw error;
    }
    try {
      return NetworksFile.parse(JSON.parse(text)).networks;
    } catch (cause) {
      throw new ConfigError('E_CONFIG', `cannot read "${file}": it is no list of networks`, { cause, hint: 'correct the file, or move it away and add the networks again' });
    }
  }

  /** All networks: local, the built-in ones, then the added ones by name. */
  async list(): Promise<ChainNetwork[]> {
    const entries = await this.#read();
    const local = await this.#local();
    const builtIn = Object.keys(BUILT_IN).flatMap((name) => networkOf(name, entries) ?? []);
    const added = Object.keys(entries).filter((name) => !Object.hasOwn(BUILT_IN, name)).sort().flatMap((name) => networkOf(name, entries) ?? []);
    return [...(local === null ? [] : [local]), ...builtIn, ...added];
  }

  /** Throws NotFoundError; for `local` ConfigError where there never was a local chain. */
  async get(name: string): Promise<ChainNetwork> {
    const found = name === LOCAL ? await this.#local() : networkOf(name, await this.#read());
    if (found !== null) return found;
    if (name === LOCAL) throw new ConfigError('E_CONFIG', 'cannot use network "local": there is no local chain yet', { hint: 'run `cocoon localnet start --chain-only --detach`' });
    throw new NotFoundError('E_NOT_FOUND', `there is no network named "${name}"`, { hint: 'run `cocoon network list`, or add it with `cocoon network add`' });
  }

  async #local(): Promise<ChainNetwork | null> {
    const facts = await this.#options.local();
    if (facts === null) return null;
    const endpoints = facts.endpoint === null ? [] : [{ url: facts.endpoint, apiKeyFile: null }];
    return { name: LOCAL, kind: 'local', globalId: facts.globalId, testOnly: false, root: facts.root, endpoints };
  }

  /**
   * Adds a network; a built-in name gives that network other endpoints, and nothing else. An existing entry is replaced only with
   * `replace`. Throws UsageError on a name that cannot be used, `E_STATE` when it is taken, `E_CONFIG` on a bad endpoint.
   */
  async add(network: NewNetwork, options: { readonly replace: boolean }): Promise<ChainNetwork> {
    const { name, globalId, root, endpoints } = network;
    if (!NAME.test(name)) throw new UsageError('E_USAGE', `${JSON.stringify(name.slice(0, 40))} is no name for a network, expected up to 32 of a-z, 0-9 and -`);
    if (name === LOCAL) throw new UsageError('E_USAGE', 'network "local" is the local network of this machine, it cannot be added', { hint: 'choose another name' });
    const builtIn = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
    if (builtIn !== undefined && (globalId !== builtIn.globalId || (root !== null && builtIn.root?.equals(root) !== true))) {
      throw new UsageError('E_USAGE', `network "${name}" is built in, only its endpoints can be changed`, { hint: 'give a network with another root another name' });
    }
    checkEndpoints(endpoints);
    return this.#change(name, (entries) => {
      if (entries[name] !== undefined && !options.replace) throw new ConfigError('E_STATE', `there is a network named "${name}" already`, { hint: 'add --replace to change it' });
      return { globalId, root: root?.toRawString() ?? null, endpoints: endpoints.map(({ url, apiKeyFile }) => ({ url, apiKeyFile })) };
    });
  }

  /** Writes down the root contract of an added network. Throws NotFoundError. */
  recordRoot(name: string, root: Address): Promise<ChainNetwork> {
    return this.#change(name, (entries) => {
      const entry = entries[name];
      if (entry === undefined) throw new NotFoundError('E_NOT_FOUND', `there is no added network named "${name}"`);
      return { ...entry, root: root.toRawString() };
    });
  }

  async #change(name: string, change: (entries: Entries) => Entries[string]): Promise<ChainNetwork> {
    const { file } = this.#options;
    await ensureFolder(dirname(file));
    return withLock(file, async () => {
      const entries = await this.#read();
      const networks = { ...entries, [name]: change(entries) };
      await writeFileAtomic(file, `${JSON.stringify(NetworksFile.parse({ version: 1, networks }), null, 2)}\n`);
      const network = networkOf(name, networks);
      if (network === null) throw new NotFoundError('E_NOT_FOUND', `there is no network named "${name}"`);
      return network;
    }, { timeoutMs: LOCK_MS });
  }
}

function networkOf(name: string, entries: Entries): ChainNetwork | null {
  const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
  const builtIn = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
  if (builtIn !== undefined) {
    const { url, root, globalId, testOnly } = builtIn;
    return { name, kind: 'built-in', globalId, testOnly, root, endpoints: entry?.endpoints ?? [{ url, apiKeyFile: null }] };
  }
  if (entry === undefined) return null;
  const { globalId, root, endpoints } = entry;
  return { name, kind: 'added', globalId, testOnly: globalId === TESTNET.globalId, root: root === null ? null : Address.parseRaw(root), endpoints };
}

function checkEndpoints(endpoints: readonly NetworkEndpoint[]): void {
  if (endpoints.length === 0 || endpoints.length > MAX_ENDPOINTS) {
    throw new UsageError('E_USAGE', `the network has ${endpoints.length} endpoints, expected 1 to ${MAX_ENDPOINTS}`, { hint: 'add --endpoint URL' });
  }
  const urls = new Set(endpoints.map(({ url }) => parseEndpointUrl({ url }).href));
  if (urls.size < endpoints.length) throw new UsageError('E_USAGE', 'an endpoint is named twice', { hint: 'two endpoints must be of two operators, or their agreement means nothing' });
}

/** The endpoints with their API keys, read from their files. Throws ConfigError `E_CONFIG` or `E_STATE`, NotFoundError. */
export function endpointConfigs(endpoints: readonly NetworkEndpoint[]): Promise<EndpointConfig[]> {
  return Promise.all(endpoints.map(async ({ url, apiKeyFile }) => apiKeyFile === null ? { url } : { url, apiKey: await readApiKey(apiKeyFile) }));
}

/** An API key: one line of printable characters in a file that nobody else may read. */
export async function readApiKey(file: string): Promise<string> {
  const key = Buffer.from(await readBounded(file, MAX_KEY_BYTES, { private: true })).toString('utf8').trim();
  if (!/^[\x21-\x7e]{1,512}$/.test(key)) throw new ConfigError('E_CONFIG', `${file} is no API key, expected one line of up to 512 printable characters`);
  return key;
}
