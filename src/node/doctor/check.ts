// What a check is and says: PASS, FAIL, SKIP (could not be made: never a pass) or INFO (nothing is asked of it), with the value
// seen, the value wanted, the cause and what mends it. Checks are functions over ports; none changes anything.
import type { ChainView } from './chain-view.ts';
import type { EngineProbe } from './engine-probe.ts';
import type { MachineFacts, MachineRole } from './facts.ts';
import type { Machine } from './machine.ts';
import type { NetworkProbe } from './network-probe.ts';

export type Status = 'PASS' | 'FAIL' | 'SKIP' | 'INFO';
export const GROUPS = ['hardware', 'kernel and QEMU', 'GPU', 'engine', 'network', 'chain'] as const;
export type Group = (typeof GROUPS)[number];

/** A change that is safe and can be taken back, for `--fix`. */
export type SafeFix =
  | { readonly kind: 'file'; readonly path: string; readonly content: string; readonly mode: number }
  | { readonly kind: 'module'; readonly name: string };

export interface Outcome {
  readonly status: Status;
  /** The value seen. */
  readonly seen: string;
  readonly wanted?: string;
  readonly cause?: string;
  /** Commands and settings that mend it, in order. */
  readonly fix?: readonly string[];
  readonly safeFix?: SafeFix;
}

export interface Finding extends Outcome {
  readonly id: string;
  readonly group: Group;
  readonly title: string;
  /** Only a network that asks for hardware attestation needs it. */
  readonly attestationOnly: boolean;
  /** Serving needs it: a SKIP of it leaves the verdict incomplete. */
  readonly required: boolean;
}

/** Everything that checks may ask. */
export interface Examined {
  readonly machine: Machine;
  readonly facts: MachineFacts;
  readonly role: MachineRole;
  readonly network: NetworkProbe;
  readonly chain: ChainView;
  readonly engine: EngineProbe;
  /** Folder of all state. */
  readonly home: string;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

export interface Check {
  readonly id: string;
  readonly title: string;
  /** Default: all. */
  readonly roles?: readonly MachineRole[];
  /** Default false. */
  readonly attestationOnly?: boolean;
  /** Default true. */
  readonly required?: boolean;
  /** One outcome, several under numbered ids, or null where there is nothing to say. */
  run(examined: Examined): Promise<Outcome | readonly NamedOutcome[] | null>;
}

/** One of several outcomes of a check, as of each GPU. */
export interface NamedOutcome extends Outcome {
  /** Added to the check's title: which one. */
  readonly name: string;
}

export const pass = (seen: string): Outcome => ({ status: 'PASS', seen });
export const info = (seen: string): Outcome => ({ status: 'INFO', seen });
export const skip = (seen: string, fix?: readonly string[]): Outcome => ({ status: 'SKIP', seen, ...(fix !== undefined && { fix }) });
export const fail = (seen: string, rest: Omit<Outcome, 'status' | 'seen'>): Outcome => ({ status: 'FAIL', seen, ...rest });

/** `1.5 GiB`, `81559 MiB` … with at most one decimal. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : Math.round(value * 10) / 10} ${units[power] ?? 'B'}`;
}
