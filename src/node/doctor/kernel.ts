// Kernel and QEMU: are they new enough for what this processor's guests need (TDX hosts: Linux 6.16 and QEMU 10.1; SEV-SNP hosts:
// Linux 6.11 and QEMU 9.1; guests: Linux 6.7), is the command line right, and does the kernel's log hold a message that is known.
// Patched kernels of distributions may be older: what they can do counts, not their number.
import { fail, info, pass, skip } from './check.ts';
import { compareVersions, firstLine } from './facts.ts';
import { knownIn } from './known-messages.ts';
import type { Check, Examined, NamedOutcome, Outcome } from './check.ts';

type Tee = 'tdx' | 'snp';
const HOST_KERNEL = { tdx: '6.16', snp: '6.11' } as const;
const HOST_QEMU = { tdx: '10.1', snp: '9.1' } as const;
const QEMU_OBJECT = { tdx: 'tdx-guest', snp: 'sev-snp-guest' } as const;
/** Brought configfs-tsm, through which evidence is taken. */
const GUEST_KERNEL = '6.7';
const MODULE = { tdx: 'kvm_intel', snp: 'kvm_amd' } as const;
const PARAMETER = { tdx: 'tdx', snp: 'sev_snp' } as const;
const FIRMWARE: Readonly<Record<Tee, readonly string[]>> = {
  tdx: ['/usr/share/ovmf/OVMF.inteltdx.fd', '/usr/share/ovmf/OVMF.tdx.fd', '/usr/share/edk2/ovmf/OVMF.inteltdx.fd', '/usr/share/qemu/OVMF.fd', '/usr/share/ovmf/OVMF.fd'],
  snp: ['/usr/share/ovmf/OVMF.amdsev.fd', '/usr/share/edk2/ovmf/OVMF.amdsev.fd', '/usr/share/ovmf/OVMF.fd'],
};
const MAX_SHOWN = 160;

async function hostKernel({ machine, facts: { kernel } }: Examined, tee: Tee): Promise<Outcome> {
  const seen = `Linux ${machine.release()}`;
  if (compareVersions(kernel.join('.'), HOST_KERNEL[tee]) >= 0) return pass(seen);
  const parameter = await machine.read(`/sys/module/${MODULE[tee]}/parameters/${PARAMETER[tee]}`);
  if (parameter.kind === 'text') return pass(`${seen}, which has ${MODULE[tee]}.${PARAMETER[tee]}`);
  return fail(seen, { wanted: `Linux ${HOST_KERNEL[tee]} or newer, or one whose ${MODULE[tee]} has ${PARAMETER[tee]}`, cause: `this kernel cannot start ${tee === 'tdx' ? 'TDX' : 'SEV-SNP'} guests`, fix: [tee === 'tdx' ? 'Ubuntu: the kernel of github.com/canonical/tdx; else a kernel from 6.16 on with CONFIG_INTEL_TDX_HOST' : 'a kernel from 6.11 on with CONFIG_KVM_AMD_SEV'] });
}

async function guestKernel({ machine, facts: { kernel, tee, cpu } }: Examined): Promise<Outcome> {
  const seen = `Linux ${machine.release()}`;
  if (await machine.exists('/sys/kernel/config/tsm/report')) return pass(`${seen}, with configfs-tsm`);
  if (compareVersions(kernel.join('.'), GUEST_KERNEL) < 0) return fail(seen, { wanted: `Linux ${GUEST_KERNEL} or newer`, cause: 'evidence is taken through configfs-tsm, which came with that version', fix: ['boot a newer kernel with CONFIG_TSM_REPORTS, and CONFIG_TDX_GUEST_DRIVER or CONFIG_SEV_GUEST'] });
  const name = (tee ?? cpu.confidential?.tee) === 'snp' ? 'sev-guest' : 'tdx_guest';
  if (tee === null) return fail(`${seen}, without /sys/kernel/config/tsm/report`, { wanted: '/sys/kernel/config/tsm/report', cause: 'this is no confidential guest, or its driver is not loaded', fix: ['run it inside a TDX or SEV-SNP guest: cocoon node doctor --role host, on the host', `modprobe ${name}, where it is one`] });
  return {
    ...fail(`${seen}, without /sys/kernel/config/tsm/report`, { wanted: '/sys/kernel/config/tsm/report', cause: 'configfs is not mounted, or no guest driver is loaded', fix: ['mount -t configfs none /sys/kernel/config', `modprobe ${name} (--fix does it)`] }),
    safeFix: { kind: 'module', name },
  };
}

async function kvm({ machine, facts: { cpu } }: Examined): Promise<Outcome> {
  if (await machine.exists('/dev/kvm')) return pass('/dev/kvm');
  const name = cpu.vendor === 'amd' ? 'kvm_amd' : 'kvm_intel';
  return { ...fail('no /dev/kvm', { wanted: '/dev/kvm', cause: 'virtualisation is off in the BIOS, or the module is not loaded', fix: ['BIOS: VT-x or SVM on', `modprobe ${name} (--fix does it)`] }), safeFix: { kind: 'module', name } };
}

