// Which process a stored process number means: the number alone is given to another program sooner or later, so its start
// time goes with it (field 22 of /proc/PID/stat), and which boot that counts from: machines that boot alike give the same numbers
// at the same time again. Where there is no /proc the number alone has to do. A zombie has ended.
import { readFileSync } from 'node:fs';
import { systemErrorCode } from './files.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process, then nine digits of the boot's id; decimal, '0' where it is not known. */
  readonly start: string;
}

const UNKNOWN = '0';
const BOOT_DIGITS = 9;
/** Equal to no start time: the process has ended, only its parent has not asked how. */
const ENDED = 'ended';

let known: string | undefined;

/** Nine digits that another boot has with a chance of one in a billion; empty where the kernel does not say. */
function boot(): string {
  if (known !== undefined) return known;
  try {
    const id = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replaceAll('-', '').trim();
    known = String(BigInt(`0x${id}`) % 10n ** BigInt(BOOT_DIGITS)).padStart(BOOT_DIGITS, '0');
  } catch {
    known = '';
  }
  return known;
}

/** As `start` of an identity. */
export function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the command in parentheses and may contain anything; the rest follows its last ')'.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? ENDED : fields[19] === undefined ? UNKNOWN : `${fields[19]}${boot()}`;
  } catch {
    return UNKNOWN;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs under another user.
    return systemErrorCode(error) === 'EPERM';
  }
}

let own: ProcessIdentity | undefined;

/** The identity of this process. */
export function ownProcess(): ProcessIdentity {
  own ??= { pid: process.pid, start: startOf(process.pid) };
  return own;
}

/** True while the very process that had this identity runs. */
export function isRunning({ pid, start }: ProcessIdentity): boolean {
  return exists(pid) && startOf(pid) === start;
}
