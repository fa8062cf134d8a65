// Commands that take several steps with days between them: one plan after the other while there is one to send now, and the
// steps with their dates for people and for scripts.
import { chainTime } from '../chain/plans/reading.ts';
import { renderTable } from './table-view.ts';
import type { Plan } from '../chain/plans/plan.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';
import type { Outcome, Sending } from './sending.ts';

export interface ShownStep {
  readonly name: string;
  readonly state: 'done' | 'next' | 'later';
  /** Unix seconds of the chain from which it can be done; null: it is done, or can be at once. */
  readonly from: number | null;
  /** What happens in it, for people. */
  readonly what: string;
}

export interface Stage {
  readonly steps: readonly ShownStep[];
  /** What is to be sent now; null: nothing. */
  readonly next: { readonly name: string; readonly plan: Plan } | null;
  readonly facts: { readonly [key: string]: JsonValue };
  /** Unix seconds of the chain. */
  readonly time: number;
}

export const renderSteps = ({ steps, time }: Pick<Stage, 'steps' | 'time'>): Promise<string> => renderTable(['STEP', 'STATE', 'FROM', 'WHAT'], steps.map(({ name, state, from, what }) => [
  name, state, from === null ? state === 'done' ? '-' : 'now' : from <= time ? 'now' : chainTime(from), what,
]));

const stepsData = (steps: readonly ShownStep[]): JsonValue => steps.map(({ name, state, from }) => ({ name, state, from }));

/**
 * Carries out what `read` says is next, and reads again, until nothing is to be sent now. Returns the last stage, and how the last
 * plan ended (null: there was none).
 */
export async function throughStages<T extends Stage>({ out }: Pick<Invocation, 'out'>, sending: Sending, read: () => Promise<T>): Promise<{ stage: T; outcome: Outcome | null }> {
  const transfers: JsonValue[] = [];
  let outcome: Outcome | null = null;
  for (let stage = await read(); ; stage = await read()) {
    const { next, facts } = stage;
    const tell = (): void => out.result({ ...facts, steps: stepsData(stage.steps), transfers });
    tell();
    if (transfers.length === 0 || next === null) await out.text(await renderSteps(stage));
    if (next === null) return { stage, outcome };
    const index = transfers.length;
    outcome = await sending.carryOut(next.plan, (data) => { transfers[index] = { step: next.name, ...data }; tell(); }, next.name);
    if (outcome !== 'sent') return { stage, outcome };
  }
}
