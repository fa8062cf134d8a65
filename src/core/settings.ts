// Settings and where each value comes from: flag, then COCOON_* variable, then cocoon.toml, then default.
// An unknown key in the file or a value of the wrong form is an error, never ignored.
import { join, resolve } from 'node:path';
import { ConfigError, NotFoundError } from './errors.ts';
import { readConfigFile } from './config-file.ts';
import { parseTon } from './units.ts';

/** `ton`: an amount of TON, for example 1.5. */
export type SettingType = 'string' | 'integer' | 'boolean' | 'duration' | 'ton';

export interface SettingSpec {
  readonly type: SettingType;
  /** Text form of the default; absent when the command decides. */
  readonly fallback?: string;
  /** The only values of a `string` that has them. */
  readonly choices?: readonly string[];
  readonly summary: string;
}

/** Every key of cocoon.toml. `COCOON_` plus the key in upper case, dots as underscores, is its variable. */
export const SETTINGS = {
  network: { type: 'string', fallback: 'local', summary: 'network to use: local, mainnet, testnet or a name added with `network add`' },
  timeout: { type: 'duration', fallback: '120s', summary: 'time limit of one request' },
  quiet: { type: 'boolean', fallback: 'false', summary: 'no talk on stderr, only errors' },
  verbose: { type: 'boolean', fallback: 'false', summary: 'more talk on stderr' },
  json: { type: 'boolean', fallback: 'false', summary: 'one JSON document on stdout' },
  color: { type: 'boolean', fallback: 'true', summary: 'colours on a terminal' },
  wallet: { type: 'string', summary: 'wallet that sends when --wallet is absent' },
  model: { type: 'string', summary: 'model that `infer` asks when --model is absent' },
  'attest.policy': { type: 'string', summary: 'policy file for the evidence of peers, beside the network\'s lists (default: the strict defaults)' },
  'attest.freshness': { type: 'string', fallback: 'prefer', choices: ['require', 'prefer'], summary: 'require refuses peers that are too old to show evidence made for the connection; prefer shows the lack' },
  'attest.trust_root': { type: 'string', summary: 'certificate of a test root in place of the manufacturers\', for test networks; refused on mainnet' },
  'attest.collateral': { type: 'string', summary: 'folder with collateral that `attest fetch --out` wrote; it comes before the cache and the services' },
  'attest.gpus': { type: 'string', fallback: 'if-present', choices: ['require', 'if-present', 'none'], summary: 'evidence of this machine\'s GPUs that a node shows; if-present takes GPUs in confidential mode' },
  'attest.pccs': { type: 'string', summary: 'Intel PCCS to ask for collateral instead of Intel' },
  'attest.amd_kds': { type: 'string', summary: 'mirror to ask for AMD\'s certificates and revocation lists' },
  'attest.nvidia_rim': { type: 'string', summary: 'mirror to ask for NVIDIA\'s manifests' },
  'attest.nvidia_ocsp': { type: 'string', summary: 'service to ask whether NVIDIA\'s certificates are good' },
  'engine.threads': { type: 'integer', summary: 'threads of the inference engine (default: cores less one, at least one)' },
  'engine.parallel': { type: 'integer', fallback: '4', summary: 'requests that the engine answers at the same time' },
  'engine.ctx': { type: 'integer', summary: 'context of each sequence in tokens (default: the model\'s own)' },
  'engine.gpu': { type: 'string', choices: ['auto', 'cuda', 'vulkan', 'metal', 'off'], summary: 'where the model runs; a GPU that is named and cannot be used is an error (default: auto, and off for the small model that comes with cocoon)' },
  'engine.gpu_layers': { type: 'string', fallback: 'auto', summary: 'layers of the model on the GPU: a number, all, or auto for as many as fit' },
  'engine.allow_cpu': { type: 'boolean', fallback: 'false', summary: 'start also when fewer layers than asked for are on the GPU' },
  'engine.flash_attention': { type: 'string', fallback: 'auto', choices: ['auto', 'on', 'off'], summary: 'flash attention; auto where model and backend have it' },
  'engine.kv_type': { type: 'string', fallback: 'f16', choices: ['f16', 'f32', 'bf16', 'q8_0', 'q5_1', 'q5_0', 'q4_1', 'q4_0'], summary: 'type of the values in the KV cache; smaller ones hold more context and need flash attention' },
  'engine.queue': { type: 'integer', summary: 'requests that may wait for the engine (default: four times engine.parallel)' },
  'engine.context_shift': { type: 'boolean', fallback: 'false', summary: 'answers go on in a full context, which forgets its older half' },
  'engine.embeddings': { type: 'boolean', fallback: 'false', summary: 'embeddings also from a model that was not made for them' },
  'models.hub': { type: 'string', fallback: 'https://huggingface.co', summary: 'repository of models that `models pull` asks, and the only host that is given HF_TOKEN' },
  passphrase_file: { type: 'string', summary: 'file of mode 0600 with the passphrase of the wallets that run by themselves' },
  'client.wallet': { type: 'string', summary: 'wallet that pays for requests (default: the setting `wallet`, or the only one)' },
  'client.seal': { type: 'string', fallback: 'require', choices: ['require', 'prefer', 'off'], summary: 'require sends only what one verified node can read; prefer says when it goes without; off seals nothing' },
  'client.deposit': { type: 'ton', summary: 'TON to deposit with a proxy when less than half of it is left (default: twice the network\'s least client stake)' },
  'client.max_deposit': { type: 'ton', fallback: '20', summary: 'most TON of one\'s own that may lie with all proxies together' },
  'client.max_deposit_per_proxy': { type: 'ton', summary: 'most TON of one\'s own that may lie with one proxy (default: as much as with all together)' },
  'client.hedge': { type: 'duration', summary: 'ask a second proxy when the first byte of an answer takes longer than this (default: never); what is answered twice is paid twice' },
  'client.continue': { type: 'boolean', fallback: 'true', summary: 'let another node go on with an answer of plain text that broke off' },
  'node.wallet': { type: 'string', summary: 'hot wallet of the node: pays fees, owns nothing (default: the setting `wallet`, or the only one)' },
  'node.owner': { type: 'string', summary: 'cold address that the node\'s earnings are paid to; never the hot wallet' },
  'node.max_owed': { type: 'ton', fallback: '1', summary: 'TON that a proxy may owe without having signed it, before the node stops working for it' },
  'node.auto_claim': { type: 'ton', summary: 'TON signed and not claimed from which the node claims by itself (default: it does not)' },
  'node.price': { type: 'integer', fallback: '1000', summary: 'price of the node in thousandths of the network\'s; `node reload` puts it in force' },
  'node.capacity': { type: 'integer', summary: 'requests at once that proxies are told (default: what the engine answers at the same time); `node reload` puts it in force' },
  'node.metrics': { type: 'string', summary: 'address on this machine where the node shows /metrics and /health, for example 127.0.0.1:9464 (default: nowhere)' },
  'node.alert_webhook': { type: 'string', summary: 'https URL that is told when the node is offline, its evidence or gas runs out, it leaves the root contract, or payouts are overdue' },
  'node.alert_secret': { type: 'string', summary: 'file of mode 0600 with the secret that alerts are signed with' },
  'node.alert_offline': { type: 'duration', fallback: '2m', summary: 'how long no proxy may be connected before an alert' },
  'node.alert_payout': { type: 'duration', fallback: '12h', summary: 'how long a proxy may owe without signing before an alert' },
  'node.max_fee_percent': { type: 'integer', fallback: '5', summary: 'most that a claim may cost, in percent of what it pays' },
  'proxy.wallet': { type: 'string', summary: 'hot wallet of the proxy: pays fees, owns nothing (default: the setting `wallet`, or the only one)' },
  'proxy.owner': { type: 'string', summary: 'cold address that owns the proxy contract and is paid its earnings; never the hot wallet' },
  'proxy.commit_interval': { type: 'duration', fallback: '60s', summary: 'how often the proxy commits its ledger on chain; payments are signed up to the last commitment' },
  'proxy.charge_from': { type: 'ton', fallback: '1', summary: 'TON used and not charged from which the proxy charges a client' },
  'proxy.payout_from': { type: 'ton', fallback: '10', summary: 'TON earned and not paid from which the proxy delivers a node\'s payout itself' },
  'proxy.canary_wallet': { type: 'string', summary: 'wallet of the proxy\'s owner whose deposit with this proxy pays for questions that check the nodes (default: none are asked)' },
  'proxy.min_bond': { type: 'ton', fallback: '0', summary: 'stake that an operator of nodes must have in its bond to get work' },
} as const satisfies Record<string, SettingSpec>;

