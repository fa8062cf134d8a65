// The confidential guest: QEMU's command line with the GPU passed through, and the definition of an image (mkosi) in which
// `cocoon node start` is what runs. The root file system is read-only and bound by dm-verity to the kernel image, which is what TDX
// and SEV-SNP measure; the same inputs give the same image. QEMU 10.1 docs: system/i386/tdx.rst, amd-memory-encryption.rst.
import { HARDENING, nodeUnit, SYSTEM_CALLS } from './units.ts';

export type GuestTee = 'tdx' | 'snp';

export interface GuestOptions {
  readonly tee: GuestTee;
  /** PCI addresses of the GPUs, `0000:17:00.0`. */
  readonly gpus: readonly string[];
  readonly memoryGib: number;
  readonly cpus: number;
  /** Absolute folder that holds what mkosi made. */
  readonly imageFolder: string;
  readonly network: string;
  /** Model that the guest serves: `org/repo:quant` is pulled when it starts. Null: the small one that comes with the program. */
  readonly model: string | null;
}

export interface GuestFile {
  /** Relative to the folder that everything is written into. */
  readonly path: string;
  readonly content: string;
  readonly mode: number;
}

const QEMU = '/usr/bin/qemu-system-x86_64';
const FIRMWARE: Readonly<Record<GuestTee, string>> = { tdx: '/usr/share/ovmf/OVMF.inteltdx.fd', snp: '/usr/share/ovmf/OVMF.amdsev.fd' };
const STATE = '/var/lib/cocoon-guest';
/** Quote generation service of the host: vsock port of its documentation. */
const QUOTE_SOCKET = { 'qom-type': 'tdx-guest', id: 'tee0', 'quote-generation-socket': { type: 'vsock', cid: '2', port: '4050' } } as const;
/** Production: no debugging, migration agent refused, SMT allowed (SEV-SNP ABI, table 9). */
const SNP_POLICY = '0x30000';
/** Everything that mkosi writes carries this time: 2026-01-01. */
const EPOCH = 1_767_225_600;
const SNAPSHOT = '20260101T000000Z';
const SEED = '6f0c7d1e-9a52-4c1b-8f0e-3f5f6f9b2a10';

/** QEMU and its arguments, as an array: nothing of it is read by a shell. */
export function qemuCommand({ tee, gpus, memoryGib, cpus, imageFolder }: GuestOptions): string[] {
  const confidential = tee === 'tdx'
    ? ['-object', JSON.stringify(QUOTE_SOCKET), '-machine', 'q35,kernel-irqchip=split,confidential-guest-support=tee0,smm=off', '-cpu', 'host']
    : ['-object', `memory-backend-memfd,id=ram0,size=${memoryGib}G,share=true`, '-object', `sev-snp-guest,id=tee0,policy=${SNP_POLICY},cbitpos=51,reduced-phys-bits=1,kernel-hashes=on`, '-machine', 'q35,confidential-guest-support=tee0,memory-backend=ram0,vmport=off', '-cpu', 'EPYC-v4'];
  const passthrough = gpus.flatMap((address, index) => [
    '-device', `pcie-root-port,id=port${index},bus=pcie.0,chassis=${index + 1},slot=${index + 1}`,
    '-device', `vfio-pci,host=${address},bus=port${index},iommufd=iommufd0`,
  ]);
  return [
    QEMU, '-name', 'cocoon', '-accel', 'kvm', ...confidential, '-smp', String(cpus), '-m', `${memoryGib}G`,
    '-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio', '-no-reboot',
    '-bios', FIRMWARE[tee], '-kernel', `${imageFolder}/cocoon-guest.efi`,
    '-drive', `if=none,id=system,format=raw,readonly=on,file=${imageFolder}/cocoon-guest.raw`, '-device', 'virtio-blk-pci,drive=system,disable-legacy=on,iommu_platform=on',
    '-drive', `if=none,id=state,format=raw,file=${STATE}/state.raw`, '-device', 'virtio-blk-pci,drive=state,serial=cocoon-state,disable-legacy=on,iommu_platform=on',
    '-drive', `if=none,id=scratch,format=raw,discard=unmap,file=${STATE}/scratch.raw`, '-device', 'virtio-blk-pci,drive=scratch,serial=cocoon-scratch,disable-legacy=on,iommu_platform=on',
    '-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,disable-legacy=on,iommu_platform=on',
    '-device', 'vhost-vsock-pci,guest-cid=3',
    ...gpus.length === 0 ? [] : ['-object', 'iommufd,id=iommufd0', '-fw_cfg', 'name=opt/ovmf/X-PciMmio64,string=262144', ...passthrough],
  ];
}

