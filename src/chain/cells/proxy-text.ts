// Text of a registered proxy and of a key manager: "ip:port" or "worker_ip:port client_ip:port" (WIRE.md section 14).
// IPv4 only; each address may stand in brackets by itself. Refuses everything else with a reason.
import { isIPv4 } from 'node:net';

export interface Endpoint {
  /** Dotted IPv4. */
  readonly host: string;
  readonly port: number;
}

export interface ProxyEndpoints {
  readonly workers: Endpoint;
  readonly clients: Endpoint;
}

const MAX_PORT = 65_535;

/** The two addresses of a registered proxy, or the reason why the text is none. */
export function parseProxyText(text: string): ProxyEndpoints | string {
  const parts = text.split(' ');
  if (parts.length > 2) return `${JSON.stringify(text)} has ${parts.length} parts, expected one or two`;
  const [workers, clients] = parts.map(parseEndpoint);
  if (workers === undefined || typeof workers === 'string') return workers ?? 'text is empty';
  if (typeof clients === 'string') return clients;
  return { workers, clients: clients ?? workers };
}

/** "ip:port", optionally in one pair of brackets, or the reason why the text is none. */
export function parseEndpoint(text: string): Endpoint | string {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const [, host, digits] = /^([0-9.]{7,15}):(\d{1,5})$/.exec(bare) ?? [];
  const port = Number(digits);
  if (host === undefined || !isIPv4(host) || port < 1 || port > MAX_PORT) {
    return `${JSON.stringify(text)} is not an IPv4 address and port, expected such as 203.0.113.5:12000`;
  }
  return { host, port };
}

/** Text to register; one address where both are the same. */
export function formatProxyText({ workers, clients }: ProxyEndpoints): string {
  const [first, second] = [formatEndpoint(workers), formatEndpoint(clients)];
  return first === second ? first : `${first} ${second}`;
}

export const formatEndpoint = ({ host, port }: Endpoint): string => `${host}:${port}`;
