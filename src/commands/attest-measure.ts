// `cocoon attest measure snp|tdx`: the measurement that a guest will have, and the image hash that a root contract must list
// for it. SEV-SNP: from firmware, vCPUs and, where QEMU hashes them, kernel, initrd and command line. TDX: MRTD from the
// firmware, the RTMRs from the event log of a guest that runs.
import { resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { fromHex, toHex } from '../core/bytes.ts';
import { UsageError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import { MAX_CCEL_BYTES, parseCcel } from '../tee/event-log/ccel.ts';
import { REGISTERS, replay } from '../tee/event-log/replay.ts';
import { MAX_FIRMWARE_BYTES } from '../tee/firmware-table.ts';
import { MEASUREMENT_BYTES, sevImageHash, tdxImageHash } from '../tee/image-hash.ts';
import { snpFirmwareDigest, snpLaunchDigest, VCPU_SIGNATURES } from '../tee/snp/measure.ts';
import { parseOvmf } from '../tee/snp/ovmf.ts';
import { MEASURE_ORDERS, mrtdOf } from '../tee/tdvf/mrtd.ts';
import { parseTdvf } from '../tee/tdvf/parse-tdvf.ts';
import { oneOf, wholeNumber } from './values.ts';
import type { SnpBoot } from '../tee/snp/measure.ts';
import type { MeasureOrder } from '../tee/tdvf/mrtd.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const MAX_KERNEL_BYTES = 256 * 1024 * 1024;
const MAX_INITRD_BYTES = 1024 * 1024 * 1024;
const KINDS = ['snp', 'tdx'] as const;
const CPUS = Object.keys(VCPU_SIGNATURES);
/** Which options belong to which kind only. */
const OF_SNP = ['vcpus', 'cpu', 'kernel', 'initrd', 'cmdline', 'guestFeatures', 'zeroFpu'];
const OF_TDX = ['eventLog', 'measureOrder', 'mrTd', 'mrConfigId', 'mrOwner', 'mrOwnerConfig'];

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
  readonly measureOrder?: MeasureOrder;
  readonly mrTd?: Uint8Array;
  readonly mrConfigId?: Uint8Array;
  readonly mrOwner?: Uint8Array;
  readonly mrOwnerConfig?: Uint8Array;
}

const HELP = `
A TDX image hash needs MRTD (--firmware or --mr-td) and the RTMRs (--event-log): they depend on the machine that QEMU
builds, so that they are read from a guest that has run, not predicted.
SEV-SNP digests agree with published ones of AmdSev builds of OVMF. MRTD follows Intel's specification and agrees with an
independent replay; neither has been compared with hardware here. Before you list an image, compare what is printed with
the evidence of a guest that runs it (\`cocoon attest verify\`).`;

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
    .option('--firmware <file>', 'the OVMF image; for tdx with variables and code in one file, as given to QEMU')
    .option('--vcpus <n>', 'snp: number of vCPUs', wholeNumber(1, 1024))
    .option('--cpu <model>', `snp: CPU model of QEMU: ${CPUS.join(', ')}`, oneOf(CPUS))
    .option('--kernel <file>', 'snp: kernel, where QEMU runs with kernel-hashes=on')
    .option('--initrd <file>', 'snp: initial RAM disk')
    .option('--cmdline <text>', 'snp: kernel command line')
    .option('--guest-features <bits>', 'snp: SEV_FEATURES that the host sets (default: 0x1)', bits)
    .option('--zero-fpu', 'snp: for hosts with Linux before 6.11, which measure zeros in place of the FPU state')
    .option('--event-log <file>', 'tdx: CCEL event log (/sys/firmware/acpi/tables/data/CCEL)')
    .option('--measure-order <order>', 'tdx: page or section: what the host measures in one go (default: page, as Linux 6.16)', oneOf(MEASURE_ORDERS))
    .option('--mr-td <hex>', 'tdx: MRTD where there is no firmware to measure', register)
    .option('--mr-config-id <hex>', 'tdx: MRCONFIGID (default: zeros)', register)
    .option('--mr-owner <hex>', 'tdx: MROWNER (default: zeros)', register)
    .option('--mr-owner-config <hex>', 'tdx: MROWNERCONFIG (default: zeros)', register)
    .addHelpText('after', HELP);
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
  const file = (path: string, maxBytes: number): Promise<Uint8Array> => readBounded(resolve(context.cwd, path), maxBytes);
  const { firmware, eventLog, measureOrder } = options;
  if (firmware === undefined && eventLog === undefined) throw new UsageError('E_USAGE', '`attest measure tdx` needs --firmware FILE or --event-log FILE', { hint: 'run `cocoon attest measure --help`' });
  if (firmware !== undefined && options.mrTd !== undefined) throw new UsageError('E_USAGE', 'MRTD is measured from --firmware or given as --mr-td, expected one of them');
  if (firmware === undefined && measureOrder !== undefined) throw new UsageError('E_USAGE', '--measure-order is for --firmware FILE');
  const mrTd = firmware === undefined ? options.mrTd : mrtdOf(parseTdvf(await file(firmware, MAX_FIRMWARE_BYTES)), measureOrder);
  const events = eventLog === undefined ? null : parseCcel(await file(eventLog, MAX_CCEL_BYTES));
  const registers = events === null ? null : replay(events);
  const zero = new Uint8Array(MEASUREMENT_BYTES);
  const { mrConfigId = zero, mrOwner = zero, mrOwnerConfig = zero } = options;
  const imageHash = mrTd === undefined || registers === null ? null : toHex(tdxImageHash({ mrTd, mrConfigId, mrOwner, mrOwnerConfig, ...registers }));
  const shown = REGISTERS.map((name) => [name, registers === null ? null : toHex(registers[name])] as const);
  out.result({ kind: 'tdx', mrTd: mrTd === undefined ? null : toHex(mrTd), events: events?.length ?? null, ...Object.fromEntries(shown), imageHash });
  if (mrTd !== undefined) await out.line(`MRTD        ${toHex(mrTd)}`);
  for (const [name, value] of shown) if (value !== null) await out.line(`${name.toUpperCase()}       ${value}`);
  if (imageHash !== null) await out.line(`image hash  ${imageHash}`);
  else await out.note(`with ${mrTd === undefined ? '--firmware or --mr-td' : '--event-log'} the image hash is printed, too`);
}
