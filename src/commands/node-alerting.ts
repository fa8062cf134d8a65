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
import type { AlertRules } from '../node/daemon/alerts.ts';
import type { Webhook, WebhookOptions } from '../node/daemon/webhook.ts';
import type { Invocation } from './command.ts';

const MAX_SECRET_BYTES = 4_096;

type Receiver = Pick<WebhookOptions, 'url' | 'secret'>;

export interface Alerting {
  settings(): Settings;
  /** Throws ConfigError and changes nothing where the settings cannot be used. */
  configure(settings: Settings): Promise<void>;
  tellStopped(error: CocoonError): void;
  close(): Promise<void>;
}

/** Begins with `first`. Throws ConfigError where those settings cannot be used. */
export async function openAlerting(first: Settings, invocation: Pick<Invocation, 'context'>, monitor: Pick<Monitor, 'onSample' | 'state'>, log: Log): Promise<Alerting> {
  const { clock } = invocation.context;
  let settings = first;
  let receiver: Receiver | null = null;
  let webhook: Webhook | null = null;
  const retired: Promise<void>[] = [];
  const judge = createAlerts(() => rulesOf(settings));
  const configure = async (next: Settings): Promise<void> => {
    rulesOf(next);
    const now = await receiverOf(next);
    settings = next;
    // What waits to be told goes on waiting where nothing has changed for it.
    if (now?.url.href === receiver?.url.href && now?.secret === receiver?.secret) return;
    if (webhook !== null) retired.push(webhook.close());
    receiver = now;
    webhook = now === null ? null : createWebhook({ ...now, clock, log });
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
    tellStopped: (error) => webhook?.tell({ kind: 'stopped', about: '', state: 'raised', sinceMs: clock.now(), message: `the node has ended: ${error.message}` }, monitor.state()),
    close: async () => {
      await Promise.all([...retired, webhook?.close()]);
    },
  };
}

const rulesOf = (settings: Settings): AlertRules => ({ offlineMs: settings.durationMs('node.alert_offline'), payoutMs: settings.durationMs('node.alert_payout') });

async function receiverOf(settings: Settings): Promise<Receiver | null> {
  const [url, file] = [settings.text('node.alert_webhook'), settings.text('node.alert_secret')];
  if (url === undefined) return null;
  const secret = file === undefined ? null : Buffer.from(await readBounded(resolve(settings.home, file), MAX_SECRET_BYTES, { private: true })).toString('utf8').trim();
  if (secret === '') throw new ConfigError('E_CONFIG', 'the secret of node.alert_secret is empty');
  return { url: webhookUrl(url), secret };
}
