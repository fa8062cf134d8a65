// The alerts of a running node: what its settings say, judged at each sample of its state, told to the log and to the operator's
// webhook. The settings may change while it runs.
import { resolve } from 'node:path';
import { ConfigError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import { createAlerts } from '../node/daemon/alerts.ts';
import { createWebhook, webhookUrl } from '../node/daemon/webhook.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Settings } from '../core/settings.ts';
import type { Monitor } from '../node/daemon/monitor.ts';
import type { Webhook } from '../node/daemon/webhook.ts';
import type { Invocation } from './command.ts';

const MAX_SECRET_BYTES = 4_096;

export interface Alerting {
  settings(): Settings;
  /** Throws ConfigError and changes nothing where the settings cannot be used. */
  configure(settings: Settings): Promise<void>;
  tellStopped(error: CocoonError): void;
  close(): Promise<void>;
}

/** Begins with `first`. Throws ConfigError where those settings cannot be used. */
export async function openAlerting(first: Settings, invocation: Invocation, monitor: Monitor, log: Log): Promise<Alerting> {
  const { clock } = invocation.context;
  let settings = first;
  let webhook: Webhook | null = null;
  let judge = createAlerts({ offlineMs: 0, payoutMs: 0 });
  const configure = async (next: Settings): Promise<void> => {
    const made = await openWebhook(next, invocation, log);
    await webhook?.close();
    webhook = made;
    const rules = { offlineMs: next.durationMs('node.alert_offline'), payoutMs: next.durationMs('node.alert_payout') };
    if (next === first || (['node.alert_offline', 'node.alert_payout'] as const).some((key) => next.text(key) !== settings.text(key))) judge = createAlerts(rules);
    settings = next;
  };
  await configure(first);
  monitor.onSample((state) => {
    for (const alert of judge(state)) {
      log[alert.state === 'raised' ? 'warn' : 'info'](`alert ${alert.state}: ${alert.message}`, { kind: alert.kind });
      webhook?.tell(alert, state);
    }
  });
  return {
    settings: () => settings, configure,
    tellStopped: (error) => webhook?.tell({ kind: 'stopped', state: 'raised', sinceMs: clock.now(), message: `the node has ended: ${error.message}` }, monitor.state()),
    close: async () => webhook?.close(),
  };
}

async function openWebhook(settings: Settings, { context: { clock } }: Invocation, log: Log): Promise<Webhook | null> {
  const [url, file] = [settings.text('node.alert_webhook'), settings.text('node.alert_secret')];
  if (url === undefined) return null;
  const secret = file === undefined ? null : Buffer.from(await readBounded(resolve(settings.home, file), MAX_SECRET_BYTES, { private: true })).toString('utf8').trim();
  if (secret === '') throw new ConfigError('E_CONFIG', 'the secret of node.alert_secret is empty');
  return createWebhook({ url: webhookUrl(url), secret, clock, log });
}
