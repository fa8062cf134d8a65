// What a running proxy tells its own machine: `cocoon proxy status` reads it.
import { SHOWN_CHOICES } from './proxy-status.ts';
import type { AdminAnswers } from './admin.ts';
import type { PaidStatus } from '../proxy/paid/paid-status.ts';
import type { Proxy } from '../proxy/proxy.ts';

/** `money` null: nobody is paid on this network. */
export const proxyAnswers = (proxy: Pick<Proxy, 'status' | 'explain'>, money: (() => PaidStatus) | null): AdminAnswers => ({
  '/status': () => ({
    nodes: proxy.status().nodes,
    choices: proxy.explain(SHOWN_CHOICES).map(({ choice, atMs, model, reason, refusal, text }) => ({ choice, atMs, model, reason, refusal, text })),
    money: money === null ? null : money(),
  }),
});
