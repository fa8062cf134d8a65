// Option values on the command line: numbers within bounds and addresses; a wrong one is a usage error that says what was expected.
import { InvalidArgumentError } from 'commander';
import { ConfigError, UsageError } from '../core/errors.ts';
import { formatTon, parseTon } from '../core/units.ts';
import type { SettingKey, Settings } from '../core/settings.ts';

/** Parser of a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,15}$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
    return value;
  };
}

/** Parser of a decimal number from `min` to `max`. */
export function decimalNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,9}(\.\d{1,9})?$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`expected a number from ${min} to ${max}`);
    return value;
  };
}

/** Parser of an option that may be repeated: one more of what `parse` makes of it. */
export const repeated = <T>(parse: (text: string) => T) => (text: string, previous: readonly T[] | undefined): T[] => [...(previous ?? []), parse(text)];

/** Parser of one of a few words. */
export const oneOf = <T extends string>(words: readonly T[]) => (text: string): T => {
  const found = words.find((word) => word === text);
  if (found === undefined) throw new InvalidArgumentError(`expected ${words.join(', ')}`);
  return found;
};

/** Parser of an amount of TON, in nanoTON; more than 0 unless `allowZero`. */
export const tonAmount = (allowZero = false) => (text: string): bigint => {
  try {
    const nano = parseTon(text);
    if (nano > 0n || allowZero) return nano;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : 'expected an amount of TON');
  }
  throw new InvalidArgumentError(`expected more than ${formatTon(0n)} TON`);
};

/** Parser of a whole number of nanoTON: prices per token are far below one TON. */
export function nanoAmount(text: string): bigint {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError('expected a whole number of nanoTON');
  return BigInt(text);
}

/** Parser of 32 bytes: 64 hexadecimal digits, or base64. */
export function bytes32(text: string): Uint8Array {
  const bytes = /^[0-9a-fA-F]{64}$/.test(text) ? Buffer.from(text, 'hex') : /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (bytes?.length !== 32) throw new InvalidArgumentError('expected 32 bytes as 64 hexadecimal digits or base64');
  return new Uint8Array(bytes);
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
const MAX_SECONDS = 0xffff_ffff;

/** Whole seconds of `90s`, `30m`, `12h` or `14d`. Throws UsageError. */
export function parseSeconds(text: string): number {
  const [, digits, unit] = /^(\d{1,10})([smhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * (unit === 's' || unit === 'm' || unit === 'h' || unit === 'd' ? SECONDS[unit] : NaN);
  if (!(seconds >= 1 && seconds <= MAX_SECONDS)) throw new UsageError('E_USAGE', `cannot use the time ${JSON.stringify(text.slice(0, 40))}: expected a number with s, m, h or d, for example 14d`);
  return seconds;
}

/** parseSeconds for options. */
export function secondsOption(text: string): number {
  try {
    return parseSeconds(text);
  } catch {
    throw new InvalidArgumentError('expected a number with s, m, h or d, for example 24h');
  }
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port` or `[ipv6]:port`; port 0 only where `allowAny`. Null for anything else. */
function parseHostPort(text: string, allowAny: boolean): HostPort | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port > 65_535 || (port === 0 && !allowAny) ? null : { host, port };
}

/** Parser of an address to connect to. */
export function hostPort(text: string): HostPort {
  const parsed = parseHostPort(text, false);
  if (parsed === null) throw new InvalidArgumentError('expected HOST:PORT');
  return parsed;
}

/** Parser of an address to listen on: port 0 takes a free one. */
export function listenAddress(text: string): HostPort {
  const parsed = parseHostPort(text, true);
  if (parsed === null) throw new InvalidArgumentError('expected HOST:PORT');
  return parsed;
}

/** An address from a stored description. Throws ConfigError. */
export function storedAddress(text: string): HostPort {
  const parsed = parseHostPort(text, false);
  if (parsed === null) throw new ConfigError('E_CONFIG', `cannot use the address "${text}" of the network: expected HOST:PORT`);
  return parsed;
}

/** A whole number among the settings, from `min` to `max`; undefined when it is not set. Throws ConfigError. */
export function boundedSetting(settings: Settings, key: SettingKey, min: number, max: number): number | undefined {
  const value = settings.integer(key);
  if (value !== undefined && (value < min || value > max)) {
    throw new ConfigError('E_CONFIG', `cannot use ${key} = ${value}: expected a whole number from ${min} to ${max}`, { hint: `run \`cocoon config set ${key} NUMBER\`` });
  }
  return value;
}
