// `cocoon proxy logs`: the log of the proxy on this machine, also of one that has ended. It holds no prompts and no answers.
import { showLogs } from './node-logs.ts';
import type { Invocation } from './command.ts';

export { declare } from './node-logs.ts';

export const run = (invocation: Invocation): Promise<void> => showLogs(invocation, 'proxy');
