// The one error of sealing: something does not open, or is not what it must be. It never says what a plaintext was.
import { AttestationError } from '../core/errors.ts';

/** E_SEAL: what was sealed has been changed, repeated, reordered, cut, or meant for somebody else. */
export class SealError extends AttestationError {
  constructor(message: string, cause?: unknown) {
    super('E_SEAL', message, {
      hint: 'Nothing of this answer may be used. Ask again: a new request is sealed anew and may go to another proxy.',
      ...(cause !== undefined && { cause }),
    });
  }
}
