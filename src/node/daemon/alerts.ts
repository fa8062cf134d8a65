// What the operator is woken for: conditions on the state document that hold for long enough, each told once when it begins and
// once when it is over, each proxy by itself. Knows nothing of how it is told (webhook.ts).
import { formatTon } from '../../core/units.ts';
import { CERTIFICATE_LOW_MS } from './monitor.ts';
import type { NodeState } from './state.ts';

export type AlertKind = 'offline' | 'attestation' | 'listing' | 'gas' | 'payout' | 'stopped';

export interface Alert {
  readonly kind: AlertKind;
  /** Of what, where there may be several: `image`, `model`, or a proxy's address. Else empty. */
  readonly about: string;
  readonly state: 'raised' | 'resolved';
  /** Since when it is so, or over. */
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

/** What is wrong: of what, and the sentence; null where it cannot be told now, so that it stays as it was. */
type Trouble = readonly (readonly [about: string, message: string | null])[];

interface Condition {
  readonly kind: AlertKind;
  readonly forMs: number;
  holds(state: NodeState): Trouble;
}

const one = (is: boolean, message: () => string, about = ''): Trouble => (is ? [[about, message()]] : []);

const conditionsOf = ({ offlineMs, payoutMs }: AlertRules): readonly Condition[] => [
  { kind: 'offline', forMs: offlineMs, holds: ({ proxies }) => one(!proxies.some(({ link }) => link === 'ready'), () => 'no proxy is connected') },
  {
    kind: 'attestation', forMs: 0,
    holds: ({ attestation, proxies, nowMs }) => {
      const leftMs = attestation.certificateEndsMs - nowMs;
      return [
        ...one(leftMs < CERTIFICATE_LOW_MS, () => `the evidence of this node could not be renewed; it is good for ${Math.max(0, Math.round(leftMs / 60_000))} more minutes`),
        ...proxies.flatMap(({ address, link }) => one(link === 'refused', () => `the evidence of proxy ${address} was refused`, address)),
      ];
    },
  },
  {
    kind: 'listing', forMs: 0,
    holds: ({ attestation }) => (['image', 'model'] as const).flatMap((what): Trouble => (attestation[what] === 'unknown' ? [[what, null]] : one(attestation[what] === 'not listed', () => `the root contract does not list this ${what} any more`, what))),
  },
  {
    kind: 'gas', forMs: 0,
    holds: ({ money }) => {
      if (money === null || money.wallet.balanceNano === null) return [['', null]];
      const [balance, needed] = [BigInt(money.wallet.balanceNano), BigInt(money.wallet.neededNano)];
      return one(balance < needed, () => `the hot wallet holds ${formatTon(balance)} TON, at least ${formatTon(needed)} are needed for fees`);
    },
  },
  {
    kind: 'payout', forMs: 0,
    holds: ({ money, nowMs }) => (money?.proxies ?? []).flatMap(({ proxy, blocked, owedSinceMs }) => one(
      blocked || (owedSinceMs !== null && nowMs - owedSinceMs > payoutMs),
      () => `proxy ${proxy} has signed nothing for ${owedSinceMs === null ? 'too long' : `${Math.round((nowMs - owedSinceMs) / 60_000)} minutes`} of what it owes`, proxy,
    )),
  },
];

interface Known {
  readonly sinceMs: number;
  raised: boolean;
  message: string;
}

/** Judges states in the order of their times, by the rules of that time; the alerts that each of them brings. */
export function createAlerts(rules: () => AlertRules): (state: NodeState) => Alert[] {
  const all = new Map<AlertKind, Map<string, Known>>();
  return (state) => conditionsOf(rules()).flatMap(({ kind, forMs, holds }): Alert[] => {
    const before = all.get(kind) ?? new Map<string, Known>();
    const now = new Map(holds(state).flatMap(([about, message]): [string, Known][] => {
      const known = before.get(about);
      if (message === null) return known === undefined ? [] : [[about, known]];
      return [[about, { sinceMs: known?.sinceMs ?? state.nowMs, raised: known?.raised ?? false, message }]];
    }));
    all.set(kind, now);
    const over = [...before].flatMap(([about, { raised, message }]): Alert[] => (raised && !now.has(about) ? [{ kind, about, state: 'resolved', sinceMs: state.nowMs, message: `over: ${message}` }] : []));
    const begun = [...now].flatMap(([about, trouble]): Alert[] => {
      if (trouble.raised || state.nowMs - trouble.sinceMs < forMs) return [];
      trouble.raised = true;
      return [{ kind, about, state: 'raised', sinceMs: trouble.sinceMs, message: trouble.message }];
    });
    return [...over, ...begun];
  });
}
