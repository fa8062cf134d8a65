// A process of a world: `child.ts ROLE INDEX HOME`. Loads no more than its role needs.
import { runChild } from './child-base.ts';
import { readWorld } from './world.ts';
import type { ChildContext, Running } from './child-base.ts';

const ROLES: Readonly<Record<string, () => Promise<(context: ChildContext, index: number) => Promise<Running>>>> = {
  chain: async () => (await import('./chain-child.ts')).runChain,
  proxy: async () => (await import('./proxy-child.ts')).startProxyChild,
  node: async () => (await import('./node-child.ts')).startNodeChild,
  clients: async () => (await import('./client-child.ts')).startClients,
  claim: async () => (await import('./claim-child.ts')).startClaim,
};

const [, , role = '', number = '', home = ''] = process.argv;
const start = await ROLES[role]?.();
if (start === undefined) throw new Error(`there is no role ${role}`);
await runChild(readWorld(home), `${role}-${number}`, (context) => start(context, Number(number)));
