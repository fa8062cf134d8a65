// Hardware: is this processor one that guests can be attested on, is that enabled, is there an SGX device where quotes need it,
// memory and disk. What is asked of a machine depends on its part: host, guest or neither.
import { bytesText, fail, info, pass, skip } from './check.ts';
import type { Check, Examined, Outcome } from './check.ts';

const GIB = 1024 ** 3;
/** Least for the operating system, this program and a small model. */
const MIN_MEMORY_BYTES = 2 * GIB;
const MIN_DISK_BYTES = 2 * GIB;
const WANTED_CPU = 'Intel Xeon of the 5th generation or newer (Sapphire Rapids with TDX in some variants), or AMD EPYC 9004 (Genoa) or newer';
const TEE_NAMES = { tdx: 'Intel TDX', snp: 'AMD SEV-SNP' } as const;

const isOn = (text: string): boolean => /^[Y1]/i.test(text.trim());

async function parameter({ machine }: Examined, module: string, name: string): Promise<string | null> {
  const reading = await machine.read(`/sys/module/${module}/parameters/${name}`);
  return reading.kind === 'text' ? reading.text.trim() : null;
}

async function tdxHost(examined: Examined): Promise<Outcome> {
  const value = await parameter(examined, 'kvm_intel', 'tdx');
  if (value !== null && isOn(value)) return pass('enabled (kvm_intel.tdx = Y)');
  if (value === null) {
    return fail('this kernel\'s kvm_intel has no parameter tdx', {
      wanted: '/sys/module/kvm_intel/parameters/tdx = Y', cause: 'the kernel was built without TDX for hosts, or kvm_intel is not loaded',
      fix: ['boot Linux 6.16 or newer, or your distribution\'s kernel for TDX (Ubuntu: the packages of github.com/canonical/tdx)', 'modprobe kvm_intel'],
    });
  }
  return fail(`kvm_intel.tdx = ${value}`, {
    wanted: 'Y', cause: examined.facts.cpu.flags.has('tdx_host_platform') ? 'TDX is on in the BIOS, but KVM was not told to use it' : 'TDX is off in the BIOS, or KVM was not told to use it',
    fix: ['BIOS: enable Total Memory Encryption (TME, TME-MT), TDX, the SEAM loader and SGX', 'kernel command line: kvm_intel.tdx=1 nohibernate', 'cocoon node provision --role host does the latter'],
  });
}

async function snpHost(examined: Examined): Promise<Outcome> {
  const value = await parameter(examined, 'kvm_amd', 'sev_snp');
  if (value !== null && isOn(value)) {
    if (await examined.machine.exists('/dev/sev')) return pass('enabled (kvm_amd.sev_snp = Y, /dev/sev)');
    return fail('kvm_amd.sev_snp = Y, but no /dev/sev', { wanted: '/dev/sev', cause: 'the driver of the secure processor is not loaded or has failed', fix: ['modprobe ccp', 'dmesg | grep -i ccp'] });
  }
  return fail(value === null ? 'this kernel\'s kvm_amd has no parameter sev_snp' : `kvm_amd.sev_snp = ${value}`, {
    wanted: 'Y', cause: value === null ? 'the kernel was built without SEV-SNP for hosts, or kvm_amd is not loaded' : 'SEV-SNP is off in the BIOS or its memory is not reserved',
    fix: ['BIOS: SMEE, SEV-SNP, SNP memory (RMP table) coverage, SEV ASID limit above 1, IOMMU', 'boot Linux 6.11 or newer', 'kernel command line: mem_encrypt=on kvm_amd.sev=1 iommu=nopt'],
  });
}

async function disk({ machine, home }: Examined): Promise<Outcome> {
  const space = await machine.disk(home);
  if (space === null) return skip(`the file system of ${home} tells nothing of its space`);
  const seen = `${bytesText(space.freeBytes)} of ${bytesText(space.totalBytes)} free for ${home}`;
  return space.freeBytes >= MIN_DISK_BYTES ? pass(seen) : fail(seen, { wanted: `at least ${bytesText(MIN_DISK_BYTES)}`, cause: 'models and the payment book have no room', fix: ['free space, or put the state on another disk with --home', 'cocoon models list --local, then cocoon models rm NAME'] });
}

