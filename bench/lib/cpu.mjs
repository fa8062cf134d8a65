// CPU time of processes, from Linux' /proc; elsewhere there is none to show.
import { readFileSync } from 'node:fs';

/** A tick of /proc on every Linux that Node runs on. */
const TICK_MS = 10;
const UTIME = 11;
const STIME = 12;

/** Milliseconds of CPU that a process with all its threads has used; NaN where this cannot be told. */
export function cpuMs(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // behind the name, which may hold anything
    return (Number(fields[UTIME]) + Number(fields[STIME])) * TICK_MS;
  } catch {
    return NaN;
  }
}

/** Milliseconds of CPU that the whole machine has used or had taken away by its host; NaN where this cannot be told. */
export function machineCpuMs() {
  try {
    const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/\s+/).slice(1).map(Number);
    return (user + nice + system + irq + softirq + steal) * TICK_MS;
  } catch {
    return NaN;
  }
}