export type SettingKey = keyof typeof SETTINGS;
export type SettingSource = 'flag' | 'environment' | 'file' | 'default' | 'unset';

export interface SettingValue {
  readonly key: SettingKey;
  /** Text form; null when unset. */
  readonly value: string | null;
  readonly source: SettingSource;
}

export interface Settings {
  /** Home directory of all state, absolute. */
  readonly home: string;
  /** Path of cocoon.toml, absolute; the file need not exist. */
  readonly file: string;
  get(key: SettingKey): SettingValue;
  text(key: SettingKey): string | undefined;
  integer(key: SettingKey): number | undefined;
  /** nanoTON of a setting of type `ton`. */
  ton(key: SettingKey): bigint | undefined;
  boolean(key: SettingKey): boolean;
  durationMs(key: SettingKey): number;
  all(): SettingValue[];
}

export interface SettingsInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homedir: string;
  /** Values given as flags, by key. */
  readonly flags: Partial<Record<SettingKey, string>>;
  readonly home?: string | undefined;
  readonly file?: string | undefined;
}

export const isSettingKey = (key: string): key is SettingKey => Object.hasOwn(SETTINGS, key);
export const settingKeys = (): SettingKey[] => Object.keys(SETTINGS).filter(isSettingKey);

/** The key, or NotFoundError with the closest names. */
export function requireSettingKey(key: string): SettingKey {
  if (isSettingKey(key)) return key;
  throw new NotFoundError('E_NOT_FOUND', `no setting is called "${key}"`, { hint: 'run `cocoon config list` to see every setting' });
}