export const HARDWARE: readonly Check[] = [
  {
    id: 'cpu', title: 'processor', attestationOnly: true,
    run: async ({ facts: { cpu }, role }) => {
      if (cpu.confidential === null) {
        if (role === 'guest') return info(cpu.name);
        return fail(cpu.name, { wanted: WANTED_CPU, cause: 'this processor has neither Intel TDX nor AMD SEV-SNP', fix: ['use another machine, or rent a confidential virtual machine with a GPU', 'a local network needs none: cocoon localnet start'] });
      }
      const { tee, codeName, degraded } = cpu.confidential;
      const seen = `${cpu.name} (${codeName}, ${TEE_NAMES[tee]})`;
      if (degraded) return fail(seen, { wanted: WANTED_CPU, cause: 'the root seeds of this generation were extracted and published in 2026: peers refuse its evidence unless their policy names it', fix: ['use a machine of a newer generation'] });
      return pass(seen);
    },
  },
  {
    id: 'tee', title: 'confidential guests', roles: ['host'], attestationOnly: true,
    run: async (examined) => {
      const tee = examined.facts.cpu.confidential?.tee;
      if (examined.facts.virtual) return fail('this is a virtual machine itself', { wanted: 'the machine itself', cause: 'confidential guests are started by the host, not from inside a virtual machine', fix: ['run this on the host', 'where the provider starts the guest: cocoon node doctor --role guest, inside it'] });
      if (tee === undefined) return fail('no TDX and no SEV-SNP', { wanted: 'Intel TDX or AMD SEV-SNP', cause: 'the processor has neither', fix: ['use another machine'] });
      return tee === 'tdx' ? tdxHost(examined) : snpHost(examined);
    },
  },
  {
    id: 'tee', title: 'confidential guest', roles: ['bare'], attestationOnly: true,
    run: async ({ facts: { cpu, virtual, container } }) => fail(container === null ? virtual ? 'an ordinary virtual machine' : 'no guest' : `a container (${container})`, {
      wanted: 'a TDX or SEV-SNP guest', cause: container !== null && cpu.flags.size > 0 ? 'evidence can be taken inside a confidential guest only; a container sees it only where its own machine is one and /sys/kernel/config is mounted into it' : 'evidence can be taken inside a confidential guest only',
      fix: [
        virtual ? 'rent a confidential virtual machine (TDX or SEV-SNP) with a GPU, or start one on a host of your own: cocoon node provision --role host, there'
          : cpu.confidential === null ? 'use a machine that can start confidential guests' : `make this machine a host: cocoon node provision --role host, then --print-guest ${cpu.confidential.tee}`,
        'without attestation, on this machine alone: cocoon localnet start',
      ],
    }),
  },
  {
    id: 'evidence', title: 'evidence of this guest', roles: ['guest'], attestationOnly: true,
    run: async ({ chain, signal }) => {
      const { family, imageHash } = await chain.evidence(signal);
      return pass(`${family === 'tdx' ? 'a TDX quote' : 'a SEV-SNP report'} for image ${imageHash}`);
    },
  },
  {
    id: 'sgx', title: 'SGX device', roles: ['host'], attestationOnly: true,
    run: async ({ machine, facts: { cpu } }) => {
      if (cpu.confidential?.tee !== 'tdx') return null;
      const missing = (await Promise.all(['/dev/sgx_enclave', '/dev/sgx_provision'].map(async (path) => (await machine.exists(path) ? [] : [path])))).flat();
      return missing.length === 0 ? pass('/dev/sgx_enclave, /dev/sgx_provision') : fail(`no ${missing.join(', no ')}`, {
        wanted: '/dev/sgx_enclave and /dev/sgx_provision', cause: 'quotes of TDX guests are signed by an SGX enclave on the host, and keys are sealed by another; without the device they end in 0x2006',
        fix: ['BIOS: enable SGX (SW Guard Extensions) with a PRMRR size, SGX factory reset once, SGX Auto MP Registration', 'a kernel with CONFIG_X86_SGX'],
      });
    },
  },
  {
    id: 'quote-service', title: 'quote generation service', roles: ['host'], attestationOnly: true,
    run: async ({ machine, facts: { cpu } }) => {
      if (cpu.confidential?.tee !== 'tdx') return null;
      const state = await machine.run('systemctl', ['is-active', 'qgsd']);
      if (state?.stdout.trim() === 'active') return pass('qgsd is active');
      if (await machine.exists('/var/run/tdx-qgs/qgs.socket')) return pass('/var/run/tdx-qgs/qgs.socket');
      return fail(state === null ? 'no qgsd and no /var/run/tdx-qgs/qgs.socket' : `qgsd is ${state.stdout.trim() || 'not known to systemd'}`, {
        wanted: 'qgsd active', cause: 'without it guests get no quotes (0x8000000000000001)', fix: ['apt-get install tdx-qgs libsgx-dcap-default-qpl', 'systemctl enable --now qgsd'],
      });
    },
  },
  {
    id: 'memory', title: 'memory',
    run: async ({ facts: { memoryBytes, availableBytes } }) => {
      if (memoryBytes === 0) return skip('/proc/meminfo tells nothing');
      const seen = `${bytesText(memoryBytes)}, ${bytesText(availableBytes)} available`;
      return memoryBytes >= MIN_MEMORY_BYTES ? pass(seen) : fail(seen, { wanted: `at least ${bytesText(MIN_MEMORY_BYTES)}`, cause: 'a model and its context need more', fix: ['use a machine with more memory'] });
    },
  },
  { id: 'disk', title: 'disk', run: disk },
  {
    id: 'surroundings', title: 'surroundings', required: false,
    run: async ({ facts: { container, virtual, tee } }) => info([
      tee === 'tdx' ? 'TDX guest' : tee === 'snp' ? 'SEV-SNP guest' : virtual ? 'virtual machine' : 'no virtual machine', ...(container === null ? [] : [`container (${container})`]),
    ].join(', ')),
  },
];
