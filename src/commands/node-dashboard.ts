// `cocoon node dashboard`: serves the operator's page on this machine until Ctrl-C. For reading only, unless --control makes a token.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { abortError } from '../core/deadline.ts';
import { openLog } from '../core/pino-log.ts';
import { NodeState } from '../node/daemon/state.ts';
import { serveDashboard } from '../node/dashboard/server.ts';
import { askAdmin } from './admin.ts';
import { declareDaemon } from './daemon.ts';
import { tellDrain, tellResume } from './draining.ts';
import { readNodeState } from './node-status.ts';
import { listenAddress } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';
import type { HostPort } from './values.ts';

const DEFAULT_LISTEN: HostPort = { host: '127.0.0.1', port: 10_080 };

const samples = z.object({ everyMs: z.number(), samples: z.array(z.array(z.number().nullable())) });
const HistoryAnswer = z.object({ fields: z.array(z.string()), fine: samples, coarse: samples });

export function declare(command: Command): void {
  command
    .option('--listen <host:port>', `where to listen on this machine (default: ${DEFAULT_LISTEN.host}:${DEFAULT_LISTEN.port})`, listenAddress)
    .option('--control', 'let whoever has the printed address drain, resume and stop the node');
  declareDaemon(command);
  command.addHelpText('after', '\nFrom another machine: ssh -L 10080:127.0.0.1:10080 HOST, then open http://127.0.0.1:10080');
}

export async function run(invocation: Invocation): Promise<void> {
  const { options, out, context: { signal, stderr } } = invocation;
  const listen = (options['listen'] as HostPort | undefined) ?? DEFAULT_LISTEN;
  const token = options['control'] === true ? randomBytes(24).toString('base64url') : null;
  const give = {
    drain: () => tellDrain(invocation, true),
    resume: () => tellResume(invocation),
    stop: () => askAdmin(invocation, 'node', '/stop', NodeState, {}),
  };
  const server = await serveDashboard({
    ...listen, log: await openLog(stderr, 'warn'),
    state: () => readNodeState(invocation),
    history: () => askAdmin(invocation, 'node', '/history', HistoryAnswer),
    orders: token === null ? null : { token, give: (order) => give[order]() },
  });
  try {
    const url = `${server.url}/${token === null ? '' : `#token=${token}`}`;
    await out.event({ event: 'ready', url, control: token !== null });
    await out.line(url);
    await out.note(token === null ? 'for reading only; --control adds buttons. Ctrl-C ends it' : 'whoever has this address may drain and stop the node. Ctrl-C ends it');
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    throw abortError(signal);
  } finally {
    await server.close();
  }
}
