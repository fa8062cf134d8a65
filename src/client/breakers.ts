// Circuit breakers: what has failed several times in a row is left alone for a while, then tried with one request; a success closes
// the circuit, a failure opens it for twice as long. One circuit a proxy, and one for each way its nodes fail a model. Bounded in
// number and in the time they stay open; what a request that was given up says counts for nothing.

export interface CircuitRules {
  /** Failures in a row that open it. */
  readonly failures: number;
  readonly openMs: number;
  readonly maxOpenMs: number;
}

export interface CircuitState {
  readonly name: string;
  readonly state: 'open' | 'half-open';
  /** Until one request may try, milliseconds; 0 when one may now. */
  readonly waitMs: number;
}

/** Leave to make one attempt. One of `succeeded`, `failed` and `left` ends it; further calls do nothing. */
export interface Pass {
  /** The answer has begun: others may try too, and one failure more opens the circuit again. */
  begun(): void;
  succeeded(): void;
  failed(): void;
  /** It ended without saying anything about this circuit. */
  left(): void;
}

export interface Breakers {
  /** Leave of all circuits named, or null while one of them is open or being tried. */
  admit(names: readonly string[]): ReadonlyMap<string, Pass> | null;
  /** Milliseconds until all circuits named may be tried; 0 when they may now. A circuit that is being tried counts as its least time. */
  waitMs(names: readonly string[]): number;
  /** Circuits that are not closed. */
  states(): readonly CircuitState[];
}

interface Circuit {
  readonly rules: CircuitRules;
  failures: number;
  /** Of the monotonic clock; null when closed. */
  openUntilMs: number | null;
  openMs: number;
  opened: boolean;
  probing: boolean;
}

const MAX_CIRCUITS = 2_000;

/** `rulesOf`: of the circuit with a name. `now`: monotonic milliseconds. */
export function createBreakers(rulesOf: (name: string) => CircuitRules, now: () => number = () => performance.now()): Breakers {
  /** Only circuits that have failed; the oldest are forgotten first. */
  const circuits = new Map<string, Circuit>();

  const find = (name: string): Circuit => {
    const known = circuits.get(name);
    if (known !== undefined) return known;
    if (circuits.size >= MAX_CIRCUITS) circuits.delete(circuits.keys().next().value ?? '');
    const rules = rulesOf(name);
    const made: Circuit = { rules, failures: 0, openUntilMs: null, openMs: rules.openMs, opened: false, probing: false };
    circuits.set(name, made);
    return made;
  };
  const waitOf = (name: string): number => {
    const circuit = circuits.get(name);
    if (circuit === undefined || circuit.openUntilMs === null) return 0;
    const leftMs = circuit.openUntilMs - now();
    return leftMs > 0 ? leftMs : circuit.probing ? circuit.rules.openMs : 0;
  };
  const passFor = (name: string): Pass => {
    const known = circuits.get(name);
    let probe = known !== undefined && known.openUntilMs !== null;
    if (known !== undefined && probe) known.probing = true;
    let over = false;
    const endProbe = (): void => {
      if (known !== undefined && probe) known.probing = false;
      probe = false;
    };
    const once = (act: (wasProbe: boolean) => void) => (): void => {
      if (over) return;
      over = true;
      const wasProbe = probe;
      endProbe();
      act(wasProbe);
    };
    return {
      begun() {
        if (over || !probe || known === undefined) return;
        endProbe();
        known.openUntilMs = null;
        known.failures = known.rules.failures - 1;
      },
      succeeded: once(() => { circuits.delete(name); }),
      failed: once((wasProbe) => {
        const circuit = find(name);
        circuit.failures += 1;
        // Requests that were under way when it opened do not open it for longer.
        if ((circuit.openUntilMs !== null && !wasProbe) || circuit.failures < circuit.rules.failures) return;
        if (circuit.opened) circuit.openMs = Math.min(circuit.openMs * 2, circuit.rules.maxOpenMs);
        circuit.opened = true;
        circuit.openUntilMs = now() + circuit.openMs;
      }),
      left: once(() => undefined),
    };
  };

  return {
    admit: (names) => (names.some((name) => waitOf(name) > 0) ? null : new Map(names.map((name) => [name, passFor(name)]))),
    waitMs: (names) => Math.max(0, ...names.map(waitOf)),
    states: () => [...circuits].flatMap(([name, { openUntilMs }]): CircuitState[] => {
      if (openUntilMs === null) return [];
      const waitMs = Math.max(0, Math.round(openUntilMs - now()));
      return [{ name, state: waitMs > 0 ? 'open' : 'half-open', waitMs }];
    }),
  };
}

/** The circuit of a proxy itself: connections that break, protocols that are broken. */
export const proxyCircuit = (address: string): string => `proxy ${address}`;
/** The circuits of the nodes that a proxy has for a model, one for each way to fail. */
export const nodeCircuit = (address: string, model: string, failure: string): string => `nodes ${address} ${failure} ${model}`;

/** A busy network is asked again soon; a proxy that breaks, or nodes that fail, get longer to recover. */
export const standardRules = (name: string): CircuitRules => {
  if (name.startsWith('proxy ')) return { failures: 3, openMs: 500, maxOpenMs: 30_000 };
  return /^nodes \S+ busy /.test(name) ? { failures: 8, openMs: 200, maxOpenMs: 3_000 } : { failures: 5, openMs: 500, maxOpenMs: 15_000 };
};
