// What a machine is, read once for all checks: CPU and what it can do, kernel, what surrounds it, GPUs on the bus and what
// nvidia-smi says of them. Knows no verdicts. Processor models: Intel SDM vol. 4 table 2-1; AMD PPRs; PCI ids: pci-ids.
import type { Machine, ToolText } from './machine.ts';

/** `host`: starts confidential guests. `guest`: is one. `bare`: neither; serves networks without hardware attestation only. */
export type MachineRole = 'host' | 'guest' | 'bare';

export interface Cpu {
  readonly vendor: 'intel' | 'amd' | 'other';
  readonly name: string;
  readonly family: number;
  readonly model: number;
  readonly flags: ReadonlySet<string>;
  readonly threads: number;
  /** Code name of a processor that has TDX or SEV-SNP; null of any other. */
  readonly confidential: { readonly tee: 'tdx' | 'snp'; readonly codeName: string; readonly degraded: boolean } | null;
}

export interface PciGpu {
  /** `0000:17:00.0`. */
  readonly address: string;
  /** Four hexadecimal digits. */
  readonly device: string;
  readonly model: GpuModel | null;
  /** Null while no driver has it. */
  readonly driver: string | null;
  readonly iommuGroup: string | null;
}

export interface GpuModel {
  readonly name: string;
  readonly family: 'hopper' | 'blackwell' | 'other';
  readonly confidential: boolean;
  /** Works in confidential mode only together with the switches of its board (HGX). */
  readonly board: boolean;
}

/** A GPU as its driver tells of it. */
export interface DriverGpu {
  readonly index: number;
  readonly name: string;
  readonly address: string;
  readonly driverVersion: string;
  readonly vbiosVersion: string;
  readonly memoryBytes: number;
  readonly freeBytes: number;
  readonly computeCapability: string;
  readonly pcie: string;
}

export interface MachineFacts {
  readonly cpu: Cpu;
  readonly memoryBytes: number;
  readonly availableBytes: number;
  readonly tee: 'tdx' | 'snp' | null;
  readonly virtual: boolean;
  readonly container: string | null;
  readonly commandLine: string;
  readonly kernel: readonly [major: number, minor: number];
  readonly gpus: readonly PciGpu[];
  readonly driverGpus: readonly DriverGpu[];
  /** What nvidia-smi said where it listed none; null where there is no nvidia-smi. */
  readonly smiFailure: string | null;
  readonly hasSmi: boolean;
}

/** Intel, family 6. */
const TDX_MODELS: Readonly<Record<number, string>> = { 143: 'Sapphire Rapids', 207: 'Emerald Rapids', 173: 'Granite Rapids', 174: 'Granite Rapids-D', 175: 'Sierra Forest' };
const GPU_MODELS: Readonly<Record<string, GpuModel>> = {
  2330: hopper('H100 SXM5', true), 2331: hopper('H100 PCIe'), 2321: hopper('H100 NVL'), 2339: hopper('H100 SXM5 94GB', true), 2335: hopper('H200 SXM', true), '233b': hopper('H200 NVL'),
  2329: hopper('H20', true), 2324: hopper('H800', true), 2322: hopper('H800 PCIe'),
  2901: blackwell('B200', true), '2bb1': blackwell('RTX PRO 6000 Blackwell Workstation Edition', false, false), '2bb4': blackwell('RTX PRO 6000 Blackwell Max-Q', false, false),
  '2bb5': blackwell('RTX PRO 6000 Blackwell Server Edition'), 2342: other('GH200'),
  '20b0': other('A100 SXM4 40GB'), '20b2': other('A100 SXM4 80GB'), '20b5': other('A100 PCIe 80GB'), '20f1': other('A100 PCIe 40GB'), '26b5': other('L40'), '26b9': other('L40S'), '27b8': other('L4'),
  '2b85': other('GeForce RTX 5090'), '2c02': other('GeForce RTX 5080'), 2684: other('GeForce RTX 4090'), 2704: other('GeForce RTX 4080'), 2204: other('GeForce RTX 3090'), '1eb8': other('Tesla T4'),
};

function hopper(name: string, board = false): GpuModel {
  return { name, family: 'hopper', confidential: true, board };
}
function blackwell(name: string, board = false, confidential = true): GpuModel {
  return { name, family: 'blackwell', confidential, board };
}
function other(name: string): GpuModel {
  return { name, family: 'other', confidential: false, board: false };
}

const NVIDIA = '0x10de';
/** VGA and 3D controllers. */
const GPU_CLASSES = /^0x030[02]/;
const SMI_FIELDS = ['index', 'name', 'pci.bus_id', 'driver_version', 'vbios_version', 'memory.total', 'memory.free', 'compute_cap', 'pcie.link.gen.current', 'pcie.link.width.current'] as const;

const textOf = async (machine: Machine, path: string): Promise<string> => {
  const reading = await machine.read(path);
  return reading.kind === 'text' ? reading.text : '';
};

export async function gatherFacts(machine: Machine): Promise<MachineFacts> {
  const [cpuinfo, meminfo, commandLine, gpus, smi, container, tdxDevice, snpDevice] = await Promise.all([
    textOf(machine, '/proc/cpuinfo'), textOf(machine, '/proc/meminfo'), textOf(machine, '/proc/cmdline'), pciGpus(machine), askSmi(machine), containerKind(machine),
    machine.exists('/dev/tdx_guest'), machine.exists('/dev/sev-guest'),
  ]);
  const cpu = parseCpu(cpuinfo);
  const driverGpus = smi === null ? [] : parseSmi(smi);
  return {
    cpu, ...parseMemory(meminfo), commandLine: commandLine.trim(), gpus, driverGpus, container, hasSmi: smi !== null,
    smiFailure: smi === null || driverGpus.length > 0 ? null : firstLine(smi.stdout) || firstLine(smi.stderr) || `nvidia-smi ended with code ${smi.exitCode}`,
    tee: cpu.flags.has('tdx_guest') || tdxDevice ? 'tdx' : snpDevice || cpu.flags.has('sev_guest') ? 'snp' : null,
    virtual: cpu.flags.has('hypervisor'), kernel: kernelOf(machine.release()),
  };
}

