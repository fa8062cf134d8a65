// The chain as a process: the local chain with real contracts, on a port of its own, a block every tick.
import { startLocalChain } from '../../src/chain/local/start.ts';
import { chainFolder, TICK_MS } from './world.ts';
import type { ChildContext, Running } from './child-base.ts';

export async function runChain({ world, log }: ChildContext): Promise<Running> {
  const chain = await startLocalChain({ dir: chainFolder(world), port: world.chainPort, globalId: world.globalId, era: 'gas400', tickMs: TICK_MS, log });
  return { handle: async () => null, close: () => chain.close() };
}
