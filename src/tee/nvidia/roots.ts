// NVIDIA's pinned roots, and the chips that this verifier knows. Refuses every other chip.

/** SHA-256 of SubjectPublicKeyInfo, in hexadecimal. */
export interface NvidiaRoots {
  /** "NVIDIA Device Identity CA", above the certificates of GPUs and switches. */
  readonly device: string;
  /** "NVIDIA CoRIM signing Root CA", above the signers of reference measurements. */
  readonly rim: string;
}

export const NVIDIA_ROOTS: NvidiaRoots = {
  device: 'a90c4eb5acfd3e3d03a25db6a26b84f720ad0503196c627c21ddd48dd85b06a4',
  rim: 'dec1dc316477aa851eebdf51327ae9f864bc8d89254657ed1e7eb9168af1e1a3',
};

export const NVIDIA_ARCHITECTURES = ['HOPPER', 'BLACKWELL', 'LS10'] as const;
/** As NVIDIA's tools write it: two generations of GPUs and the NVSwitch next to Hopper. */
export type NvidiaArchitecture = (typeof NVIDIA_ARCHITECTURES)[number];
export type DeviceKind = 'gpu' | 'switch';

export const kindOf = (architecture: NvidiaArchitecture): DeviceKind => (architecture === 'LS10' ? 'switch' : 'gpu');

const CHIPS: Readonly<Record<NvidiaArchitecture, RegExp>> = { HOPPER: /^GH\d{3}$/, BLACKWELL: /^GB\d{3}$/, LS10: /^LS10$/ };

/** True when a chip's name, the first word of a device certificate's common name, is of the architecture. */
export const isChipOf = (architecture: NvidiaArchitecture, chip: string): boolean => CHIPS[architecture].test(chip);
