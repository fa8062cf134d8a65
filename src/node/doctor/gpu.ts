// GPUs: can they compute in confidential mode, is it on, are VBIOS and driver new enough and known to NVIDIA's manifests, do the
// GPUs of one board belong together, and on a host: IOMMU group, vfio-pci, locked memory. NVIDIA, Confidential Computing
// deployment guide: H100 VBIOS 96.00.5E.00.00, driver 550; RTX PRO 6000 Blackwell and B200 driver 580.
import { bytesText, fail, info, pass, skip } from './check.ts';
import { compareVersions, firstLine } from './facts.ts';
import { findKnown } from './known-messages.ts';
import type { Check, Examined, NamedOutcome, Outcome } from './check.ts';
import type { DriverGpu, GpuModel, PciGpu } from './facts.ts';

const WANTED = 'H100, H200, B200 or RTX PRO 6000 Blackwell Server Edition';
/** VBIOS parts are hexadecimal. */
const MIN_VBIOS: Readonly<Partial<Record<GpuModel['family'], string>>> = { hopper: '96.00.5E.00.00' };
const MIN_DRIVER: Readonly<Partial<Record<GpuModel['family'], string>>> = { hopper: '550.54.14', blackwell: '580.65.06' };
const CC_TOOL = 'nvidia_gpu_tools.py';
const MANIFEST_TIMEOUT_MS = 5_000;

/** The model of a GPU that the driver tells of: by its place on the bus, else by its name. */
function modelOf({ facts }: Examined, gpu: DriverGpu): GpuModel | null {
  const known = facts.gpus.find(({ address }) => gpu.address.endsWith(address) || address.endsWith(gpu.address))?.model;
  if (known !== undefined && known !== null) return known;
  const family = /\bH(?:100|200|800|20)\b/.test(gpu.name) ? 'hopper' : /\bB200\b|RTX PRO 6000 Blackwell/.test(gpu.name) ? 'blackwell' : 'other';
  const confidential = family !== 'other' && !/Workstation|Max-Q/.test(gpu.name);
  return { name: gpu.name, family, confidential, board: /HBM3|SXM|B200/.test(gpu.name) };
}

const nameOf = ({ address, model, device }: PciGpu): string => `${address} ${model?.name ?? `NVIDIA 10de:${device}`}`;

async function presence({ facts: { gpus, driverGpus, virtual }, role }: Examined): Promise<Outcome> {
  if (gpus.length === 0 && driverGpus.length === 0) {
    return fail('no NVIDIA GPU on the bus', { wanted: WANTED, cause: role === 'guest' || virtual ? 'this virtual machine was given none' : 'there is none', fix: [role === 'guest' || virtual ? 'pass one through: on the host, cocoon node provision --role host --gpu ADDRESS' : 'use a machine that has one', 'a local network computes on the CPU: cocoon localnet start'] });
  }
  return pass(driverGpus.length > 0 ? driverGpus.map(({ name, memoryBytes }) => `${name} ${bytesText(memoryBytes)}`).join(', ') : gpus.map(nameOf).join(', '));
}

async function capable(examined: Examined): Promise<NamedOutcome[]> {
  const { facts: { gpus, driverGpus } } = examined;
  const seen = driverGpus.length > 0 ? driverGpus.map((gpu) => ({ name: `GPU ${gpu.index}`, seen: gpu.name, model: modelOf(examined, gpu) })) : gpus.map((gpu) => ({ name: gpu.address, seen: gpu.model?.name ?? `10de:${gpu.device}`, model: gpu.model }));
  return seen.map(({ name, seen: what, model }) => {
    if (model === null) return { name, ...info(`${what}: not a model that is known here`) };
    if (model.confidential) return { name, ...pass(`${what} can`) };
    return { name, ...fail(what, { wanted: WANTED, cause: 'this model has no confidential mode', fix: ['use another GPU', 'networks without hardware attestation take any: cocoon localnet start'] }) };
  });
}

