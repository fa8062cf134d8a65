// Codes and messages of TDX, SEV-SNP, SGX, VFIO and NVIDIA that people meet, with what they mean and what mends them. `cocoon explain`
// looks codes up here, and the doctor looks for the messages in the kernel's log. Each entry names its source.
export interface KnownMessage {
  /** As people write it: `0x2006`, or the words that stand in logs. */
  readonly key: string;
  /** Finds it in a log; entries without it are only looked up by key. */
  readonly pattern?: RegExp;
  readonly subject: 'SGX' | 'TDX' | 'SEV-SNP' | 'VFIO' | 'NVIDIA' | 'Cocoon';
  readonly meaning: string;
  readonly fix: string;
  readonly source: string;
}

const SGX_SDK = 'Intel SGX SDK, sgx_error.h';
const DCAP = 'Intel DCAP, sgx_ql_lib_common.h';
const LINUX_TDX = 'Linux, arch/x86/virt/vmx/tdx/tdx.c';
const LINUX_SNP = 'Linux, arch/x86/virt/svm/sev.c';
const PSP = 'Linux, include/uapi/linux/psp-sev.h; SEV-SNP firmware ABI';
const GHCI = 'Intel GHCI 1.5, TDG.VP.VMCALL<GetQuote>';
const VFIO = 'Linux, drivers/vfio/vfio_iommu_type1.c';
const NVIDIA = 'NVIDIA Confidential Computing deployment guide';
const UPDATE_SEV = 'install the newest SEV firmware (package amd64-microcode, or a BIOS update), then reboot';