async function qemu({ machine, facts: { cpu } }: Examined): Promise<Outcome> {
  const version = await machine.run('qemu-system-x86_64', ['--version']);
  const tee = cpu.confidential?.tee ?? 'tdx';
  const wanted = `QEMU ${HOST_QEMU[tee]} or newer, or one with the object ${QEMU_OBJECT[tee]}`;
  if (version === null) return fail('no qemu-system-x86_64', { wanted, cause: 'guests are started by it', fix: ['apt-get install qemu-system-x86'] });
  const number = /version (\d+(?:\.\d+)+)/.exec(version.stdout)?.[1];
  if (number === undefined) return skip(`qemu-system-x86_64 says ${JSON.stringify(firstLine(version.stdout).slice(0, MAX_SHOWN))}`);
  const objects = await machine.run('qemu-system-x86_64', ['-object', 'help']);
  if (objects?.stdout.includes(QEMU_OBJECT[tee]) === true) return pass(`QEMU ${number} with ${QEMU_OBJECT[tee]}`);
  if (objects === null && compareVersions(number, HOST_QEMU[tee]) >= 0) return pass(`QEMU ${number}`);
  return fail(`QEMU ${number}`, { wanted, cause: `this QEMU cannot start ${tee === 'tdx' ? 'TDX' : 'SEV-SNP'} guests`, fix: [tee === 'tdx' ? 'Ubuntu: the packages of github.com/canonical/tdx; else QEMU 10.1' : 'QEMU 9.1 or newer'] });
}

async function firmware({ machine, facts: { cpu } }: Examined): Promise<Outcome> {
  const tee = cpu.confidential?.tee ?? 'tdx';
  for (const path of FIRMWARE[tee]) if (await machine.exists(path)) return pass(path);
  return fail('no OVMF found', { wanted: FIRMWARE[tee][0] ?? '', cause: 'the guest starts with this firmware, and it is a part of what is measured', fix: ['apt-get install ovmf'] });
}

async function commandLine({ facts: { commandLine: line, cpu }, machine }: Examined): Promise<Outcome> {
  const words = line.split(/\s+/);
  const wrong = words.filter((word) => ['iommu=off', 'intel_iommu=off', 'amd_iommu=off'].includes(word));
  const groups = await machine.list('/sys/kernel/iommu_groups');
  if (wrong.length > 0 || groups.length === 0) {
    return fail(wrong.length > 0 ? wrong.join(' ') : 'no IOMMU groups', { wanted: cpu.vendor === 'intel' ? 'intel_iommu=on iommu=pt' : 'iommu=nopt', cause: 'without an IOMMU no GPU can be passed through', fix: [`kernel command line: ${cpu.vendor === 'intel' ? 'intel_iommu=on iommu=pt' : 'amd_iommu=on'}`, 'BIOS: VT-d or AMD IOMMU on'] });
  }
  if (cpu.confidential?.tee === 'tdx' && !words.includes('nohibernate') && (await machine.read('/sys/power/disk')).kind === 'text' && !/\[disabled\]/.test(await diskState(machine))) {
    return fail('hibernation is possible', { wanted: 'nohibernate', cause: 'Linux starts TDX only where hibernation is off for good', fix: ['kernel command line: nohibernate'] });
  }
  return pass(`IOMMU with ${groups.length} groups${words.includes('nohibernate') ? ', nohibernate' : ''}`);
}

const diskState = async (machine: Examined['machine']): Promise<string> => {
  const reading = await machine.read('/sys/power/disk');
  return reading.kind === 'text' ? reading.text : '';
};

async function kernelLog({ machine, facts }: Examined): Promise<Outcome | NamedOutcome[]> {
  if (facts.container !== null) return info('not looked at in a container: it is the host\'s');
  const log = await machine.run('dmesg', []);
  if (log === null || log.exitCode !== 0) return skip(log === null ? 'there is no dmesg' : firstLine(log.stderr).slice(0, MAX_SHOWN) || 'dmesg failed', ['run as root']);
  const known = knownIn(log.stdout);
  if (known.length === 0) return pass('no known message');
  return known.map(({ message, line }): NamedOutcome => ({ name: message.subject, ...fail(line.slice(0, MAX_SHOWN), { cause: message.meaning, fix: [message.fix] }) }));
}

export const KERNEL: readonly Check[] = [
  {
    id: 'kernel', title: 'kernel', attestationOnly: true,
    run: async (examined) => {
      const { role, machine, facts: { cpu } } = examined;
      if (machine.platform !== 'linux') return info(`${machine.platform} ${machine.release()}: local networks only`);
      if (role === 'guest') return guestKernel(examined);
      if (role === 'host' && cpu.confidential !== null) return hostKernel(examined, cpu.confidential.tee);
      return info(`Linux ${machine.release()}`);
    },
  },
  { id: 'command-line', title: 'kernel command line', roles: ['host'], attestationOnly: true, run: commandLine },
  { id: 'kvm', title: 'KVM', roles: ['host'], attestationOnly: true, run: kvm },
  { id: 'qemu', title: 'QEMU', roles: ['host'], attestationOnly: true, run: qemu },
  { id: 'firmware', title: 'guest firmware', roles: ['host'], attestationOnly: true, run: firmware },
  { id: 'kernel-log', title: 'kernel log', required: false, run: kernelLog },
];