async function vbios(examined: Examined): Promise<NamedOutcome[]> {
  return examined.facts.driverGpus.flatMap((gpu): NamedOutcome[] => {
    const least = MIN_VBIOS[modelOf(examined, gpu)?.family ?? 'other'];
    if (least === undefined) return [{ name: `GPU ${gpu.index}`, ...info(gpu.vbiosVersion) }];
    if (compareVersions(gpu.vbiosVersion, least, 16) >= 0) return [{ name: `GPU ${gpu.index}`, ...pass(gpu.vbiosVersion) }];
    return [{ name: `GPU ${gpu.index}`, ...fail(gpu.vbiosVersion, { wanted: `${least} or newer`, cause: 'confidential mode came with that VBIOS, and there is no manifest for older ones', fix: ['ask the maker of the server (or NVIDIA) for the VBIOS, flash it on the host, then power the machine off and on'] }) }];
  });
}

async function driver(examined: Examined): Promise<Outcome | null> {
  const { facts: { driverGpus, smiFailure, hasSmi, gpus }, role } = examined;
  if (role === 'host') return null;
  const [first] = driverGpus;
  if (first === undefined) {
    if (gpus.length === 0) return null;
    const known = findKnown(smiFailure ?? '');
    return fail(hasSmi ? smiFailure ?? 'nvidia-smi lists no GPU' : 'no nvidia-smi', { wanted: 'a driver that has the GPU', cause: known?.meaning ?? 'the driver is not installed or did not take the GPU', fix: [known?.fix ?? 'apt-get install nvidia-driver-580-server-open', 'dmesg | grep -i nvrm'] });
  }
  const least = MIN_DRIVER[modelOf(examined, first)?.family ?? 'other'];
  if (least === undefined || compareVersions(first.driverVersion, least) >= 0) return pass(first.driverVersion);
  return { ...fail(first.driverVersion, { wanted: `${least} or newer`, cause: 'older drivers do not start this GPU in confidential mode', fix: ['apt-get install nvidia-driver-580-server-open'] }) };
}

async function smiWord({ machine }: Examined, flag: string, pattern: RegExp): Promise<string | null> {
  const output = await machine.run('nvidia-smi', ['conf-compute', flag]);
  return output === null || output.exitCode !== 0 ? null : pattern.exec(output.stdout)?.[1]?.trim() ?? null;
}

async function mode(examined: Examined): Promise<Outcome | null> {
  const { facts: { driverGpus } } = examined;
  if (!driverGpus.some((gpu) => modelOf(examined, gpu)?.confidential === true)) return null;
  const status = await smiWord(examined, '-f', /CC status\s*:\s*(\w+)/i);
  const tools = await smiWord(examined, '-d', /DevTools Mode\s*:\s*(\w+)/i);
  const address = driverGpus[0]?.address ?? 'BDF';
  const onHost = [`on the host, with the GPU bound to vfio-pci: ${CC_TOOL} --gpu-bdf=${address.replace(/^0000:/, '')} --set-cc-mode=on --reset-after-cc-mode-switch`, 'then reboot the host: a mode that was toggled breaks attestation until then'];
  if (status === null) return skip('nvidia-smi conf-compute -f does not say', ['update the driver']);
  if (status.toUpperCase() !== 'ON') return fail(`CC status: ${status}`, { wanted: 'ON', cause: 'the GPU computes without protection, and has no evidence to show', fix: onHost });
  if (tools !== null && tools.toUpperCase() === 'ON') return fail('CC status: ON, DevTools Mode: ON', { wanted: 'DevTools Mode: OFF', cause: 'in this mode the GPU\'s memory can be read for debugging; peers refuse it', fix: onHost });
  return pass(`CC status: ON${tools === null ? '' : `, DevTools Mode: ${tools.toUpperCase()}`}`);
}

