// Option values on the command line: numbers within bounds and addresses; a wrong one is a usage error that says what was expected.
import { InvalidArgumentError } from 'commander';
import { ConfigError } from '../core/errors.ts';
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
