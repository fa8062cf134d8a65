// The systemd units, hardened: each may do what its work needs and nothing else. What V8 and CUDA make impossible is left out and
// said: MemoryDenyWriteExecute (both compile code at run time), PrivateDevices (GPU, KVM, VFIO). Secrets come as encrypted credentials.
export interface UnitOptions {
  /** Absolute path and leading arguments of this program. */
  readonly program: readonly string[];
  readonly user: string;
  readonly network: string;
  /** Further arguments of `node start`. */
  readonly arguments: readonly string[];
  /**
   * Default: an encrypted credential of this machine. A guest's image has none, and is given it on the disk of its state; its models
   * are on a disk of their own, which is new at each start.
   */
  readonly passphrase?: 'credential' | 'state';
}

const CREDENTIAL = '/etc/cocoon/credentials/passphrase.cred';
const STATE = '/var/lib/cocoon';

/** One word of an ExecStart line. */
const quoted = (word: string): string => {
  const escaped = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped.replace(/["\\]/g, '\\$&')}"`;
};
const command = (words: readonly string[]): string => words.map(quoted).join(' ');

/** Everything that takes rights away and that no part of the work needs. */
export const HARDENING = `NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
UMask=0077
`;

/** What user-space programs ask of the kernel, without what changes the machine. */
export const SYSTEM_CALLS = `SystemCallFilter=@system-service
SystemCallFilter=~@privileged @obsolete @clock @cpu-emulation @debug @module @mount @raw-io @reboot @swap
`;

/** Serves: in a confidential guest (`guest`), or without attestation (`bare`). */
export function nodeUnit({ program, user, network, arguments: more, passphrase = 'credential' }: UnitOptions, role: 'guest' | 'bare'): string {
  const guest = role === 'guest';
  return `[Unit]
Description=Cocoon node
Documentation=man:systemd.exec(5)
Wants=network-online.target
After=network-online.target${guest ? ' nvidia-persistenced.service' : ''}
StartLimitIntervalSec=600
StartLimitBurst=10

[Service]
Type=exec
User=${user}
Group=${user}
ExecStart=${command([...program, 'node', 'start', '--home', STATE, '--network', network, ...more])}
${passphrase === 'credential' ? `# The wallet is unlocked once, by a credential that only this machine can decrypt; without it the start fails at once.
LoadCredentialEncrypted=passphrase:${CREDENTIAL}` : `# The wallet is unlocked once, by what its owner has put on the disk of the state; without it the start fails at once.
LoadCredential=passphrase:${STATE}/passphrase`}
Environment=COCOON_PASSPHRASE_FILE=%d/passphrase
StateDirectory=cocoon${passphrase === 'credential' ? '' : ' cocoon/models'}
StateDirectoryMode=0700
Restart=on-failure
RestartSec=5
# Usage, preflight, a wrong passphrase, refused evidence, policy: a restart would change nothing.
RestartPreventExitStatus=2 3 4 5 13
# Requests that are being answered may end.
TimeoutStopSec=300
KillMode=mixed
# The engine runs in a process of its own and is started again by the node.
OOMPolicy=continue
LimitNOFILE=65536
LimitMEMLOCK=infinity
LimitCORE=0

${HARDENING}${guest ? '' : 'PrivateUsers=yes\n'}# Not MemoryDenyWriteExecute: V8 and CUDA compile code at run time. Not ProcSubset: memory and processors are read from /proc.
${guest ? `# Evidence is taken by making an entry below this folder, which belongs to root.
ProtectKernelTunables=yes
ReadWritePaths=-/sys/kernel/config/tsm/report
CapabilityBoundingSet=CAP_DAC_OVERRIDE
AmbientCapabilities=CAP_DAC_OVERRIDE` : `ProtectKernelTunables=yes
CapabilityBoundingSet=
AmbientCapabilities=`}
# Not PrivateDevices: the GPU, and nothing else.
DevicePolicy=closed
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-caps rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-drm rw
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
${SYSTEM_CALLS}
[Install]
WantedBy=multi-user.target
`;
}

/** Starts a confidential guest with its GPU. `qemu`: absolute path and arguments. */
export function guestUnit({ user }: Pick<UnitOptions, 'user'>, qemu: readonly string[], gpus: readonly string[]): string {
  return `[Unit]
Description=Confidential guest that serves the Cocoon network
Wants=network-online.target qgsd.service
After=network-online.target qgsd.service
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=exec
User=${user}
Group=${user}
SupplementaryGroups=kvm
ExecStart=${command(qemu)}
StateDirectory=cocoon-guest
StateDirectoryMode=0700
Restart=on-failure
RestartSec=15
# The guest is asked to power down and drains its node first.
TimeoutStopSec=330
# A guest with a GPU has all its memory locked${gpus.length === 0 ? '' : ` (${gpus.join(', ')})`}.
LimitMEMLOCK=infinity
LimitNOFILE=65536
LimitCORE=0

${HARDENING}ProtectKernelTunables=yes
CapabilityBoundingSet=
AmbientCapabilities=
# Not PrivateDevices: KVM, the GPU's VFIO group and the secure processor, and nothing else. Not MemoryDenyWriteExecute: QEMU.
DevicePolicy=closed
DeviceAllow=/dev/kvm rw
DeviceAllow=/dev/vfio/vfio rw
DeviceAllow=char-vfio rw
DeviceAllow=/dev/iommu rw
DeviceAllow=/dev/sev rw
DeviceAllow=/dev/vhost-net rw
DeviceAllow=/dev/vhost-vsock rw
DeviceAllow=/dev/net/tun rw
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_VSOCK AF_NETLINK
${SYSTEM_CALLS}
[Install]
WantedBy=multi-user.target
`;
}

/** How the credential that the node's unit needs is made: shown, never run. */
export const CREDENTIAL_COMMAND = `systemd-ask-password -n "Passphrase of the hot wallet:" | systemd-creds encrypt --name=passphrase - ${CREDENTIAL}`;