async function ready(examined: Examined): Promise<Outcome | null> {
  if (examined.facts.driverGpus.length === 0) return null;
  const state = await smiWord(examined, '-grs', /Ready state\s*:\s*([\w -]+)/i);
  if (state === null) return null;
  return /^not[- ]?ready$/i.test(state) ? fail(state, { wanted: 'ready', cause: 'in confidential mode the GPU computes only after it was attested and set ready', fix: ['nvidia-smi conf-compute -srs 1', 'nvidia-persistenced --uvm-persistence-mode must run'] }) : pass(state);
}

async function boards(examined: Examined): Promise<Outcome | null> {
  const { facts: { driverGpus } } = examined;
  if (driverGpus.length < 2 || !driverGpus.some((gpu) => modelOf(examined, gpu)?.board === true)) return null;
  const multi = await smiWord(examined, '-mgm', /(?:Multi-?GPU Mode)\s*:\s*([\w -]+)/i);
  if (multi === null) return skip(`${driverGpus.length} GPUs of one board; nvidia-smi conf-compute -mgm does not say how they work together`, ['update the driver']);
  if (/protected|ppcie|nvle|mpt/i.test(multi)) return pass(`${driverGpus.length} GPUs, ${multi}`);
  return fail(`${driverGpus.length} GPUs, multi-GPU mode ${multi}`, {
    wanted: 'Protected PCIe (Hopper) or multi-GPU passthrough (Blackwell), with all GPUs and switches of the board in one guest', cause: 'GPUs of a board with NVSwitch trust one another only in this mode',
    fix: [`${CC_TOOL} --devices gpus,nvswitches --set-ppcie-mode=on --reset-after-ppcie-mode-switch, with confidential mode off`, 'pass all 8 GPUs and all switches to one guest'],
  });
}

async function passthrough(examined: Examined): Promise<NamedOutcome[]> {
  const { facts: { gpus }, machine } = examined;
  return Promise.all(gpus.map(async (gpu): Promise<NamedOutcome> => {
    const fix = [`cocoon node provision --role host --gpu ${gpu.address}`];
    if (gpu.iommuGroup === null) return { name: gpu.address, ...fail('no IOMMU group', { wanted: 'a group of its own', cause: 'the IOMMU is off', fix: ['BIOS: VT-d or AMD IOMMU on', 'kernel command line: intel_iommu=on iommu=pt'] }) };
    const members = await machine.list(`/sys/kernel/iommu_groups/${gpu.iommuGroup}/devices`);
    const slot = gpu.address.replace(/\.\d$/, '');
    const strangers: string[] = [];
    for (const member of members.filter((address) => !address.startsWith(slot))) {
      // Bridges stay with their driver.
      if (!(await contentOf(examined, `/sys/bus/pci/devices/${member}/class`)).startsWith('0x0604')) strangers.push(member);
    }
    if (strangers.length > 0) return { name: gpu.address, ...fail(`group ${gpu.iommuGroup} also has ${strangers.join(', ')}`, { wanted: 'the GPU alone', cause: 'all devices of a group go to the guest together', fix: ['BIOS: ACS on', 'move the GPU to another slot'] }) };
    if (gpu.driver !== 'vfio-pci') return { name: gpu.address, ...fail(`driver ${gpu.driver ?? 'none'}, group ${gpu.iommuGroup}`, { wanted: 'driver vfio-pci', cause: 'a driver of the host has the GPU, or none', fix }) };
    return { name: gpu.address, ...pass(`${gpu.model?.name ?? gpu.device}: vfio-pci, group ${gpu.iommuGroup}`) };
  }));
}

async function contentOf({ machine }: Examined, path: string): Promise<string> {
  const reading = await machine.read(path);
  return reading.kind === 'text' ? reading.text.trim() : '';
}

