// Under which ids NVIDIA's service keeps the manifests of a device: what is asked for and what is judged must be the same.
import type { GpuClaims } from './opaque.ts';
import type { NvidiaArchitecture } from './roots.ts';

/** Chip of a Blackwell that does not name it, as NVIDIA's tools have it. */
const FIRST_BLACKWELL = 'GB100';

/** A version as ids write it: `96005E0001` for `96.00.5E.00.01`. */
export const plainVersion = (version: string): string => version.replaceAll('.', '').toUpperCase();

/** For example `NV_GPU_DRIVER_GH100_550.90.07`, `NV_GPU_CC_DRIVER_GB100_580.95.05`. */
export const driverManifestId = (architecture: Exclude<NvidiaArchitecture, 'LS10'>, { chipName, driverVersion }: GpuClaims): string =>
  (architecture === 'HOPPER' ? `NV_GPU_DRIVER_GH100_${driverVersion}` : `NV_GPU_CC_DRIVER_${chipName ?? FIRST_BLACKWELL}_${driverVersion}`);

/** For example `NV_GPU_VBIOS_1010_0200_882_96005E0001`: boards share a VBIOS version and differ in their measurements. */
export const vbiosManifestId = ({ project, projectSku, chipSku, vbiosVersion }: GpuClaims): string =>
  `NV_GPU_VBIOS_${project}_${projectSku}_${chipSku}_${plainVersion(vbiosVersion)}`.toUpperCase();
