// What a running node tells its own machine: `cocoon node why` asks each of its proxies through it.
import { asCocoonError } from '../core/errors.ts';
import type { AdminAnswers } from './admin.ts';
import type { WhyAnswer } from './node-why.ts';
import type { UplinkState } from '../node/uplink.ts';

export const nodeAnswers = (states: () => ReadonlyMap<string, UplinkState>): AdminAnswers => ({
  '/why': () => Promise.all([...states()].map(([proxy, state]) => askProxy(proxy, state))),
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