async function lockedMemory({ machine, facts: { gpus, memoryBytes } }: Examined): Promise<Outcome | null> {
  if (gpus.length === 0) return null;
  const limits = await machine.read('/proc/self/limits');
  const value = limits.kind === 'text' ? /^Max locked memory\s+(\S+)/m.exec(limits.text)?.[1] : undefined;
  if (value === undefined) return skip('/proc/self/limits does not say');
  if (value === 'unlimited' || Number(value) >= memoryBytes / 2) return pass(value === 'unlimited' ? value : bytesText(Number(value)));
  const unlimited = '# A guest with a GPU has all its memory locked.\n* hard memlock unlimited\n* soft memlock unlimited\nroot hard memlock unlimited\nroot soft memlock unlimited\n';
  return {
    ...fail(bytesText(Number(value)), { wanted: 'unlimited, or the memory of the guest', cause: 'a guest with a GPU has all its memory locked; VFIO_MAP_DMA fails otherwise', fix: ['LimitMEMLOCK=infinity in the unit that starts QEMU, or /etc/security/limits.d/cocoon.conf (--fix writes it; log in again after it)'] }),
    safeFix: { kind: 'file', path: '/etc/security/limits.d/cocoon.conf', content: unlimited, mode: 0o644 },
  };
}

async function manifests(examined: Examined): Promise<Outcome | NamedOutcome[] | null> {
  const { chain, network, signal, facts: { driverGpus } } = examined;
  if (!driverGpus.some((gpu) => modelOf(examined, gpu)?.confidential === true)) return null;
  const ids = await chain.gpuManifests(signal);
  return Promise.all(ids.map(async (id): Promise<NamedOutcome> => {
    const { status } = await network.ask(chain.manifestUrl(id), AbortSignal.any([signal, AbortSignal.timeout(MANIFEST_TIMEOUT_MS)]));
    if (status === 200) return { name: id, ...pass('exists') };
    if (status !== 404) return { name: id, ...skip(`NVIDIA's service answers HTTP status ${status}`) };
    return { name: id, ...fail('NVIDIA has no manifest under this id', { wanted: 'a manifest', cause: 'this version of VBIOS or driver cannot be attested', fix: [id.includes('VBIOS') ? 'flash a VBIOS version that NVIDIA has published a manifest for' : 'install a driver version that NVIDIA has published a manifest for: a data-centre release'] }) };
  }));
}

async function missingTool({ machine, facts: { driverGpus } }: Examined): Promise<Outcome | null> {
  if (driverGpus.length === 0) return null;
  const version = await machine.run('nvattest', ['version']);
  return version === null ? fail('no nvattest', { wanted: 'NVIDIA\'s attestation CLI', cause: 'evidence of the GPU is taken with it', fix: ['apt-get install nvattest'] }) : pass(firstLine(version.stdout) || 'nvattest');
}

export const GPU: readonly Check[] = [
  { id: 'gpu', title: 'GPU', attestationOnly: true, run: presence },
  { id: 'gpu-capable', title: 'confidential mode possible', attestationOnly: true, run: capable },
  { id: 'gpu-vbios', title: 'VBIOS', attestationOnly: true, run: vbios },
  { id: 'gpu-driver', title: 'driver', run: driver },
  { id: 'gpu-mode', title: 'confidential mode', roles: ['guest', 'bare'], attestationOnly: true, run: mode },
  { id: 'gpu-ready', title: 'ready state', roles: ['guest'], attestationOnly: true, run: ready },
  { id: 'gpu-board', title: 'several GPUs', attestationOnly: true, run: boards },
  { id: 'gpu-attest', title: 'attestation tool', roles: ['guest'], attestationOnly: true, run: missingTool },
  { id: 'gpu-manifest', title: 'manifest', roles: ['guest'], attestationOnly: true, run: manifests },
  { id: 'vfio', title: 'passthrough', roles: ['host'], attestationOnly: true, run: passthrough },
  { id: 'memlock', title: 'locked memory', roles: ['host'], attestationOnly: true, run: lockedMemory },
];
