// What each role of machine needs, as a plan of steps. Pure: what the machine is comes in as facts.
//   host   starts confidential guests with a GPU        guest  is one, and serves        bare  serves without attestation
import { CREDENTIAL_COMMAND, guestUnit, nodeUnit } from './units.ts';
import { PERSISTENCE, qemuCommand } from './guest.ts';
import type { Plan, Step } from './step.ts';

export interface PlanOptions {
  readonly role: Plan['role'];
  /** Of the host's processor, or the guest; null where there is none. */
  readonly tee: 'tdx' | 'snp' | null;
  readonly vendor: 'intel' | 'amd' | 'other';
  /** PCI addresses of the GPUs to pass through (host). */
  readonly gpus: readonly string[];
  /** True: the GPU is switched to confidential mode. */
  readonly confidentialMode: boolean;
  /** NVIDIA's admin tool. */
  readonly gpuTool: string;
  readonly hasGpu: boolean;
  readonly program: readonly string[];
  readonly network: string;
  readonly arguments: readonly string[];
  readonly memoryGib: number;
  readonly cpus: number;
  /** False: another root than `/`, where nothing can be run. */
  readonly commands: boolean;
}

const USER = 'cocoon';
const IMAGES = '/var/lib/cocoon-guest/image';

const file = (id: string, title: string, path: string, content: string, mode = 0o644): Step => ({ id, title, action: { kind: 'file', path, content, mode } });
const folder = (id: string, title: string, path: string, mode: number): Step => ({ id, title, action: { kind: 'folder', path, mode } });
const packages = (title: string, ...names: string[]): Step => ({ id: 'packages', title, action: { kind: 'packages', names } });
/** A command after files were written, and again after they were taken back. */
const around = (id: string, title: string, argv: readonly string[], steps: readonly Step[]): Step[] => [
  { id: `${id}-undo`, title: `${title}, when it is taken back`, action: { kind: 'refresh', when: 'undo', argv } }, ...steps, { id, title, action: { kind: 'refresh', when: 'apply', argv } },
];

/** The plan of a role. */
export function planFor(options: PlanOptions): Plan {
  const { role, commands } = options;
  const steps = (role === 'host' ? hostSteps(options) : servingSteps(options)).filter(({ action }) => commands || action.kind === 'file' || action.kind === 'folder');
  return { role, steps, after: afterOf(options), warnings: warningsOf(options) };
}

const userStep = (groups: readonly string[]): Step => ({
  id: 'user', title: 'a user without a password and without a shell',
  action: {
    kind: 'command', check: ['getent', 'passwd', USER],
    apply: [['useradd', '--system', '--user-group', '--no-create-home', '--home-dir', '/var/lib/cocoon', '--shell', '/usr/sbin/nologin', ...groups.length > 0 ? ['--groups', groups.join(',')] : [], USER]],
    undo: [['userdel', USER]],
  },
});

const limits = file('limits', 'locked memory without a limit for the service', '/etc/security/limits.d/90-cocoon.conf', `# All memory of a guest with a GPU is locked, and so are a model's weights.\n${USER} hard memlock unlimited\n${USER} soft memlock unlimited\n${USER} hard nofile 65536\n${USER} soft nofile 65536\n`);

const enable = (unit: string): Step => ({ id: `enable-${unit}`, title: `start ${unit} with the machine`, action: { kind: 'command', check: ['systemctl', 'is-enabled', '--quiet', unit], apply: [['systemctl', 'enable', unit]], undo: [['systemctl', 'disable', '--now', unit]] } });

function hostSteps(options: PlanOptions): Step[] {
  const { tee, vendor, gpus, confidentialMode, gpuTool, memoryGib, cpus, network } = options;
  const parameters = vendor === 'amd' ? ['amd_iommu=on', 'mem_encrypt=on', 'kvm_amd.sev=1', 'iommu=nopt'] : ['intel_iommu=on', 'iommu=pt', 'kvm_intel.tdx=1', 'nohibernate'];
  const unit = guestUnit({ user: USER }, qemuCommand({ tee: tee ?? 'tdx', gpus, memoryGib, cpus, imageFolder: IMAGES, network, model: null }), gpus);
  return [
    packages('QEMU, its firmware and what builds the guest\'s image', 'qemu-system-x86', 'ovmf', 'mkosi', ...tee === 'tdx' ? ['tdx-qgs', 'libsgx-dcap-default-qpl'] : []),
    ...around('update-grub', 'the boot loader reads its kernel parameters', ['update-grub'], [
      file('kernel-parameters', `kernel parameters: ${parameters.join(' ')}`, '/etc/default/grub.d/90-cocoon.cfg', `# Confidential guests with a GPU.\nGRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT ${parameters.join(' ')}"\n`),
    ]),
    file('module-options', 'options of kernel modules: TDX or SEV-SNP on, DMA mappings enough for a guest with a GPU', '/etc/modprobe.d/90-cocoon.conf', `${vendor === 'amd' ? 'options kvm_amd sev=1 sev_es=1 sev_snp=1' : 'options kvm_intel tdx=1'}\noptions vfio_iommu_type1 dma_entry_limit=4294967295\n`),
    file('modules', 'modules for passthrough are loaded with the machine', '/etc/modules-load.d/90-cocoon.conf', 'vfio\nvfio_pci\nvhost_vsock\n'),
    ...around('udev', 'udev reads its rules', ['udevadm', 'control', '--reload'], [
      file('vfio', gpus.length === 0 ? 'the service may open VFIO groups' : `${gpus.join(', ')} belongs to vfio-pci from the next boot on, and the service may open it`, '/etc/udev/rules.d/10-cocoon-vfio.rules', `${gpus.map((address) => `ACTION=="add", SUBSYSTEM=="pci", KERNEL=="${address}", ATTR{driver_override}="vfio-pci"\n`).join('')}SUBSYSTEM=="vfio", OWNER="${USER}", MODE="0600"\nKERNEL=="sev", GROUP="kvm", MODE="0660"\n`),
    ]),
    userStep(['kvm']),
    limits,
    folder('images', 'where the guest\'s image lies', IMAGES, 0o755),
    ...around('daemon-reload', 'systemd reads its units', ['systemctl', 'daemon-reload'], [file('guest-unit', 'the unit that starts the guest', '/etc/systemd/system/cocoon-guest.service', unit)]),
    enable('cocoon-guest.service'),
    ...confidentialMode ? gpus.map((address): Step => modeStep(address, gpuTool)) : [],
  ];
}