export const KNOWN_MESSAGES: readonly KnownMessage[] = [
  { key: '0x2001', subject: 'SGX', meaning: 'the enclave file is damaged or was built for another machine (SGX_ERROR_INVALID_ENCLAVE)', fix: 'install the enclave\'s package again', source: SGX_SDK },
  { key: '0x2005', subject: 'SGX', meaning: 'there is no enclave memory left (SGX_ERROR_OUT_OF_EPC)', fix: 'raise the SGX memory (PRMRR size) in the BIOS, or stop other enclaves', source: SGX_SDK },
  { key: '0x2006', subject: 'SGX', meaning: 'there is no SGX device (SGX_ERROR_NO_DEVICE): SGX is off in the BIOS, or the kernel has no driver for it', fix: 'BIOS: enable SGX with a PRMRR size; then /dev/sgx_enclave must exist and the user must be in the group sgx', source: SGX_SDK },
  { key: '0x200c', subject: 'SGX', meaning: 'the SGX device is busy (SGX_ERROR_DEVICE_BUSY)', fix: 'try again, or restart the service that uses it', source: SGX_SDK },
  { key: '0x200f', subject: 'SGX', meaning: 'the enclave file could not be opened (SGX_ERROR_ENCLAVE_FILE_ACCESS)', fix: 'install the enclave\'s package and check its rights', source: SGX_SDK },
  { key: '0x4001', subject: 'SGX', meaning: 'the SGX service (AESM) does not answer (SGX_ERROR_SERVICE_UNAVAILABLE)', fix: 'systemctl start aesmd', source: SGX_SDK },
  { key: '0xe001', subject: 'SGX', meaning: 'an internal error of the quoting library (SGX_QL_ERROR_UNEXPECTED)', fix: 'read the log of the quote generation service: journalctl -u qgsd', source: DCAP },
  { key: '0xe00d', subject: 'SGX', meaning: 'the quoting enclave cannot be loaded (SGX_QL_INTERFACE_UNAVAILABLE)', fix: 'install libsgx-ae-tdqe and libsgx-ae-id-enclave, and check that /dev/sgx_enclave and /dev/sgx_provision can be opened', source: DCAP },
  { key: '0xe00e', subject: 'SGX', meaning: 'the library that fetches certificates is missing (SGX_QL_PLATFORM_LIB_UNAVAILABLE)', fix: 'install libsgx-dcap-default-qpl', source: DCAP },
  { key: '0xe011', subject: 'SGX', meaning: 'there is no certificate for this platform (SGX_QL_NO_PLATFORM_CERT_DATA): it was never registered with Intel', fix: 'BIOS: SGX Auto MP Registration on; or register once with PCKIDRetrievalTool; then systemctl restart qgsd', source: DCAP },
  { key: '0xe012', subject: 'SGX', meaning: 'there is no enclave memory left for the quoting enclave (SGX_QL_OUT_OF_EPC)', fix: 'raise the SGX memory (PRMRR size) in the BIOS', source: DCAP },
  { key: '0xe016', subject: 'SGX', meaning: 'an enclave could not be loaded (SGX_QL_ENCLAVE_LOAD_ERROR): no SGX, no rights, or a missing file', fix: 'check /dev/sgx_enclave and /dev/sgx_provision; usermod -aG sgx,sgx_prv qgsd', source: DCAP },
  { key: '0xe018', subject: 'SGX', meaning: 'the certificate is for a newer TCB than this platform has (SGX_QL_KEY_CERTIFCATION_ERROR)', fix: 'update the BIOS and the microcode, then register the platform again', source: DCAP },
  { key: '0xe019', subject: 'SGX', meaning: 'the PCCS cannot be reached (SGX_QL_NETWORK_ERROR)', fix: 'check PCCS_URL in /etc/sgx_default_qcnl.conf; systemctl restart pccs; a PCCS with a certificate of its own needs "use_secure_cert": false', source: DCAP },
  { key: '0xe01a', subject: 'SGX', meaning: 'the PCCS answered something unusable (SGX_QL_MESSAGE_ERROR)', fix: 'check the version and the API key of the PCCS: journalctl -u pccs', source: DCAP },
  { key: '0xe01b', subject: 'SGX', meaning: 'there is no collateral for the quote (SGX_QL_NO_QUOTE_COLLATERAL_DATA)', fix: 'ask Intel\'s service directly, or refresh the PCCS', source: DCAP },
  { key: '0x8000000000000000', subject: 'TDX', meaning: 'the host could not make the quote (GET_QUOTE_ERROR)', fix: 'on the host: journalctl -u qgsd; the platform must be registered and SGX enabled', source: GHCI },
  { key: '0x8000000000000001', subject: 'TDX', meaning: 'the host has no quote generation service (GET_QUOTE_SERVICE_UNAVAILABLE)', fix: 'on the host: systemctl start qgsd; QEMU needs quote-generation-socket of the object tdx-guest', source: GHCI },
  { key: '0xffffffffffffffff', subject: 'TDX', meaning: 'the quote is still being made (GET_QUOTE_IN_FLIGHT)', fix: 'wait; if it stays, restart qgsd on the host', source: GHCI },
  { key: 'Hibernation support is enabled', pattern: /virt\/tdx: initialization failed: Hibernation support is enabled/i, subject: 'TDX', meaning: 'Linux starts TDX only where hibernation is off for good', fix: 'add nohibernate to the kernel command line and reboot', source: LINUX_TDX },
  { key: 'too few private KeyIDs', pattern: /virt\/tdx: initialization failed: (?:too few|no enough) private KeyIDs/i, subject: 'TDX', meaning: 'the BIOS keeps too few encryption keys for TDX guests', fix: 'BIOS: raise "TME-MT/TDX key split" to at least 1 and reboot', source: LINUX_TDX },
  { key: 'TDX module not loaded', pattern: /virt\/tdx: (?:module not loaded|TDX module (?:is )?not loaded)|SEAM(?:CALL| module).*not loaded/i, subject: 'TDX', meaning: 'the BIOS has not loaded the TDX module', fix: 'BIOS: enable TDX and the SEAM loader; update the BIOS', source: LINUX_TDX },
  { key: 'MCE when TDX', pattern: /virt\/tdx: module initialization failed/i, subject: 'TDX', meaning: 'the TDX module refused to start', fix: 'update BIOS and microcode; the line above it in the kernel log has the code', source: LINUX_TDX },
  { key: 'RMP table has not been reserved by BIOS', pattern: /Memory for the RMP table has not been reserved by BIOS/i, subject: 'SEV-SNP', meaning: 'SEV-SNP is off in the BIOS', fix: 'BIOS: SEV-SNP enabled, SNP memory (RMP table) coverage enabled, SEV ASID limit above 1', source: LINUX_SNP },
  { key: 'RMP table does not cover full system RAM', pattern: /reserved for the RMP table does not cover full system RAM/i, subject: 'SEV-SNP', meaning: 'the RMP table is too small for the memory of this machine', fix: 'BIOS: SNP memory (RMP table) coverage: enabled for all memory', source: LINUX_SNP },
  { key: 'SNP: IOMMU SNP support', pattern: /SNP: .*IOMMU.*(?:not supported|not enabled|disabled)|AMD-Vi: SNP: .*(?:cannot|failed)/i, subject: 'SEV-SNP', meaning: 'the IOMMU does not work as SEV-SNP needs it', fix: 'BIOS: IOMMU enabled; kernel command line without amd_iommu=off and iommu=off', source: 'Linux, drivers/iommu/amd/init.c' },
  { key: 'SEV-SNP: failed to INIT', pattern: /SEV-SNP: failed to INIT/i, subject: 'SEV-SNP', meaning: 'the firmware of the secure processor refused to start SEV-SNP', fix: UPDATE_SEV, source: 'Linux, drivers/crypto/ccp/sev-dev.c' },
  { key: 'SEV 0x01', subject: 'SEV-SNP', meaning: 'the platform is in another state than the command needs (INVALID_PLATFORM_STATE)', fix: 'end all SNP guests and load kvm_amd anew', source: PSP },
  { key: 'SEV 0x03', subject: 'SEV-SNP', meaning: 'the configuration is not one that the firmware takes (INVALID_CONFIG)', fix: 'check the BIOS settings of SEV-SNP', source: PSP },
  { key: 'SEV 0x07', subject: 'SEV-SNP', meaning: 'the policy of the guest is refused (POLICY_FAILURE): SMT, ABI version or debug', fix: 'use policy 0x30000, or forbid SMT on the host where the policy does', source: PSP },
  { key: 'SEV 0x15', subject: 'SEV-SNP', meaning: 'the firmware does not know the command (UNSUPPORTED)', fix: UPDATE_SEV, source: PSP },
  { key: 'SEV 0x16', subject: 'SEV-SNP', meaning: 'a parameter is wrong (INVALID_PARAM)', fix: 'check the guest policy and the firmware image of the guest', source: PSP },
  { key: 'SEV 0x17', subject: 'SEV-SNP', meaning: 'there is no room for another guest (RESOURCE_LIMIT)', fix: 'end guests, or raise the SEV-ES/SNP ASID limit in the BIOS', source: PSP },
  { key: 'SEV 0x20', subject: 'SEV-SNP', meaning: 'the RMP table is not initialised (RMP_INIT_REQUIRED)', fix: 'reboot; the BIOS must not have been changed in between', source: PSP },
  { key: 'SEV 0x26', subject: 'SEV-SNP', meaning: 'the RMP table could not be initialised (RMP_INITIALIZATION_FAILED)', fix: 'BIOS: RMP table coverage for all memory; then a cold boot', source: PSP },
  { key: 'VFIO_MAP_DMA: no space left', pattern: /VFIO_(?:IOMMU_)?MAP_DMA.*(?:No space left|-28|ENOSPC)/i, subject: 'VFIO', meaning: 'the guest needs more DMA mappings than VFIO allows', fix: 'options vfio_iommu_type1 dma_entry_limit=4294967295 in /etc/modprobe.d, and huge pages for the guest', source: VFIO },
  { key: 'VFIO_MAP_DMA: cannot allocate memory', pattern: /VFIO_(?:IOMMU_)?MAP_DMA.*(?:Cannot allocate|-12|ENOMEM)|vfio_pin_pages_remote: RLIMIT_MEMLOCK/i, subject: 'VFIO', meaning: 'the guest\'s memory may not be locked', fix: 'LimitMEMLOCK=infinity in the unit that starts QEMU, or ulimit -l unlimited', source: VFIO },
  { key: 'cannot open vfio', pattern: /(?:could not|failed to) open .?\/dev\/vfio\/\d+/i, subject: 'VFIO', meaning: 'the group of the GPU cannot be opened: another driver has a device of it, or the rights are missing', fix: 'bind every device of the group to vfio-pci, and start QEMU as root or in the group that owns /dev/vfio', source: 'Linux, Documentation/driver-api/vfio.rst' },
  { key: 'CPU does not support confidential compute', pattern: /conf_compute\.c.*CPU does not support confidential compute/i, subject: 'NVIDIA', meaning: 'the GPU is in confidential mode and the system around it is no confidential guest', fix: 'start the GPU in a TDX or SEV-SNP guest, or turn its mode off: nvidia_gpu_tools.py --set-cc-mode=off', source: NVIDIA },
  { key: 'RmInitAdapter failed', pattern: /RmInitAdapter failed/i, subject: 'NVIDIA', meaning: 'the driver could not start the GPU: mostly a driver that is too old or closed, a VBIOS that is too old, or too small a BAR window', fix: 'use the open kernel modules of a newer driver (nvidia-driver-NNN-server-open); QEMU: -fw_cfg name=opt/ovmf/X-PciMmio64,string=262144', source: NVIDIA },
  { key: 'Xid 79', pattern: /Xid.*: 79,/i, subject: 'NVIDIA', meaning: 'the GPU has fallen off the bus', fix: 'check power, seating and the PCIe slot; reset or reboot', source: 'NVIDIA Xid errors' },
  { key: 'nvidia-smi cannot communicate', pattern: /NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver/i, subject: 'NVIDIA', meaning: 'no NVIDIA driver is loaded, or it does not fit the kernel', fix: 'install the open driver for the running kernel, then modprobe nvidia', source: 'nvidia-smi' },
  { key: 'no lite clients', pattern: /no lite clients/i, subject: 'Cocoon', meaning: 'the TON network cannot be reached over lite servers', fix: 'this program asks over HTTPS instead: cocoon network show; add a second endpoint with cocoon network add', source: 'TON, lite client' },
];

/** The entry that a person means by a code or words; null where none does. */
export function findKnown(text: string): KnownMessage | null {
  const wanted = text.trim().toLowerCase();
  const number = /^0x[0-9a-f]+$/.test(wanted) ? BigInt(wanted) : null;
  return KNOWN_MESSAGES.find(({ key }) => (/^0x[0-9a-f]+$/.test(key) ? number === BigInt(key) : key.toLowerCase() === wanted)) ?? KNOWN_MESSAGES.find(({ pattern }) => pattern?.test(text) === true) ?? null;
}

/** The entries whose messages stand in a log, once each, with the line. */
export function knownIn(log: string): { readonly message: KnownMessage; readonly line: string }[] {
  const lines = log.split('\n');
  return KNOWN_MESSAGES.flatMap((message) => {
    const { pattern } = message;
    const line = pattern === undefined ? undefined : lines.find((text) => pattern.test(text));
    return line === undefined ? [] : [{ message, line: line.trim() }];
  });
}
