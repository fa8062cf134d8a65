// Whether the names of other machines can be looked up, asked before anything is sent to them. The system's own look-up cannot be
// given up: with name servers that do not answer it holds up this program for a minute, and its files too. So it is made in a
// process of its own, which can be ended.
import { spawn } from 'node:child_process';
import { isIP } from 'node:net';
import { createInterface } from 'node:readline';
import { deferred } from '../../core/deferred.ts';
import { NetworkError } from '../../core/errors.ts';
import type { Deferred } from '../../core/deferred.ts';

export interface Names {
  /** Resolves for a host that has an address. Rejects with NetworkError where there is none, or no answer in time. Asked once a host. */
  require(host: string): Promise<void>;
}

export interface NamesOptions {
  /** Node.js itself. */
  readonly program: string;
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

const TIMEOUT_MS = 5_000;
/** Prints `["host", null]` or the code of the error, a line each, in the order in which they are known. */
const SCRIPT = `process.env.UV_THREADPOOL_SIZE = '64';
for (const host of process.argv.slice(1)) require('node:dns').lookup(host, (error) => process.stdout.write(JSON.stringify([host, error === null ? null : error.code]) + '\\n'));`;

/** Without the brackets of an IPv6 address in a URL. */
const bare = (host: string): string => host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
export const isName = (host: string): boolean => isIP(bare(host)) === 0 && bare(host) !== 'localhost';

export function createNames(options: NamesOptions): Names {
  const known = new Map<string, Deferred<void>>();
  let waiting: string[] = [];
  const ask = (): void => {
    const hosts = waiting;
    waiting = [];
    lookUp(hosts, options, (host, error) => {
      const answer = known.get(host);
      if (error === null) answer?.resolve();
      else answer?.reject(error);
    });
  };
  return {
    async require(host) {
      if (!isName(host)) return;
      const name = bare(host);
      let answer = known.get(name);
      if (answer === undefined) {
        answer = deferred<void>();
        answer.promise.catch(() => undefined); // whoever asks hears it
        known.set(name, answer);
        // All that are asked for at the same time go together.
        if (waiting.push(name) === 1) setImmediate(ask);
      }
      return answer.promise;
    },
  };
}

/** Tells each host once. Where the process cannot be started, nothing is known against any of them. */
function lookUp(hosts: readonly string[], { program, timeoutMs = TIMEOUT_MS, signal }: NamesOptions, tell: (host: string, error: NetworkError | null) => void): void {
  const left = new Set(hosts);
  const child = spawn(program, ['-e', SCRIPT, '--', ...hosts], { stdio: ['ignore', 'pipe', 'ignore'], killSignal: 'SIGKILL', signal });
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [host, code] = JSON.parse(line) as [string, string | null];
    if (left.delete(host)) tell(host, code === null ? null : new NetworkError('E_UNREACHABLE', `${host} cannot be looked up: ${code}`));
  });
  child.once('error', () => {
    clearTimeout(timer);
    const ended = signal.aborted ? new NetworkError('E_CLOSED', 'nobody asks any more') : null;
    for (const host of left) tell(host, ended);
    left.clear();
  });
  child.once('close', () => {
    clearTimeout(timer);
    for (const host of left) tell(host, new NetworkError('E_UNREACHABLE', `${host} cannot be looked up: no answer of a name server within ${timeoutMs / 1000} s`));
  });
}
