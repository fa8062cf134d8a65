// Exit and action codes of a failed transaction as one clause for people.
import { explainActionResult, explainExitCode } from '../opcodes.ts';

/** `exitCode`: compute phase, null when it did not run. `actionCode`: action phase, null when it did not run or is unknown. */
export function explainExit(exitCode: number | null, actionCode: number | null): string {
  if (exitCode === null) return 'the contract did not run: it has no code or the value does not pay for any';
  if (exitCode !== 0 && exitCode !== 1) return `exit code ${exitCode}, ${explainExitCode(exitCode)}`;
  if (actionCode !== null && actionCode !== 0) return `action result ${actionCode}, ${explainActionResult(actionCode)}`;
  return 'the network aborted it';
}
