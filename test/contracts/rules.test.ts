// The rules of ONCHAIN.md section 13 and the bond, one test a behaviour; the mutation run executes the same scenarios.
import { describe, it } from '@jest/globals';
import { builtCodes } from './network.ts';
import { bondRules } from './rules-bond.ts';
import { guardRules } from './rules-guard.ts';
import { moneyRules } from './rules-money.ts';
import { strictRules } from './rules-strict.ts';

const codes = builtCodes();

describe.each([['money', moneyRules], ['refusals', guardRules], ['bond', bondRules], ['strictness', strictRules]] as const)('rules: %s', (_, scenarios) => {
  it.each(scenarios.map((s) => [s.name, s] as const))('%s', async (_name, scenario) => {
    await scenario.run(codes);
  });
});
