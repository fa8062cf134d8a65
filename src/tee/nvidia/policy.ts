// What a verifier demands of NVIDIA GPUs and switches beyond genuine evidence. Every default is the strict one.
import type { GpuMode } from './opaque.ts';

export interface NvidiaPolicy {
  /** How many GPUs there must be; null leaves the check unmade. */
  readonly gpuCount: number | null;
  /** How many switches there must be; with protected PCIe every GPU must be linked to each. */
  readonly switchCount: number;
  /** Protected PCIe leaves NVLink in the clear and is not in the default. */
  readonly modes: readonly GpuMode[];
  /** `when-reported`: drivers before 550 do not report which firmware holds the signing key. */
  readonly fwid: 'required' | 'when-reported';
  /** True: the guest must state that confidential computing is on and developer tools are off. */
  readonly requireSystemMode: boolean;
  /** True: a certificate on hold counts as good. */
  readonly allowCertificateHold: boolean;
  /** Largest age of OCSP answers in milliseconds; null leaves it to the answers. */
  readonly ocspMaxAgeMs: number | null;
  /** Allowed driver and VBIOS versions as manifests write them; null for any that has a manifest. */
  readonly driverVersions: readonly string[] | null;
  readonly vbiosVersions: readonly string[] | null;
  /** Allowed devices by the serial number of their identity certificate, lower-case hexadecimal; null for any. */
  readonly devices: readonly string[] | null;
}

export const STRICT_NVIDIA_POLICY: NvidiaPolicy = {
  gpuCount: null,
  switchCount: 0,
  modes: ['single', 'multi'],
  fwid: 'required',
  requireSystemMode: true,
  allowCertificateHold: false,
  ocspMaxAgeMs: null,
  driverVersions: null,
  vbiosVersions: null,
  devices: null,
};
