// Tells alerts to the operator's webhook: one JSON document a POST, signed with a shared secret where there is one, tried again a
// few times with growing pauses, in order and never without bound. Follows no redirects; refuses plain HTTP except to this machine.
import { createHmac, randomUUID } from 'node:crypto';
import { request } from 'undici';
import { ConfigError } from '../../core/errors.ts';
import { backoffMs, sleep as realSleep } from '../../core/retry.ts';
import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import type { Sleep } from '../../core/retry.ts';
import type { Alert } from './alerts.ts';
import type { NodeState } from './state.ts';

export interface WebhookOptions {
  readonly url: URL;
  /** Shared with the receiver; null: documents are not signed. */
  readonly secret: string | null;
  readonly clock: Clock;
  readonly log: Log;
  readonly sleep?: Sleep;
}

export interface Webhook {
  /** Returns at once. Dropped, and said in the log, when too many wait. */
  tell(alert: Alert, node: Pick<NodeState, 'version' | 'network' | 'model' | 'state'>): void;
  /** Waits for what is under way, at most a few seconds, and gives up the rest. */
  close(): Promise<void>;
}

const ATTEMPTS = 6;
const PAUSE = { baseMs: 1_000, maxMs: 60_000 } as const;
const TIMEOUT_MS = 10_000;
const MAX_WAITING = 100;
const CLOSE_MS = 3_000;
export const SIGNATURE_HEADER = 'x-cocoon-signature';

/** The URL of the setting. Throws ConfigError. */
export function webhookUrl(text: string): URL {
  const refuse = (expected: string): ConfigError => new ConfigError('E_CONFIG', `cannot use node.alert_webhook: expected ${expected}`, { hint: 'run `cocoon config set node.alert_webhook https://HOST/PATH`' });
  if (!URL.canParse(text)) throw refuse('a URL');
  const url = new URL(text);
  const isHere = ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isHere)) throw refuse('an https URL, or http on this machine');
  if (url.username !== '' || url.password !== '') throw refuse('a URL without a user name');
  return url;
}

/** `t=SECONDS,v1=HEX`: HMAC-SHA256 with the secret over `SECONDS.BODY`. */
export const signature = (secret: string, seconds: number, body: string): string =>
  `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`;

export function createWebhook({ url, secret, clock, log, sleep = realSleep }: WebhookOptions): Webhook {
  const ending = new AbortController();
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();

  const post = async (body: string): Promise<string | null> => {
    const signed = secret === null ? {} : { [SIGNATURE_HEADER]: signature(secret, Math.floor(clock.now() / 1000), body) };
    try {
      const answer = await request(url, {
        method: 'POST', body, headers: { 'content-type': 'application/json', 'user-agent': 'cocoon', ...signed },
        signal: AbortSignal.any([ending.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await answer.body.dump({ limit: 64 * 1024 }).catch(() => undefined);
      return answer.statusCode >= 200 && answer.statusCode < 300 ? null : `it answered HTTP status ${answer.statusCode}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };
  const deliver = async (body: string, kind: string): Promise<void> => {
    let problem: string | null = null;
    for (let attempt = 0; attempt < ATTEMPTS && !ending.signal.aborted; attempt += 1) {
      problem = await post(body);
      if (problem === null) return;
      if (attempt + 1 < ATTEMPTS) await sleep(backoffMs(attempt, PAUSE), ending.signal).catch(() => undefined);
    }
    // The URL may hold the receiver's token, so only its host is told.
    log.warn('an alert could not be told', { kind, host: url.host, reason: problem ?? 'the node was ending' });
  };

  return {
    tell(alert, { version, network, model, state }) {
      if (waiting >= MAX_WAITING) {
        log.warn('an alert could not be told', { kind: alert.kind, host: url.host, reason: `${waiting} others wait` });
        return;
      }
      waiting += 1;
      const body = JSON.stringify({ schema: 'cocoon.alert/1', id: randomUUID(), atMs: clock.now(), ...alert, node: { version, network, model, state } });
      last = last.then(() => deliver(body, alert.kind)).finally(() => { waiting -= 1; });
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([last, new Promise<void>((resolve) => { timer = setTimeout(resolve, CLOSE_MS); })]);
      clearTimeout(timer);
      ending.abort();
      await last;
    },
  };
}
