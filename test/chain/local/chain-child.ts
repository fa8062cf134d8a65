// Child process of durable.test.ts: runs a local chain until it is killed; prints its endpoint.
import { startLocalChain } from '../../../src/chain/local/start.ts';

const [, , dir = '', tickMs = '10'] = process.argv;
const { endpoint } = await startLocalChain({ dir, tickMs: Number(tickMs) });
process.stdout.write(`${endpoint}\n`);
