// A DER writer for tests: builds certificates that nobody would make, signed for real.
import { createPrivateKey, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import type { TlsKeys } from '../../src/tee/tls-keys.ts';

/** Identifier, minimal length, content. */
export function tlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const header = content.length < 128 ? [tag, content.length] : [tag, 0x80 | length.length, ...length];
  return Buffer.concat([Uint8Array.from(header), content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => tlv(0x30, ...parts);
export const octets = (content: Uint8Array): Uint8Array => tlv(0x04, content);
export const bits = (content: Uint8Array): Uint8Array => tlv(0x03, Uint8Array.of(0), content);
export const TRUE = Uint8Array.of(1, 1, 0xff);

export function oid(text: string): Uint8Array {
  const [a = 0, b = 0, ...rest] = text.split('.').map(Number);
  const bytes = [a * 40 + b, ...rest].flatMap((arc) => {
    const groups = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(128 + (left % 128));
    return groups;
  });
  return tlv(0x06, Uint8Array.from(bytes));
}

export const ED25519 = sequence(oid('1.3.101.112'));
export const name = (text: string): Uint8Array =>
  sequence(tlv(0x31, sequence(oid('2.5.4.3'), tlv(0x0c, Buffer.from(text)))));

/** UTCTime of milliseconds since the Unix epoch. */
export const utcTime = (milliseconds: number): Uint8Array =>
  tlv(0x17, Buffer.from(`${new Date(milliseconds).toISOString().slice(2, 19).replace(/[-:T]/g, '')}Z`));

export interface TestExtension {
  readonly oid: string;
  readonly critical?: boolean;
  readonly value: Uint8Array;
}

export const extension = ({ oid: id, critical = true, value }: TestExtension): Uint8Array =>
  sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));

export interface TestCertificate {
  readonly keys?: TlsKeys;
  readonly signingKey?: KeyObject;
  /** Explicit version field, or null for v1. */
  readonly version?: Uint8Array | null;
  readonly serial?: Uint8Array;
  readonly bodyAlgorithm?: Uint8Array;
  readonly outerAlgorithm?: Uint8Array;
  readonly keyInfo?: Uint8Array;
  readonly issuer?: Uint8Array;
  readonly subject?: Uint8Array;
  readonly notBefore?: Uint8Array;
  readonly notAfter?: Uint8Array;
  readonly extensions?: readonly TestExtension[];
  /** Replaces the whole extensions field. */
  readonly rawExtensions?: readonly Uint8Array[];
  readonly signature?: Uint8Array;
}

export const NOW = Date.UTC(2026, 10, 22, 12);
export const DAY = 86_400_000;
export const V3 = tlv(0xa0, tlv(0x02, Uint8Array.of(2)));

/** A self-signed v3 certificate that is valid at NOW, with the given fields replaced. */
export function buildCertificate(fields: TestCertificate = {}): Uint8Array {
  const keys = fields.keys ?? generateTlsKeys();
  const version = fields.version === undefined ? V3 : fields.version;
  const list = fields.extensions ?? [];
  const extensions = fields.rawExtensions ?? (list.length === 0 ? [] : [tlv(0xa3, sequence(...list.map(extension)))]);
  const body = sequence(
    ...(version === null ? [] : [version]),
    fields.serial ?? tlv(0x02, Uint8Array.of(1)),
    fields.bodyAlgorithm ?? ED25519,
    fields.issuer ?? name('test'),
    sequence(fields.notBefore ?? utcTime(NOW - DAY), fields.notAfter ?? utcTime(NOW + DAY)),
    fields.subject ?? name('test'),
    fields.keyInfo ?? sequence(ED25519, bits(keys.publicKey)),
    ...extensions,
  );
  const signature = fields.signature ?? bits(sign(null, body, fields.signingKey ?? keys.privateKey));
  return sequence(body, fields.outerAlgorithm ?? ED25519, signature);
}

/** A key that differs from every other one only by `byte`: tests that need a stable key. */
export const fixedKey = (byte: number): KeyObject =>
  createPrivateKey({ key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, byte)]), format: 'der', type: 'pkcs8' });
