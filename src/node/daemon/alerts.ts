// What the operator is woken for: conditions on the state document that hold for long enough, each told once when it begins and
// once when it is over. Knows nothing of how it is told (webhook.ts).
import { formatTon } from '../../core/units.ts';
import { CERTIFICATE_LOW_MS } from './monitor.ts';
import type { NodeState } from './state.ts';

export type AlertKind = 'offline' | 'attestation' | 'listing' | 'gas' | 'payout' | 'stopped';

export interface Alert {
  readonly kind: AlertKind;
  readonly state: 'raised' | 'resolved';
  readonly sinceMs: number;
  /** One sentence for a person. */
  readonly message: string;
}

export interface AlertRules {
  /** How long no proxy may be connected. */
  readonly offlineMs: number;
  /** How long a proxy may owe without signing anything. */
  readonly payoutMs: number;
}

interface Condition {
  readonly kind: AlertKind;
  readonly forMs: number;
  /** The sentence while it holds, else null. */
  holds(state: NodeState): string | null;
}

const conditionsOf = ({ offlineMs, payoutMs }: AlertRules): readonly Condition[] => [
  { kind: 'offline', forMs: offlineMs, holds: ({ proxies }) => (proxies.some(({ link }) => link === 'ready') ? null : 'no proxy is connected') },
  {
    kind: 'attestation', forMs: 0,
    holds: ({ attestation, proxies, nowMs }) => {
      const leftMs = attestation.certificateEndsMs - nowMs;
      if (leftMs < CERTIFICATE_LOW_MS) return `the evidence of this node could not be renewed; it is good for ${Math.max(0, Math.round(leftMs / 60_000))} more minutes`;
      const refused = proxies.find(({ link }) => link === 'refused');
      return refused === undefined ? null : `the evidence of proxy ${refused.address} was refused`;
    },
  },
  {
    kind: 'listing', forMs: 0,
    holds: ({ attestation: { image, model } }) => (image === 'not listed' ? 'the root contract does not list this image any more' : model === 'not listed' ? 'the root contract does not list this model any more' : null),
  },
  {
    kind: 'gas', forMs: 0,
    holds: ({ money }) => (money === null || money.wallet.balanceNano === null || BigInt(money.wallet.balanceNano) >= BigInt(money.wallet.neededNano)
      ? null : `the hot wallet holds ${formatTon(BigInt(money.wallet.balanceNano))} TON, at least ${formatTon(BigInt(money.wallet.neededNano))} are needed for fees`),
  },
  {
    kind: 'payout', forMs: 0,
    holds: ({ money, nowMs }) => {
      const late = money?.proxies.find(({ blocked, owedSinceMs }) => blocked || (owedSinceMs !== null && nowMs - owedSinceMs > payoutMs));
      return late === undefined ? null : `proxy ${late.proxy} has signed nothing for ${late.owedSinceMs === null ? 'too long' : `${Math.round((nowMs - late.owedSinceMs) / 60_000)} minutes`} of what it owes`;
    },
  },
];

/** Judges states in the order of their times; the alerts that each of them brings. */
export function createAlerts(rules: AlertRules): (state: NodeState) => Alert[] {
  const since = new Map<AlertKind, { readonly sinceMs: number; raised: boolean; message: string }>();
  const conditions = conditionsOf(rules);
  return (state) => conditions.flatMap(({ kind, forMs, holds }): Alert[] => {
    const message = holds(state);
    const known = since.get(kind);
    if (message === null) {
      since.delete(kind);
      return known?.raised === true ? [{ kind, state: 'resolved', sinceMs: state.nowMs, message: `over: ${known.message}` }] : [];
    }
    const now = known ?? { sinceMs: state.nowMs, raised: false, message };
    now.message = message;
    since.set(kind, now);
    if (now.raised || state.nowMs - now.sinceMs < forMs) return [];
    now.raised = true;
    return [{ kind, state: 'raised', sinceMs: now.sinceMs, message }];
  });
}