/** The part that a machine plays when nobody says: a confidential guest, a host that could start some, or neither. */
export const likelyRole = ({ tee, virtual, container, cpu }: MachineFacts): MachineRole =>
  (tee !== null ? 'guest' : !virtual && container === null && cpu.confidential !== null ? 'host' : 'bare');

export const firstLine = (text: string): string => text.split('\n').map((line) => line.trim()).find((line) => line !== '') ?? '';

export function kernelOf(release: string): [number, number] {
  const [, major = '0', minor = '0'] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return [Number(major), Number(minor)];
}

function parseCpu(text: string): Cpu {
  const field = (name: string): string => new RegExp(`^${name}\\s*:(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  const id = field('vendor_id');
  const vendor = id === 'GenuineIntel' ? 'intel' : id === 'AuthenticAMD' ? 'amd' : 'other';
  const [family, model] = [Number(field('cpu family') || 0), Number(field('model') || 0)];
  return {
    vendor, family, model, name: field('model name') || 'an unknown processor', flags: new Set(field('flags').split(/\s+/)),
    threads: text.match(/^processor\s*:/gm)?.length ?? 0, confidential: confidentialCpu(vendor, family, model),
  };
}

function confidentialCpu(vendor: Cpu['vendor'], family: number, model: number): Cpu['confidential'] {
  if (vendor === 'intel') {
    const codeName = family === 6 ? TDX_MODELS[model] : undefined;
    return codeName === undefined ? null : { tee: 'tdx', codeName, degraded: false };
  }
  if (vendor !== 'amd') return null;
  const snp = (codeName: string, degraded = false): Cpu['confidential'] => ({ tee: 'snp', codeName, degraded });
  if (family === 25 && model <= 0x0f) return snp('Milan', true);
  if (family === 25 && model >= 0x10 && model <= 0x1f) return snp('Genoa');
  if (family === 25 && model >= 0xa0 && model <= 0xaf) return snp('Bergamo or Siena');
  return family === 26 && model <= 0x1f ? snp('Turin') : null;
}

function parseMemory(text: string): Pick<MachineFacts, 'memoryBytes' | 'availableBytes'> {
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { memoryBytes: kib('MemTotal'), availableBytes: kib('MemAvailable') };
}

async function containerKind(machine: Machine): Promise<string | null> {
  if (await machine.exists('/.dockerenv')) return 'Docker';
  if (await machine.exists('/run/.containerenv')) return 'Podman';
  const [cgroup, environment] = await Promise.all([textOf(machine, '/proc/1/cgroup'), textOf(machine, '/run/systemd/container')]);
  if (environment.trim() !== '') return environment.trim();
  return /kubepods|docker|containerd|lxc/.exec(cgroup)?.[0] ?? null;
}

async function pciGpus(machine: Machine): Promise<PciGpu[]> {
  const folder = '/sys/bus/pci/devices';
  const found = await Promise.all((await machine.list(folder)).map(async (address): Promise<PciGpu | null> => {
    const at = (name: string): string => `${folder}/${address}/${name}`;
    if ((await textOf(machine, at('vendor'))).trim() !== NVIDIA || !GPU_CLASSES.test((await textOf(machine, at('class'))).trim())) return null;
    const device = (await textOf(machine, at('device'))).trim().replace(/^0x/, '').toLowerCase();
    const [driver, iommuGroup] = await Promise.all([machine.link(at('driver')), machine.link(at('iommu_group'))]);
    return { address, device, model: GPU_MODELS[device] ?? null, driver, iommuGroup };
  }));
  return found.filter((gpu) => gpu !== null);
}

const askSmi = (machine: Machine): Promise<ToolText | null> =>
  machine.run('nvidia-smi', [`--query-gpu=${SMI_FIELDS.join(',')}`, '--format=csv,noheader,nounits']);

function parseSmi({ exitCode, stdout }: ToolText): DriverGpu[] {
  if (exitCode !== 0) return [];
  return stdout.split('\n').flatMap((line): DriverGpu[] => {
    const fields = line.split(',').map((part) => part.trim());
    if (fields.length !== SMI_FIELDS.length || !/^\d+$/.test(fields[0] ?? '')) return [];
    const [index = '', name = '', bus = '', driverVersion = '', vbiosVersion = '', total = '', free = '', computeCapability = '', generation = '', width = ''] = fields;
    const mib = (text: string): number => (/^\d+$/.test(text) ? Number(text) * 1_048_576 : 0);
    return [{
      index: Number(index), name, address: bus.toLowerCase().replace(/^0000(?=[0-9a-f]{4}:)/, ''), driverVersion, vbiosVersion,
      memoryBytes: mib(total), freeBytes: mib(free), computeCapability, pcie: `gen ${generation} ×${width}`,
    }];
  });
}

/** Compares dotted versions part by part; parts are numbers in base `radix`. */
export function compareVersions(a: string, b: string, radix = 10): number {
  const [left, right] = [a, b].map((text) => text.split('.').map((part) => Number.parseInt(part, radix) || 0));
  for (let index = 0; index < Math.max(left?.length ?? 0, right?.length ?? 0); index += 1) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