export const variableOf = (key: SettingKey): string => `COCOON_${key.toUpperCase().replaceAll('.', '_')}`;

const DURATION = /^(\d{1,9})(ms|s|m|h)$/;
const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds of `500ms`, `30s`, `2m` or `1h`; throws ConfigError naming `what`. */
export function parseDurationMs(text: string, what: string): number {
  const match = DURATION.exec(text);
  const unit = match?.[2];
  if (match === null || (unit !== 'ms' && unit !== 's' && unit !== 'm' && unit !== 'h')) {
    throw new ConfigError('E_CONFIG', `cannot use ${what} "${text}": expected a number with ms, s, m or h, for example 30s`);
  }
  const ms = Number(match[1]) * UNIT_MS[unit];
  if (ms < 1 || ms > 7 * 24 * 3_600_000) throw new ConfigError('E_CONFIG', `cannot use ${what} "${text}": expected 1ms to 168h`);
  return ms;
}

/** Checks the text form of a setting; throws ConfigError. */
export function checkSetting(key: SettingKey, text: string, from: string): void {
  const { type, choices }: SettingSpec = SETTINGS[key];
  const refuse = (expected: string): never => {
    throw new ConfigError('E_CONFIG', `cannot use ${key} = "${text}" from ${from}: expected ${expected}`);
  };
  if (type === 'integer' && !/^\d{1,9}$/.test(text)) refuse('a whole number');
  if (type === 'boolean' && text !== 'true' && text !== 'false') refuse('true or false');
  if (type === 'duration') parseDurationMs(text, `${key} from ${from}`);
  if (type === 'ton' && !isTon(text)) refuse('an amount of TON, for example 1.5');
  if (choices !== undefined && !choices.includes(text)) refuse(choices.join(' or '));
  if (type === 'string' && (text === '' || text.length > 1_024)) refuse('1 to 1024 characters');
}

function isTon(text: string): boolean {
  try {
    return parseTon(text) >= 0n;
  } catch {
    return false;
  }
}

/** The XDG data directory of cocoon. */
export function defaultHome(env: SettingsInput['env'], homedir: string): string {
  const base = env['XDG_DATA_HOME'];
  return join(base !== undefined && base.startsWith('/') ? base : join(homedir, '.local', 'share'), 'cocoon');
}

/** Reads the file (if any) and resolves every setting. Throws ConfigError on the first value that cannot be used. */
export async function loadSettings(input: SettingsInput): Promise<Settings> {
  const home = resolve(input.cwd, input.home ?? input.env['COCOON_HOME'] ?? defaultHome(input.env, input.homedir));
  const chosen = input.file ?? input.env['COCOON_CONFIG'];
  const file = chosen === undefined ? join(home, 'cocoon.toml') : resolve(input.cwd, chosen);
  const fromFile = await readConfigFile(file, { mustExist: chosen !== undefined });

  for (const key of fromFile.keys()) {
    if (!isSettingKey(key)) {
      throw new ConfigError('E_CONFIG', `unknown key "${key}" in "${file}"`, { hint: 'run `cocoon config list` to see every setting' });
    }
  }

  const values = new Map<SettingKey, SettingValue>();
  for (const key of settingKeys()) {
    const spec: SettingSpec = SETTINGS[key];
    const flag = input.flags[key];
    const variable = input.env[variableOf(key)];
    const stored = fromFile.get(key);
    const found: SettingValue =
      flag !== undefined ? { key, value: flag, source: 'flag' }
      : variable !== undefined && variable !== '' ? { key, value: variable, source: 'environment' }
      : stored !== undefined ? { key, value: stored, source: 'file' }
      : spec.fallback !== undefined ? { key, value: spec.fallback, source: 'default' }
      : { key, value: null, source: 'unset' };
    if (found.value !== null) {
      checkSetting(key, found.value, found.source === 'environment' ? variableOf(key) : found.source === 'file' ? file : 'the command line');
    }
    values.set(key, found);
  }

  const get = (key: SettingKey): SettingValue => {
    const value = values.get(key);
    if (value === undefined) throw new ConfigError('E_CONFIG', `no setting is called "${key}"`);
    return value;
  };
  const text = (key: SettingKey): string | undefined => get(key).value ?? undefined;
  return {
    home,
    file,
    get,
    text,
    integer: (key) => { const value = text(key); return value === undefined ? undefined : Number(value); },
    ton: (key) => { const value = text(key); return value === undefined ? undefined : parseTon(value); },
    boolean: (key) => text(key) === 'true',
    durationMs: (key) => parseDurationMs(text(key) ?? '', key),
    all: () => [...values.values()],
  };
}
