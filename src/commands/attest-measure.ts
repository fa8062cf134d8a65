// `cocoon attest measure snp|tdx`: the measurement that a guest will have, and the image hash that a root contract must list
// for it. SEV-SNP: from firmware, vCPUs and, where QEMU hashes them, kernel, initrd and command line. TDX: from the event log
// of a guest that runs, and the MRTD of its firmware.
import { resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { fromHex, toHex } from '../core/bytes.ts';
import { UsageError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import { MAX_CCEL_BYTES, parseCcel } from '../tee/event-log/ccel.ts';
import { REGISTERS, replay } from '../tee/event-log/replay.ts';
import { MEASUREMENT_BYTES, sevImageHash, tdxImageHash } from '../tee/image-hash.ts';
import { snpFirmwareDigest, snpLaunchDigest, VCPU_SIGNATURES } from '../tee/snp/measure.ts';
import { parseOvmf } from '../tee/snp/ovmf.ts';
import { oneOf, wholeNumber } from './values.ts';
import type { SnpBoot } from '../tee/snp/measure.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const MAX_FIRMWARE_BYTES = 16 * 1024 * 1024;
const MAX_KERNEL_BYTES = 256 * 1024 * 1024;
const MAX_INITRD_BYTES = 1024 * 1024 * 1024;
const KINDS = ['snp', 'tdx'] as const;
const CPUS = Object.keys(VCPU_SIGNATURES);
/** Which options belong to which kind. */
const OF_SNP = ['firmware', 'vcpus', 'cpu', 'kernel', 'initrd', 'cmdline', 'guestFeatures', 'zeroFpu'];
const OF_TDX = ['eventLog', 'mrTd', 'mrConfigId', 'mrOwner', 'mrOwnerConfig'];

interface MeasureOptions {
  readonly firmware?: string;
  readonly vcpus?: number;
  readonly cpu?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly guestFeatures?: bigint;
  readonly zeroFpu?: boolean;
  readonly eventLog?: string;
  readonly mrTd?: Uint8Array;
  readonly mrConfigId?: Uint8Array;
  readonly mrOwner?: Uint8Array;
  readonly mrOwnerConfig?: Uint8Array;
}

function register(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{96}$/.test(text)) throw new InvalidArgumentError('expected 96 hexadecimal digits');
  return fromHex(text);
}

function bits(text: string): bigint {
  if (!/^0x[0-9a-fA-F]{1,16}$/.test(text)) throw new InvalidArgumentError('expected a number such as 0x21');
  return BigInt(text);
}

export function declare(command: Command): void {
  command
    .argument('<kind>', KINDS.join(' or '), oneOf(KINDS))
    .option('--firmware <file>', 'snp: the OVMF image')
    .option('--vcpus <n>', 'snp: number of vCPUs', wholeNumber(1, 1024))
    .option('--cpu <model>', `snp: CPU model of QEMU: ${CPUS.join(', ')}`, oneOf(CPUS))
    .option('--kernel <file>', 'snp: kernel, where QEMU runs with kernel-hashes=on')
    .option('--initrd <file>', 'snp: initial RAM disk')
    .option('--cmdline <text>', 'snp: kernel command line')
    .option('--guest-features <bits>', 'snp: SEV_FEATURES that the host sets (default: 0x1)', bits)
    .option('--zero-fpu', 'snp: for hosts with Linux before 6.11, which measure zeros in place of the FPU state')
    .option('--event-log <file>', 'tdx: CCEL event log (/sys/firmware/acpi/tables/data/CCEL)')
    .option('--mr-td <hex>', 'tdx: MRTD of the firmware; without it, the registers alone are printed', register)
    .option('--mr-config-id <hex>', 'tdx: MRCONFIGID (default: zeros)', register)
    .option('--mr-owner <hex>', 'tdx: MROWNER (default: zeros)', register)
    .option('--mr-owner-config <hex>', 'tdx: MROWNERCONFIG (default: zeros)', register);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [kind], options } = invocation;
  const foreign = Object.keys(options).find((name) => (kind === 'snp' ? OF_TDX : OF_SNP).includes(name));
  if (foreign !== undefined) throw new UsageError('E_USAGE', `--${foreign.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is not for \`attest measure ${kind}\``, { hint: 'run `cocoon attest measure --help`' });
  return kind === 'snp' ? measureSnp(invocation, options) : measureTdx(invocation, options);
}

function required<T>(value: T | undefined, flag: string, kind: string): T {
  if (value === undefined) throw new UsageError('E_USAGE', `\`attest measure ${kind}\` needs ${flag}`, { hint: 'run `cocoon attest measure --help`' });
  return value;
}

async function measureSnp({ context, out }: Invocation, options: MeasureOptions): Promise<void> {
  const file = (path: string, maxBytes: number): Promise<Uint8Array> => readBounded(resolve(context.cwd, path), maxBytes);
  const image = await file(required(options.firmware, '--firmware FILE', 'snp'), MAX_FIRMWARE_BYTES);
  const vcpus = required(options.vcpus, '--vcpus N', 'snp');
  const vcpuSignature = required(VCPU_SIGNATURES[required(options.cpu, '--cpu MODEL', 'snp')], '--cpu MODEL', 'snp');
  if (options.kernel === undefined && (options.initrd ?? options.cmdline) !== undefined) throw new UsageError('E_USAGE', '--initrd and --cmdline are measured with a kernel, expected --kernel FILE');
  const boot: SnpBoot | null = options.kernel === undefined ? null : {
    kernel: await file(options.kernel, MAX_KERNEL_BYTES), commandLine: options.cmdline ?? '',
    initrd: options.initrd === undefined ? new Uint8Array(0) : await file(options.initrd, MAX_INITRD_BYTES),
  };
  const measurement = snpLaunchDigest({ firmware: parseOvmf(image), firmwareDigest: snpFirmwareDigest(image), boot, vcpus, vcpuSignature, fpuReset: options.zeroFpu !== true, ...(options.guestFeatures !== undefined && { guestFeatures: options.guestFeatures }) });
  const imageHash = toHex(sevImageHash(measurement));
  out.result({ kind: 'snp', kernelHashes: boot !== null, measurement: toHex(measurement), imageHash });
  await out.line(`launch digest  ${toHex(measurement)}\nimage hash     ${imageHash}`);
  if (boot === null) await out.warn('without --kernel the digest covers the firmware only: whatever it boots has the same one');
}

async function measureTdx({ context, out }: Invocation, options: MeasureOptions): Promise<void> {
  const log = await readBounded(resolve(context.cwd, required(options.eventLog, '--event-log FILE', 'tdx')), MAX_CCEL_BYTES);
  const events = parseCcel(log);
  const registers = replay(events);
  const zero = new Uint8Array(MEASUREMENT_BYTES);
  const { mrTd, mrConfigId = zero, mrOwner = zero, mrOwnerConfig = zero } = options;
  const imageHash = mrTd === undefined ? null : toHex(tdxImageHash({ mrTd, mrConfigId, mrOwner, mrOwnerConfig, ...registers }));
  const shown = REGISTERS.map((name) => [name, toHex(registers[name])] as const);
  out.result({ kind: 'tdx', events: events.length, ...Object.fromEntries(shown), imageHash });
  for (const [name, value] of shown) await out.line(`${name.toUpperCase()}       ${value}`);
  if (imageHash === null) await out.note('with --mr-td the image hash is printed, too');
  else await out.line(`image hash  ${imageHash}`);
}
