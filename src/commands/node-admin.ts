// What a running node tells its own machine, and what it may be told: `cocoon node status`, `why`, `drain`, `resume`, `reload` and
// `stop`, and the operator's page, go through it.
import { z } from 'zod';
import { asCocoonError, UsageError } from '../core/errors.ts';
import type { AdminActions, AdminAnswers } from './admin.ts';
import type { WhyAnswer } from './node-why.ts';
import type { NodeControl } from '../node/daemon/control.ts';
import type { UplinkState } from '../node/uplink.ts';

export const nodeAnswers = (states: () => ReadonlyMap<string, UplinkState>, control: Pick<NodeControl, 'state' | 'history'>): AdminAnswers => ({
  '/state': () => control.state(),
  '/history': () => control.history(),
  '/why': () => Promise.all([...states()].map(([proxy, state]) => askProxy(proxy, state))),
});

const DrainOrder = z.strictObject({ keep: z.boolean() });

/** Each answers with the state that it led to, `/reload` with what has changed. */
export const nodeActions = (control: NodeControl): AdminActions => ({
  '/drain': async (body) => {
    const order = DrainOrder.safeParse(body);
    if (!order.success) throw new UsageError('E_USAGE', 'expected {"keep": true} or {"keep": false}');
    await control.drain(order.data);
    return control.state();
  },
  '/resume': async () => {
    await control.resume();
    return control.state();
  },
  '/reload': () => control.reload(),
  '/stop': async () => {
    control.stop();
    return control.state();
  },
});

async function askProxy(proxy: string, state: UplinkState): Promise<WhyAnswer[number]> {
  const nothing = { proxy, state: state.kind, view: null };
  if (state.kind !== 'ready') return { ...nothing, problem: 'error' in state ? state.error.message : 'not connected yet' };
  try {
    const text = await state.session.explainChoice();
    if (text === null) return { ...nothing, problem: `the proxy speaks protocol version ${state.session.version}, which has no explanations` };
    return { ...nothing, view: JSON.parse(text) as unknown, problem: null };
  } catch (error) {
    return { ...nothing, problem: asCocoonError(error).message };
  }
}