/** By NVIDIA's admin tool: reset included; attestation works after the host's next boot. */
function modeStep(address: string, tool: string): Step {
  const short = address.replace(/^0000:/, '');
  const set = (mode: 'on' | 'off'): string[] => [tool, `--gpu-bdf=${short}`, `--set-cc-mode=${mode}`, '--reset-after-cc-mode-switch'];
  return {
    id: `cc-mode-${address}`, title: `confidential mode of the GPU ${address}`,
    action: { kind: 'command', check: ['sh', '-c', 'exec "$0" "--gpu-bdf=$1" --query-cc-mode 2>&1 | grep -qiE "CC mode( is|:) on"', tool, short], apply: [set('on')], undo: [set('off')] },
  };
}

function servingSteps(options: PlanOptions): Step[] {
  const { role, tee, hasGpu, program, network, arguments: more } = options;
  const guest = role === 'guest';
  const unit = nodeUnit({ program, user: USER, network, arguments: more }, guest ? 'guest' : 'bare');
  return [
    ...hasGpu ? [packages('the open driver of the GPU, and NVIDIA\'s attestation CLI', 'nvidia-driver-580-server-open', 'libcublas-12-6', 'cuda-cudart-12-6', ...guest ? ['nvattest'] : [])] : [],
    ...guest ? [file('modules', 'the module that evidence is taken through', '/etc/modules-load.d/90-cocoon.conf', `${tee === 'snp' ? 'sev-guest' : 'tdx_guest'}\n`)] : [],
    userStep(hasGpu ? ['video', 'render'] : []),
    limits,
    folder('configuration', 'folder of the configuration', '/etc/cocoon', 0o755),
    folder('credentials', 'folder of the encrypted credentials', '/etc/cocoon/credentials', 0o700),
    ...around('daemon-reload', 'systemd reads its units', ['systemctl', 'daemon-reload'], [
      ...guest && hasGpu ? [file('persistence', 'the driver keeps its state, as confidential mode needs it', '/etc/systemd/system/nvidia-persistenced.service.d/cocoon.conf', PERSISTENCE)] : [],
      file('node-unit', 'the unit that starts the node', '/etc/systemd/system/cocoon-node.service', unit),
    ]),
    enable('cocoon-node.service'),
  ];
}

function afterOf({ role, gpus }: PlanOptions): string[] {
  if (role === 'host') {
    return [
      'reboot: kernel parameters, module options and the binding of the GPU take effect then',
      'cocoon node provision --print-guest tdx --out DIR (or snp) writes the definition of the guest\'s image; build it there with mkosi and copy mkosi.output/* to /var/lib/cocoon-guest/image',
      'in /var/lib/cocoon-guest: truncate -s 8G state.raw && truncate -s 200G scratch.raw && mkfs.ext4 -L cocoon-state state.raw && chown cocoon: *.raw',
      `cocoon node doctor --role host${gpus.length > 0 ? '' : ', and name the GPU: --gpu 0000:17:00.0'}`,
      'systemctl start cocoon-guest',
    ];
  }
  return [CREDENTIAL_COMMAND, `cocoon node doctor --role ${role}`, 'systemctl start cocoon-node'];
}

function warningsOf({ role, tee, gpus, commands, program }: PlanOptions): string[] {
  return [
    ...role === 'host' && tee === null ? ['this processor has neither TDX nor SEV-SNP: guests on it cannot prove anything'] : [],
    ...role === 'host' && gpus.length === 0 ? ['no GPU was named (--gpu ADDRESS): none is passed through'] : [],
    ...role === 'bare' ? ['a bare machine proves nothing: only networks without hardware attestation accept it'] : [],
    ...role !== 'host' && program.some((word) => /^\/(?:home|root)\//.test(word)) ? ['the program lies in a home directory, which the unit cannot read: install it for the whole system (npm install --global --prefix /usr)'] : [],
    ...commands ? [] : ['with another root than / only files and folders are made: packages, users and services are left out'],
  ];
}
