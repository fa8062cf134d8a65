// Option values on the command line: numbers within bounds and addresses; a wrong one is a usage error that says what was expected.
import { InvalidArgumentError } from 'commander';

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

/** One more value of an option that may be repeated. */
export const repeated = (text: string, previous: readonly string[] | undefined): string[] => [...(previous ?? []), text];

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port` or `[ipv6]:port`; port 0 only where `allowAny`. Throws InvalidArgumentError. */
export function hostPort(text: string, allowAny = false): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535 || (port === 0 && !allowAny)) throw new InvalidArgumentError('expected HOST:PORT');
  return { host, port };
}