/** The same for a person: a shell script, one option a line. */
export function qemuScript(options: GuestOptions): string {
  const [program = QEMU, ...rest] = qemuCommand(options);
  const quoted = rest.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`));
  const lines: string[] = [];
  for (const word of quoted) {
    if (word.startsWith('-')) lines.push(word);
    else lines.push(`${lines.pop() ?? ''} ${word}`.trimStart());
  }
  return `#!/bin/sh
# Starts the guest by hand, for trying out; cocoon-guest.service starts it for good.
# The disks are made once, in ${STATE}: truncate -s 8G state.raw; mkfs.ext4 -L cocoon-state state.raw; truncate -s 200G scratch.raw
set -eu
exec ${program} \\
  ${lines.join(' \\\n  ')}
`;
}

/** The definition of the image: `mkosi build` in the folder makes cocoon-guest.efi and cocoon-guest.raw. */
export function imageDefinition(options: GuestOptions): GuestFile[] {
  const { tee, gpus, model } = options;
  const nvidia = gpus.length > 0;
  // A reference to a repository is pulled when the guest starts; there is nobody in it who could.
  const pull = model !== null && model.includes('/') ? { reference: model, name: nameOfReference(model) } : null;
  const served = pull?.name ?? model;
  return [
    { path: 'mkosi.conf', mode: 0o644, content: `# An image in which \`cocoon node start\` is what runs. Made twice from the same inputs it is the same: packages of one day, one
# time for all files, one seed for all identifiers. Measure it with: cocoon attest measure
[Distribution]
Distribution=debian
Release=trixie
Snapshot=${SNAPSHOT}
${nvidia ? 'Repositories=main,contrib,non-free,non-free-firmware\n' : ''}
[Output]
Format=disk
ImageId=cocoon-guest
OutputDirectory=mkosi.output
SplitArtifacts=uki
ManifestFormat=json
Seed=${SEED}

[Content]
SourceDateEpoch=${EPOCH}
Bootable=yes
Bootloader=none
UnifiedKernelImages=yes
# No console login, no shell for anybody: there is nothing to log in to.${nvidia ? ' Modules come from the measured root only; the GPU\'s has no signature\n# that the kernel knows, so that lockdown would keep it out.' : ''}
KernelCommandLine=console=ttyS0 ro quiet systemd.verity=yes${nvidia ? '' : ' lockdown=confidentiality'} systemd.getty_auto=no rd.shell=0 rd.emergency=poweroff
Packages=
    systemd
    systemd-boot-efi
    systemd-resolved
    systemd-timesyncd
    udev
    kmod
    dbus
    ca-certificates
    cryptsetup-bin
    e2fsprogs
    linux-image-amd64
    nodejs
${nvidia ? `    linux-headers-amd64
    nvidia-open-kernel-dkms
    nvidia-smi
    nvidia-persistenced
    libcuda1
    libcudart12
    libcublas12
    nvattest
# Packages that the distribution does not have (NVIDIA's attestation CLI) are put into packages/ beside this file.
PackageDirectories=packages
` : ''}# The program, as \`npm pack\` made it, with its dependencies: put into cocoon/ beside this file.
ExtraTrees=cocoon:/opt/cocoon
RemoveFiles=
    /var/log/*
    /var/cache/*
    /etc/machine-id
    /usr/share/doc/*
    /usr/share/man/*
CleanPackageMetadata=yes

[Validation]
SecureBoot=no
Checksum=yes
` },
    { path: 'mkosi.repart/10-root.conf', mode: 0o644, content: '[Partition]\nType=root\nFormat=erofs\nCopyFiles=/\nVerity=data\nVerityMatchKey=root\nMinimize=best\nSplitName=root\n' },
    { path: 'mkosi.repart/20-root-verity.conf', mode: 0o644, content: '[Partition]\nType=root-verity\nVerity=hash\nVerityMatchKey=root\nMinimize=best\n' },
    { path: 'mkosi.extra/usr/lib/systemd/system/cocoon-node.service', mode: 0o644, content: nodeUnit({ program: ['/usr/bin/node', '/opt/cocoon/bin/cocoon'], user: 'cocoon', network: options.network, arguments: served === null ? [] : ['--model', served], passphrase: 'state' }, 'guest') },
    { path: 'mkosi.extra/usr/lib/systemd/system/var-lib-cocoon.mount', mode: 0o644, content: STATE_MOUNT },
    { path: 'mkosi.extra/usr/lib/systemd/system/cocoon-scratch.service', mode: 0o644, content: SCRATCH },
    { path: 'mkosi.extra/usr/lib/systemd/system/var-lib-cocoon-models.mount', mode: 0o644, content: SCRATCH_MOUNT },
    ...pull === null ? [] : [{ path: 'mkosi.extra/usr/lib/systemd/system/cocoon-model.service', mode: 0o644, content: modelUnit(pull) }],
    { path: 'mkosi.extra/usr/lib/sysusers.d/cocoon.conf', mode: 0o644, content: 'u cocoon - "Cocoon node" /var/lib/cocoon /usr/sbin/nologin\n' },
    { path: 'mkosi.extra/usr/lib/modules-load.d/cocoon.conf', mode: 0o644, content: `${tee === 'tdx' ? 'tdx_guest' : 'sev-guest'}\n` },
    { path: 'mkosi.extra/usr/lib/systemd/system-preset/00-cocoon.preset', mode: 0o644, content: `enable cocoon-node.service\nenable var-lib-cocoon.mount\nenable var-lib-cocoon-models.mount\n${pull === null ? '' : 'enable cocoon-model.service\n'}enable systemd-resolved.service\nenable systemd-networkd.service\nenable systemd-timesyncd.service\ndisable *\n` },
    { path: 'mkosi.extra/etc/systemd/network/50-virtio.network', mode: 0o644, content: '[Match]\nDriver=virtio_net\n\n[Network]\nDHCP=yes\n' },
    ...nvidia ? [{ path: 'mkosi.extra/etc/systemd/system/nvidia-persistenced.service.d/cocoon.conf', mode: 0o644, content: PERSISTENCE }] : [],
  ];
}

/** `Qwen/Qwen3-8B-GGUF:Q4_K_M` → `qwen3-8b-q4_k_m`. */
function nameOfReference(reference: string): string {
  const [path = '', quant] = reference.split(':');
  const parts = path.split('/');
  const base = (parts.length > 2 ? parts.at(-1) ?? '' : parts[1] ?? path).replace(/\.gguf$/i, '').replace(/-gguf$/i, '');
  return `${base}${quant === undefined ? '' : `-${quant}`}`.toLowerCase().replace(/[^a-z0-9._-]/g, '-');
}

/** What the operator owns (keys, payment book) and may see; nothing of any prompt is ever written. */
const STATE_MOUNT = `[Unit]
Description=State that outlives the guest: the operator's keys and payment book
Before=cocoon-node.service

[Mount]
What=/dev/disk/by-id/virtio-cocoon-state
Where=/var/lib/cocoon
Type=ext4
Options=nodev,nosuid,noexec

[Install]
RequiredBy=cocoon-node.service
`;

/** What the host must be able neither to read nor to replace after it was checked: models, on a disk whose key dies with the guest. */
const SCRATCH = `[Unit]
Description=Encrypted disk for models
Requires=dev-disk-by\\x2did-virtio\\x2dcocoon\\x2dscratch.device
After=dev-disk-by\\x2did-virtio\\x2dcocoon\\x2dscratch.device

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 512 --key-file /dev/urandom /dev/disk/by-id/virtio-cocoon-scratch scratch
ExecStart=/usr/sbin/mkfs.ext4 -q -E lazy_itable_init=1 /dev/mapper/scratch
LimitMEMLOCK=infinity
LimitCORE=0

${HARDENING}ProtectKernelTunables=yes
MemoryDenyWriteExecute=yes
PrivateNetwork=yes
IPAddressDeny=any
# Root with what the device mapper asks for, and a key that is never swapped out. The file system is mounted by systemd itself.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_IPC_LOCK
DevicePolicy=closed
DeviceAllow=/dev/mapper/control rw
DeviceAllow=block-virtblk rw
DeviceAllow=block-device-mapper rw
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_ALG
${SYSTEM_CALLS}`;

const SCRATCH_MOUNT = `[Unit]
Description=Models
# By default all other file systems of the machine would wait for this one, and so would what makes it.
DefaultDependencies=no
Requires=cocoon-scratch.service
After=cocoon-scratch.service
Before=cocoon-node.service umount.target
Conflicts=umount.target

[Mount]
What=/dev/mapper/scratch
Where=/var/lib/cocoon/models
Type=ext4
Options=nodev,nosuid,noexec

[Install]
RequiredBy=cocoon-node.service
`;

const modelUnit = ({ reference, name }: { readonly reference: string; readonly name: string }): string => `[Unit]
Description=The model that the node serves
Wants=network-online.target
Requires=var-lib-cocoon-models.mount
After=network-online.target var-lib-cocoon-models.mount
Before=cocoon-node.service

[Service]
Type=oneshot
RemainAfterExit=yes
User=cocoon
Group=cocoon
ExecStart=/usr/bin/node /opt/cocoon/bin/cocoon models pull ${reference} --name ${name} --home /var/lib/cocoon
StateDirectory=cocoon cocoon/models
StateDirectoryMode=0700
Restart=on-failure
RestartSec=10
LimitCORE=0

# Not MemoryDenyWriteExecute: V8 compiles code at run time.
${HARDENING}ProtectKernelTunables=yes
PrivateDevices=yes
PrivateUsers=yes
CapabilityBoundingSet=
AmbientCapabilities=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
${SYSTEM_CALLS}
[Install]
RequiredBy=cocoon-node.service
`;

/** In confidential mode the driver must keep its state, and the GPU computes only after it was set ready. */
export const PERSISTENCE = '[Service]\nExecStart=\nExecStart=/usr/bin/nvidia-persistenced --uvm-persistence-mode --verbose\n';
