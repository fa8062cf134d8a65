// What the GPUs of this machine do now, from `nvidia-smi`, asked from time to time in the background; where it is not installed
// that is said once and it is not asked again. Nothing here decides anything: attestation has its own way to the GPUs.
import { execFile } from 'node:child_process';
import { systemErrorCode } from '../../core/files.ts';
import type { GpuState } from './state.ts';

/** Runs a program without a shell; its output, at most a megabyte, within the time. Rejects as `execFile` does. */
export type RunTool = (file: string, args: readonly string[], timeoutMs: number) => Promise<string>;

export const runTool: RunTool = (file, args, timeoutMs) => new Promise((resolve, reject) => {
  execFile(file, [...args], { timeout: timeoutMs, maxBuffer: 1 << 20, windowsHide: true }, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
});

export interface GpuWatch {
  current(): { readonly gpus: readonly GpuState[]; readonly problem: string | null };
  close(): void;
}

const EVERY_MS = 5_000;
const TIMEOUT_MS = 4_000;
const FIELDS = ['index', 'name', 'utilization.gpu', 'memory.used', 'memory.total', 'temperature.gpu', 'power.draw'] as const;
const MAX_GPUS = 64;

/** Asks at once and then every five seconds, or `everyMs`. */
export function watchGpus(run: RunTool = runTool, everyMs: number = EVERY_MS): GpuWatch {
  let gpus: readonly GpuState[] = [];
  let problem: string | null = 'not asked yet';
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const look = async (): Promise<void> => {
    let again = true;
    try {
      gpus = parseGpus(await run('nvidia-smi', [`--query-gpu=${FIELDS.join(',')}`, '--format=csv,noheader,nounits'], TIMEOUT_MS));
      problem = gpus.length === 0 ? 'nvidia-smi lists no GPU' : null;
    } catch (error) {
      gpus = [];
      again = systemErrorCode(error) !== 'ENOENT';
      problem = again ? `nvidia-smi failed: ${firstLine(error)}` : 'nvidia-smi is not installed';
    }
    if (!again || closed) return;
    timer = setTimeout(() => void look(), everyMs);
    timer.unref();
  };
  void look();
  return {
    current: () => ({ gpus, problem }),
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]?.slice(0, 200) ?? '';

/** Rows of the query above; what is `[N/A]` or `[Not Supported]` is null, and a row of another shape is left out. */
export function parseGpus(text: string): GpuState[] {
  return text.split('\n').slice(0, MAX_GPUS).flatMap((line): GpuState[] => {
    const [index, name, ...rest] = line.split(', ').map((field) => field.trim());
    if (index === undefined || name === undefined || rest.length !== FIELDS.length - 2 || !/^\d{1,3}$/.test(index)) return [];
    const [utilizationPercent = null, memoryUsedMib = null, memoryTotalMib = null, temperatureC = null, powerW = null] = rest.map(numberOrNull);
    return [{ index: Number(index), name: name.slice(0, 200), utilizationPercent, memoryUsedMib, memoryTotalMib, temperatureC, powerW }];
  });
}

const numberOrNull = (field: string): number | null => (/^\d{1,9}(\.\d{1,6})?$/.test(field) ? Number(field) : null);
