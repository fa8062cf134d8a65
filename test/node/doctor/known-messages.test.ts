import { describe, expect, it } from '@jest/globals';
import { findKnown, KNOWN_MESSAGES, knownIn } from '../../../src/node/doctor/known-messages.ts';

describe('known messages', () => {
  it('findKnown: codes in any writing, words, and whole lines of logs', () => {
    expect(findKnown('0x2006')?.meaning).toMatch(/no SGX device/);
    expect(findKnown('0X0000E019')?.meaning).toMatch(/PCCS/);
    expect(findKnown('Xid 79')?.subject).toBe('NVIDIA');
    expect(findKnown('qemu: VFIO_MAP_DMA failed: No space left on device')?.subject).toBe('VFIO');
    expect(findKnown('qemu: vfio 0000:17:00.0: failed to open /dev/vfio/12: Device or resource busy')?.key).toBe('cannot open vfio');
    expect(findKnown('0x1')).toBeNull();
    expect(findKnown('')).toBeNull();
  });

  it('KNOWN_MESSAGES: keys are told apart, and every entry has a source and a way out', () => {
    expect(new Set(KNOWN_MESSAGES.map(({ key }) => key.toLowerCase())).size).toBe(KNOWN_MESSAGES.length);
    for (const { key, meaning, fix, source } of KNOWN_MESSAGES) expect({ key, complete: [meaning, fix, source].every((text) => text.length > 5) }).toEqual({ key, complete: true });
  });

  it('knownIn: each message once, with its line', () => {
    const log = '[1] virt/tdx: initialization failed: Hibernation support is enabled\n[2] fine\n[3] NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus.\n[4] NVRM: Xid (PCI:0000:17:00): 79, again';
    expect(knownIn(log).map(({ message, line }) => [message.subject, line.slice(0, 3)])).toEqual([['TDX', '[1]'], ['NVIDIA', '[3]']]);
  });
});
