// The question before something on this machine is changed: --yes, or a yes at the terminal.
import { InterruptedError, UsageError } from '../core/errors.ts';
import type { Invocation } from './command.ts';

/** Returns when it may be done. Throws UsageError `E_NO_TERMINAL`, InterruptedError. */
export async function confirmChange({ yes, context }: Pick<Invocation, 'yes' | 'context'>, question: string): Promise<void> {
  if (yes) return;
  if (context.prompts === null) throw new UsageError('E_NO_TERMINAL', 'a confirmation is needed and there is no terminal to ask on', { hint: 'add --yes' });
  if (!await context.prompts.confirm(question)) throw new InterruptedError('E_INTERRUPTED', 'not confirmed, nothing was changed');
}
