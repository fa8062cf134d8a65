// `cocoon explain [CODE]`: what an error code means and what to do; without a code, the list. Knows the codes and messages of TDX,
// SEV-SNP, SGX, VFIO and NVIDIA that hosts meet, too.
import { CODES, isErrorCode } from '../core/codes.ts';
import { NotFoundError } from '../core/errors.ts';
import { findKnown } from '../node/doctor/known-messages.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('[code]', 'error code, for example E_NO_EVIDENCE, or one of the hardware, for example 0x2006; without it all codes are listed');
}

export async function run({ args: [name], out }: Invocation): Promise<void> {
  if (name === undefined) {
    const codes = Object.entries(CODES).map(([code, entry]) => ({ code, ...entry }));
    out.result({ codes });
    await out.text(await renderTable(['CODE', 'EXIT', 'CAUSE'], codes.map(({ code, exit, cause }) => [code, String(exit), cause])));
    return;
  }
  const code = name.toUpperCase();
  if (!isErrorCode(code)) {
    const known = findKnown(name);
    if (known !== null) {
      const { key, subject, meaning, fix, source } = known;
      out.result({ code: key, subject, meaning, fix, source });
      await out.text(`${key} (${subject})\n\n${meaning}\n${fix}\nsource: ${source}\n`);
      return;
    }
    throw new NotFoundError('E_NOT_FOUND', `no error code is called "${name}"`, { hint: 'run `cocoon explain` for the list' });
  }
  const { exit, retryable, cause, action } = CODES[code];
  out.result({ code, exit, retryable, cause, action });
  await out.text(`${code} (exit ${exit}${retryable ? ', a retry may help' : ''})\n\n${cause}\n${action}\n`);
}
