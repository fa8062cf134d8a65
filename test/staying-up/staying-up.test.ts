// A short run of the kill test: two proxies, two nodes, one killed about every second. The long one is `npm run test:staying-up`.
import { describe, expect, it } from '@jest/globals';
import { runStayingUp, SHORT } from './run.ts';

describe('staying up', () => {
  it('streams go on while proxies and nodes are killed: complete to the byte, and none looks complete that is not', async () => {
    const result = await runStayingUp(SHORT);
    expect(result).toMatchObject({ wrong: [], falselyComplete: [], complete: SHORT.requests, noticed: {} });
    expect(result.killed.proxies + result.killed.nodes).toBeGreaterThan(0);
  }, 120_000);
});
