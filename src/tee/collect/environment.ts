// Finds out which TEE this system runs in, and says exactly what is missing where none can be used. Evidence is taken through
// configfs-tsm, and where a kernel does not offer it, from the devices /dev/tdx_guest and /dev/sev-guest (device-report.ts).
// Refuses Azure's vTPM, whose evidence is about the host's paravisor and not in any form that peers of this network take.
import { CocoonError } from '../../core/errors.ts';
import { systemErrorCode } from '../../core/files.ts';
import type { Log } from '../../core/log.ts';
import { noTee, systemFailure } from './failure.ts';
import type { TeeKernel } from './kernel.ts';
import { inFreshEntry, providerOf, TSM_REPORT_FOLDER } from './tsm-report.ts';
import type { TsmProvider } from './tsm-report.ts';

const CONFIGFS = '/sys/kernel/config';
const CPUINFO = '/proc/cpuinfo';
const ASSET_TAG = '/sys/class/dmi/id/chassis_asset_tag';
/** What every virtual machine on Azure has there. */
const AZURE_ASSET_TAG = '7783-7084-3265-9085-8269-3286-77';
const MAX_CPUINFO_BYTES = 8 * 1024 * 1024;
const MAX_TEXT_BYTES = 4096;
/** Kernel that brought configfs-tsm. */
const FIRST_RELEASE = [6, 7] as const;

const NAMES: Readonly<Record<TsmProvider, string>> = { tdx_guest: 'Intel TDX', sev_guest: 'AMD SEV-SNP' };
const OPTIONS: Readonly<Record<TsmProvider, string>> = { tdx_guest: 'CONFIG_TDX_GUEST_DRIVER', sev_guest: 'CONFIG_SEV_GUEST' };
const MODULES: Readonly<Record<TsmProvider, string>> = { tdx_guest: 'tdx_guest', sev_guest: 'sev-guest' };

/** How evidence is taken here: through configfs-tsm, or from the device because (`missing`) the former is not there. */
export type DetectedTee =
  | { readonly provider: TsmProvider; readonly through: 'configfs-tsm' }
  | { readonly provider: TsmProvider; readonly through: 'device'; readonly missing: CocoonError };

export const GUEST_DEVICES: Readonly<Record<TsmProvider, string>> = { tdx_guest: '/dev/tdx_guest', sev_guest: '/dev/sev-guest' };

/** The TEE that this system runs in. Throws ConfigError E_NO_TEE with what is missing, E_COLLECT where asking failed. */
export async function detectTee(kernel: TeeKernel, log: Log): Promise<DetectedTee> {
  if (!await kernel.exists(TSM_REPORT_FOLDER)) return withoutInterface(kernel);
  let provider: string;
  try {
    provider = await inFreshEntry({ kernel, log }, (entry) => providerOf(kernel, entry));
  } catch (error) {
    // The interface is there, but no driver has registered with it.
    if (systemErrorCode(error) === 'ENXIO') return withoutInterface(kernel);
    throw error instanceof CocoonError ? error : systemFailure('asking which TEE this is', error);
  }
  if (provider === 'tdx_guest' || provider === 'sev_guest') return { provider, through: 'configfs-tsm' };
  throw noTee(`this system is a guest of the kind ${JSON.stringify(provider.slice(0, 32))}, expected Intel TDX or AMD SEV-SNP`, 'use a machine with Intel TDX or AMD SEV-SNP');
}

async function withoutInterface(kernel: TeeKernel): Promise<DetectedTee> {
  for (const provider of ['tdx_guest', 'sev_guest'] as const) {
    if (await kernel.exists(GUEST_DEVICES[provider])) return { provider, through: 'device', missing: await missingInterface(kernel, provider) };
  }
  throw await diagnosis(kernel);
}

async function diagnosis(kernel: TeeKernel): Promise<CocoonError> {
  if (await hasCpuFlag(kernel, 'tdx_guest')) return missingInterface(kernel, 'tdx_guest');
  if (await isAzure(kernel)) {
    return noTee('confidential machines on Azure prove themselves through a vTPM (HCL report), which is not supported',
      'use a TDX or SEV-SNP guest whose kernel offers configfs-tsm, on another cloud or on your own host');
  }
  return noTee('this system is not a TDX or SEV-SNP guest', 'run it inside a confidential virtual machine');
}

async function hasCpuFlag(kernel: TeeKernel, flag: string): Promise<boolean> {
  const text = await textOf(kernel, CPUINFO, MAX_CPUINFO_BYTES);
  return /^flags\s*:(.*)$/m.exec(text)?.[1]?.split(/\s+/).includes(flag) ?? false;
}

const isAzure = async (kernel: TeeKernel): Promise<boolean> => (await textOf(kernel, ASSET_TAG, MAX_TEXT_BYTES)).trim() === AZURE_ASSET_TAG;

/** Content of a file, or nothing where it cannot be read: only used to explain. */
async function textOf(kernel: TeeKernel, path: string, maxBytes: number): Promise<string> {
  try {
    return Buffer.from(await kernel.read(path, maxBytes)).toString('latin1');
  } catch {
    return '';
  }
}

async function missingInterface(kernel: TeeKernel, guest: TsmProvider): Promise<CocoonError> {
  const release = kernel.release();
  const problem = `this is a guest of ${NAMES[guest]}, but Linux ${release} does not offer ${TSM_REPORT_FOLDER}`;
  if (isOlder(release)) return noTee(`${problem}, which came with Linux ${FIRST_RELEASE.join('.')}`, `boot Linux ${FIRST_RELEASE.join('.')} or newer with CONFIG_TSM_REPORTS and ${OPTIONS[guest]}`);
  if (!await kernel.exists(CONFIGFS)) return noTee(`${problem}: configfs is not mounted`, `mount -t configfs none ${CONFIGFS}`);
  return noTee(`${problem}: no driver has registered with it`, `modprobe ${MODULES[guest]}; the kernel needs CONFIG_TSM_REPORTS and ${OPTIONS[guest]}`);
}

function isOlder(release: string): boolean {
  const match = /^(\d+)\.(\d+)/.exec(release);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major < FIRST_RELEASE[0] || (major === FIRST_RELEASE[0] && minor < FIRST_RELEASE[1]);
}
