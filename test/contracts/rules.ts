// Every scenario of the rule tests, for jest and for the mutation run.
import { bondRules } from './rules-bond.ts';
import { guardRules } from './rules-guard.ts';
import { moneyRules } from './rules-money.ts';
import { strictRules } from './rules-strict.ts';
import type { Scenario } from './scenario.ts';

export const allScenarios: Scenario[] = [...moneyRules, ...guardRules, ...bondRules, ...strictRules];
