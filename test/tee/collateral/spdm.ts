// SPDM 1.1 evidence of NVIDIA's form that nobody has signed: for what only reads what a device says about itself.
const field = (type: number, value: Uint8Array): Uint8Array => {
  const header = Buffer.alloc(4);
  header.writeUInt16LE(type, 0);
  header.writeUInt16LE(value.length, 2);
  return Buffer.concat([header, value]);
};

/** Request for `nonce`, a response without measurements and with these opaque fields, zeros for a signature. */
export function forgeSpdm(nonce: Uint8Array, fields: Readonly<Record<number, Uint8Array | string>>): Uint8Array {
  const opaque = Buffer.concat(Object.entries(fields).map(([type, value]) => field(Number(type), typeof value === 'string' ? Buffer.from(`${value}\0`, 'latin1') : value)));
  const length = Buffer.alloc(2);
  length.writeUInt16LE(opaque.length);
  return Buffer.concat([
    Uint8Array.of(0x11, 0xe0, 0x01, 0xff), nonce, Uint8Array.of(0), Uint8Array.of(0x11, 0x60, 0, 0, 0, 0, 0, 0), new Uint8Array(32), length, opaque, new Uint8Array(96),
  ]);
}

const VBIOS_BINARY = Uint8Array.of(0x00, 0x5e, 0x00, 0x96, 0x01, 0, 0, 0);

/** What a GPU of one kind says: driver 550.90.07, VBIOS 96.00.5E.00.01. */
export const GPU_FIELDS = { 3: '550.90.07', 6: VBIOS_BINARY, 15: '882', 17: '1010', 18: '0200' } as const;
export const SWITCH_FIELDS = { 6: '96.10.55.00.01', 22: new Uint8Array(8).fill(1), 26: new Uint8Array(8).fill(2) } as const;
