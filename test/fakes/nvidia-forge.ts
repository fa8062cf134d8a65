// Makes NVIDIA evidence under roots of its own: device chains, SPDM evidence, OCSP answers, and manifests that it signs
// itself. Manifests are written twice, as a tool would and in canonical form by hand, so that the canonicaliser is tested too.
import { createHash, sign } from 'node:crypto';
import { contextTag, TAG } from '../../src/tee/der.ts';
import { derElement, derOctetString, derOid, derSequence, derTime, derUnsigned } from '../../src/tee/der-write.ts';
import { parseNvidiaBundle } from '../../src/tee/nvidia/bundle.ts';
import type { CertificatePool } from '../../src/tee/nvidia/certificate-pool.ts';
import type { NvidiaInput } from '../../src/tee/nvidia/judge.ts';
import { STRICT_NVIDIA_POLICY } from '../../src/tee/nvidia/policy.ts';
import type { NvidiaPolicy } from '../../src/tee/nvidia/policy.ts';
import type { NvidiaRoots } from '../../src/tee/nvidia/roots.ts';
import { parseX509 } from '../../src/tee/x509/certificate.ts';
import { CA_EXTENSIONS, LEAF_EXTENSIONS, ecKey, makeX509, pemOf, signDer, spkiHash } from './tee-pki.ts';
import type { PkiExtension, PkiKey } from './tee-pki.ts';

export const GPU_NOW = Date.UTC(2026, 10, 22, 12);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const WINDOW = { notBefore: GPU_NOW - 100 * DAY, notAfter: GPU_NOW + 1000 * DAY };

interface Authority { readonly name: string; readonly key: PkiKey; readonly der: Uint8Array }

function authority(name: string, issuer?: Authority, serial = 100, key = ecKey()): Authority {
  return { name, key, der: makeX509({ subject: name, key, ...(issuer === undefined ? {} : { issuer }), serial, extensions: CA_EXTENSIONS, ...WINDOW }) };
}

export interface NvidiaPki {
  readonly deviceRoot: Authority;
  readonly deviceCa: Authority;
  readonly provisioner: Authority;
  readonly rimRoot: Authority;
  readonly rimCa: Authority;
  readonly rimSigner: Authority;
  readonly responder: PkiKey;
}

export function makePki(): NvidiaPki {
  const deviceRoot = authority('Example Device Identity Root');
  const deviceCa = authority('Example Identity', deviceRoot, 101);
  const provisioner = authority('Example Provisioner', deviceCa, 102);
  const rimRoot = authority('Example CoRIM Root');
  const rimCa = authority('Example Manifest CA', rimRoot, 103);
  const key = ecKey();
  const rimSigner = { name: 'Example Signer', key, der: makeX509({ subject: 'Example Signer', key, issuer: rimCa, serial: 104, extensions: LEAF_EXTENSIONS, ...WINDOW }) };
  return { deviceRoot, deviceCa, provisioner, rimRoot, rimCa, rimSigner, responder: ecKey() };
}

export const PKI = makePki();
export const FORGED_ROOTS: NvidiaRoots = { device: spkiHash('sha256', PKI.deviceRoot.key), rim: spkiHash('sha256', PKI.rimRoot.key) };

export const FWID = Uint8Array.from({ length: 48 }, (_, index) => 0x30 + index);
const fwidFields = (fwid: Uint8Array): Uint8Array => derSequence(derOid('2.16.840.1.101.3.4.2.2'), derOctetString(fwid));
/** As on Hopper. */
export const compositeFwid = (fwid: Uint8Array, key: PkiKey = PKI.responder): PkiExtension =>
  ({ oid: '2.23.133.5.4.1', value: derSequence(derUnsigned(Uint8Array.of(1)), key.spki, fwidFields(fwid)) });
/** As on Blackwell: DiceTcbInfo with vendor and fwids. */
export const tcbInfoFwid = (fwid: Uint8Array): PkiExtension =>
  ({ oid: '2.23.133.5.4.1.1', value: derSequence(derElement(contextTag(0, false), Buffer.from('NVIDIA')), derElement(contextTag(6, true), fwidFields(fwid))) });

/** 64 measurements by SPDM index; number 36, of the decoder, is not what the manifest says. */
export const measured = (index: number): Uint8Array => createHash('sha384').update(`measurement ${index}`).digest();

export interface DeviceForgery {
  readonly kind?: 'gpu' | 'switch';
  readonly arch?: string;
  readonly chip?: string;
  readonly nonce?: Uint8Array;
  /** Number that makes keys, serials and PDI its own. */
  readonly number?: number;
  readonly driver?: string;
  /** Opaque fields in place of the genuine ones; null removes one. */
  readonly opaque?: Readonly<Record<number, Uint8Array | null>>;
  /** Changes the measurement blocks before they are signed. */
  readonly blocks?: (blocks: Uint8Array[]) => Uint8Array[];
  readonly fwidExtensions?: readonly PkiExtension[];
  /** Changes the chain, leaf first. */
  readonly chain?: (certificates: Uint8Array[]) => Uint8Array[];
  readonly signer?: PkiKey;
  readonly pki?: NvidiaPki;
}

export const GPU_NONCE = new Uint8Array(32).fill(0x11);
const u16 = (value: number): Uint8Array => Uint8Array.of(value & 255, value >> 8);
const zeroed = (text: string): Uint8Array => Buffer.from(`${text}\0`);

export const block = (index: number, value: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(index, 1), u16(value.length + 3), Uint8Array.of(1), u16(value.length), value]);
export const opaqueField = (type: number, value: Uint8Array): Uint8Array => Buffer.concat([u16(type), u16(value.length), value]);

export const pdiOf = (kind: 'gpu' | 'switch', number: number): Uint8Array => Uint8Array.of(kind === 'gpu' ? 1 : 2, 2, 3, 4, 5, 6, 7, number + 1);
export const pdis = (kind: 'gpu' | 'switch', count: number, slots: number): Uint8Array => Buffer.concat(Array.from({ length: slots }, (_, number) => {
  if (number >= count) return new Uint8Array(8);
  // A GPU names switches the other way round.
  return kind === 'switch' ? Uint8Array.from(pdiOf(kind, number)).reverse() : pdiOf(kind, number);
}));

function opaqueOf({ kind = 'gpu', driver = '580.10.02', number = 0, opaque = {} }: DeviceForgery): Uint8Array {
  const said: Record<number, Uint8Array | null> = kind === 'gpu'
    ? {
        3: zeroed(driver), 6: Uint8Array.of(0, 0x5e, 0, 0x96, 1, 0, 0, 0), 11: Uint8Array.of(0x55), 12: new Uint8Array(256), 15: zeroed('882'), 17: zeroed('1010'), 18: zeroed('0200'),
        20: FWID, 21: Uint8Array.of(0x55), 34: u16(1), 36: u16(0), ...opaque,
      }
    : { 6: Buffer.from('96.10.55.00.01'), 20: FWID, 22: pdiOf('switch', number), 26: pdis('gpu', 1, 8), ...opaque };
  return Buffer.concat(Object.entries(said).flatMap(([type, value]) => (value === null ? [] : [opaqueField(Number(type), value)])));
}

/** A device as NVIDIA's tools write it. */
export function forgeDevice(forgery: DeviceForgery = {}): { arch: string; nonce: string; evidence: string; certificate: string } {
  const { kind = 'gpu', nonce = GPU_NONCE, number = 0, pki = PKI, blocks = (same) => same, chain = (same) => same } = forgery;
  const chip = forgery.chip ?? (kind === 'gpu' ? 'GH100' : 'LS10');
  const key = ecKey();
  const identity = authority(`${chip} A01 GSP BROM`, pki.provisioner, 1000 + number + (kind === 'gpu' ? 0 : 500));
  const leaf = makeX509({
    subject: `${chip} A01 GSP FMC LF`, key, issuer: identity, serial: 3000 + number + (kind === 'gpu' ? 0 : 500), extensions: [...LEAF_EXTENSIONS, ...(forgery.fwidExtensions ?? [compositeFwid(FWID, identity.key)])], ...WINDOW,
  });
  const list = blocks(Array.from({ length: kind === 'gpu' ? 64 : 31 }, (_, index) => block(index + 1, measured(index + 1))));
  const record = Buffer.concat(list);
  const opaque = opaqueOf(forgery);
  const body = Buffer.concat([
    Uint8Array.of(0x11, 0xe0, 1, 0xff), nonce, Uint8Array.of(0), Uint8Array.of(0x11, 0x60, 0, 0, list.length), u16(record.length & 0xffff), Uint8Array.of(record.length >> 16), record,
    new Uint8Array(32).fill(0x22), u16(opaque.length), opaque,
  ]);
  const evidence = Buffer.concat([body, sign('sha384', body, { key: (forgery.signer ?? key).privateKey, dsaEncoding: 'ieee-p1363' })]);
  return {
    arch: forgery.arch ?? (kind === 'gpu' ? 'HOPPER' : 'LS10'), nonce: Buffer.from(nonce).toString('hex'), evidence: evidence.toString('base64'),
    certificate: Buffer.from(pemOf(...chain([leaf, identity.der, pki.provisioner.der, pki.deviceCa.der, pki.deviceRoot.der]))).toString('base64'),
  };
}

export interface RimForgery {
  readonly product?: string;
  readonly edition?: string;
  readonly version?: string;
  /** Indices that are active, from 0. */
  readonly active?: readonly number[];
  /** Values in place of the measured ones, by index from 0. */
  readonly values?: Readonly<Record<number, readonly Uint8Array[]>>;
  readonly signer?: Authority;
  readonly certificates?: readonly Uint8Array[];
  readonly pki?: NvidiaPki;
  /** Changes the finished text. */
  readonly edit?: (text: string) => string;
  /** Changes SignedInfo before it is signed, so that the signature stays good. */
  readonly signedInfo?: (text: string) => string;
}

const SWID = 'http://standards.iso.org/iso/19770/-2/2015/schema.xsd';
const DSIG = 'http://www.w3.org/2000/09/xmldsig#';
const NS2 = 'http://www.w3.org/2001/04/xmlenc#sha384';
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function rimBody({ product = 'GH100', edition = 'GPU', version = '580.10.02', active = [7, 21, 22], values = {} }: RimForgery, canonical: boolean): string {
  const resources = Array.from({ length: 64 }, (_, index) => {
    const alternatives = values[index] ?? [active.includes(index) ? measured(index + 1) : new Uint8Array(48)];
    const hashes = alternatives.map((value, number) => `ns2:Hash${number}="${hex(value)}"`).join(' ');
    const flag = active.includes(index) ? 'True' : 'False';
    return canonical
      ? `  <ns0:Resource active="${flag}" alternatives="${alternatives.length}" index="${index}" name="Measurement_${index}" size="48" type="Measurement" ${hashes}></ns0:Resource>\n`
      : `  <ns0:Resource type="Measurement" index="${index}" active='${flag}'  alternatives="${alternatives.length}" ${hashes} name="Measurement_${index}" size="48"/>\n`;
  });
  const meta = canonical
    ? `<ns0:Meta colloquialVersion="${version}" edition="${edition}" product="${product}"></ns0:Meta>`
    : `<ns0:Meta xmlns:ns0="${SWID}" product="${product}" colloquialVersion="${version}" edition="${edition}" />`;
  const text = canonical ? 'Tom &amp; "Jerry" &gt; \n' : 'Tom &amp; &quot;Jerry&quot; &gt; \r\n';
  return `${meta}${text}<ns0:Payload${canonical ? ` xmlns:SHA="${NS2}"` : ` xmlns:SHA='${NS2}'`}>\n${resources.join('')}</ns0:Payload>\n`;
}

/** The text of a manifest. */
export function forgeRim(forgery: RimForgery = {}): string {
  const { pki = PKI, signer = pki.rimSigner, edit = (same) => same, signedInfo = (same) => same } = forgery;
  const root = { canonical: `<SoftwareIdentity xmlns="${SWID}" xmlns:ns0="${SWID}" xmlns:ns2="${NS2}" name="x&amp;y" tagVersion="0">`, written: `<?xml version="1.0" encoding="UTF-8"?>\n<SoftwareIdentity tagVersion="0" xmlns:ns2="${NS2}" xmlns="${SWID}" xmlns:ns0="${SWID}" name='x&amp;y'>` };
  const digest = createHash('sha384').update(`${root.canonical}${rimBody(forgery, true)}</SoftwareIdentity>`).digest('base64');
  const info = signedInfo(`<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"></ds:SignatureMethod><ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="${DSIG}enveloped-signature"></ds:Transform><ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"></ds:DigestMethod><ds:DigestValue>${digest}</ds:DigestValue></ds:Reference>`);
  const exclusive = info.startsWith('<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"');
  const namespaces = exclusive ? ` xmlns:ds="${DSIG}"` : ` xmlns="${SWID}" xmlns:ds="${DSIG}" xmlns:ns0="${SWID}" xmlns:ns2="${NS2}"`;
  const value = sign('sha384', Buffer.from(`<ds:SignedInfo${namespaces}>${info}</ds:SignedInfo>`), { key: signer.key.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64');
  const certificates = (forgery.certificates ?? [signer.der, pki.rimCa.der, pki.rimRoot.der]).map((der) =>
    `<ds:X509Certificate>${Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n')}</ds:X509Certificate>`).join('');
  return edit(`${root.written}${rimBody(forgery, false)}<ds:Signature xmlns:ds="${DSIG}"><ds:SignedInfo>${info}</ds:SignedInfo><ds:SignatureValue>${value}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>${certificates}</ds:X509Data></ds:KeyInfo></ds:Signature></SoftwareIdentity>\n`);
}

export interface OcspForgery {
  readonly status?: 'good' | 'unknown' | 'revoked' | 'hold';
  readonly thisUpdate?: number;
  readonly nextUpdate?: number | null;
  readonly nonce?: Uint8Array;
  /** `issuer`: signed by the issuer itself; `delegated`: by its responder; `stranger`: by a responder that nobody has certified. */
  readonly by?: 'issuer' | 'delegated' | 'stranger' | 'wrong-usage' | 'wrong-key';
  readonly hash?: 'sha1' | 'sha256' | 'sha384';
  /** End of the responder's own certificate. */
  readonly responderEnd?: number;
}

const HASH_OIDS = { sha1: '1.3.14.3.2.26', sha256: '2.16.840.1.101.3.4.2.1', sha384: '2.16.840.1.101.3.4.2.2' } as const;
const keyBits = (spki: Uint8Array): Uint8Array => spki.subarray(-97);
const OCSP_SIGNING = { oid: '2.5.29.37', value: derSequence(derOid('1.3.6.1.5.5.7.3.9')) };
const SERVER_AUTH = { oid: '2.5.29.37', value: derSequence(derOid('1.3.6.1.5.5.7.3.1')) };

/** An OCSP response about one certificate (DER) of `issuer`. */
export function forgeOcsp(der: Uint8Array, issuer: Authority, forgery: OcspForgery = {}, pki: NvidiaPki = PKI): Uint8Array {
  const { status = 'good', thisUpdate = GPU_NOW - HOUR, nextUpdate = GPU_NOW + DAY, by = 'delegated', hash = 'sha384', nonce, responderEnd = WINDOW.notAfter } = forgery;
  const certificate = parseX509(der);
  const digest = (bytes: Uint8Array): Uint8Array => createHash(hash).update(bytes).digest();
  const reason = status === 'hold' ? [derElement(contextTag(0, true), derElement(TAG.enumerated, Uint8Array.of(6)))] : [];
  const time = (ms: number): Uint8Array => derTime(ms);
  const said = status === 'good' ? derElement(contextTag(0, false)) : status === 'unknown' ? derElement(contextTag(2, false)) : derElement(contextTag(1, true), time(GPU_NOW - DAY), ...reason);
  const answer = derSequence(
    derSequence(derSequence(derOid(HASH_OIDS[hash]), derElement(TAG.null)), derOctetString(digest(certificate.issuer.raw)), derOctetString(digest(keyBits(issuer.key.spki))), derUnsigned(certificate.serial)),
    said, time(thisUpdate), ...(nextUpdate === null ? [] : [derElement(contextTag(0, true), time(nextUpdate))]),
  );
  const signer = by === 'issuer' ? issuer.key : pki.responder;
  const responder = makeX509({
    subject: 'Example Responder', key: signer, issuer: by === 'stranger' ? { name: issuer.name, key: pki.responder } : issuer, serial: 7, extensions: [...LEAF_EXTENSIONS, by === 'wrong-usage' ? SERVER_AUTH : OCSP_SIGNING], ...WINDOW, notAfter: responderEnd,
  });
  const id = derElement(contextTag(2, true), derOctetString(createHash('sha1').update(keyBits(signer.spki)).digest()));
  const extensions = nonce === undefined ? [] : [derElement(contextTag(1, true), derSequence(derSequence(derOid('1.3.6.1.5.5.7.48.1.2'), derOctetString(derOctetString(nonce)))))];
  const data = derSequence(id, derElement(TAG.generalizedTime, Buffer.from('20261122110000Z')), derSequence(answer), ...extensions);
  const signedParts = signDer(data, by === 'wrong-key' ? ecKey() : signer);
  // signDer writes the sequence of three; the certificates go behind them.
  const inner = Buffer.from(signedParts.subarray(signedParts[1] === 0x82 ? 4 : signedParts[1] === 0x81 ? 3 : 2));
  const basic = derSequence(inner, ...(by === 'issuer' ? [] : [derElement(contextTag(0, true), derSequence(responder))]));
  return derSequence(derElement(TAG.enumerated, Uint8Array.of(0)), derElement(contextTag(0, true), derSequence(derOid('1.3.6.1.5.5.7.48.1.1'), derOctetString(basic))));
}

export interface MachineForgery {
  readonly devices?: readonly DeviceForgery[];
  readonly rims?: readonly { readonly id?: string; readonly rim: RimForgery }[];
  /** Answers about certificates by common name in place of good ones; null leaves one out. */
  readonly ocsp?: Readonly<Record<string, OcspForgery | null>>;
  readonly system?: { readonly cc_mode: string; readonly dev_tools: string } | null;
}

export const DRIVER_RIM: RimForgery = { version: '580.10.02', active: [7, 21, 22, 35], values: { 22: [new Uint8Array(48), measured(23)], 35: [new Uint8Array(48).fill(1)] } };
export const VBIOS_RIM: RimForgery = { version: '96.00.5E.00.01', active: [0, 1, 2, 8] };
export const SWITCH_RIM: RimForgery = { product: 'LS10', edition: 'SWITCH', version: '96.10.55.00.01', active: [0, 1, 2] };
export const GPU_RIMS = [{ id: 'NV_GPU_DRIVER_GH100_580.10.02', rim: DRIVER_RIM }, { id: 'NV_GPU_VBIOS_1010_0200_882_96005E0001', rim: VBIOS_RIM }];

/** The JSON bundle of a genuine machine with one GPU, with the given parts replaced. */
export function forgeMachine({ devices = [{}], rims = GPU_RIMS, ocsp = {}, system = { cc_mode: 'on', dev_tools: 'off' } }: MachineForgery = {}): object {
  const forged = devices.map(forgeDevice);
  const about: (readonly [der: Uint8Array, issuer: Authority])[] = [[PKI.provisioner.der, PKI.deviceCa], [PKI.deviceCa.der, PKI.deviceRoot], [PKI.rimSigner.der, PKI.rimCa], [PKI.rimCa.der, PKI.rimRoot]];
  for (const { certificate } of forged) {
    const second = Buffer.from(certificate, 'base64').toString().split('-----END CERTIFICATE-----')[1]?.replace('-----BEGIN CERTIFICATE-----', '');
    if (second !== undefined && second.trim() !== '') about.push([new Uint8Array(Buffer.from(second, 'base64')), PKI.provisioner]);
  }
  const answers = about.flatMap(([der, issuer]) => {
    const forgery = ocsp[parseX509(der).subject.commonName];
    return forgery === null ? [] : [{ response: hex(forgeOcsp(der, issuer, forgery ?? {})) }];
  });
  return {
    devices: forged, collateral: { rims: rims.map(({ id, rim }) => ({ ...(id === undefined ? {} : { id }), rim: forgeRim(rim) })), ocsp: answers },
    ...(system === null ? {} : { system }),
  };
}

export const FORGED_GPU_POLICY: NvidiaPolicy = { ...STRICT_NVIDIA_POLICY, gpuCount: 1 };

/** What judgeNvidia takes. */
export function forgeNvidia(machine: MachineForgery = {}, policy: Partial<NvidiaPolicy> = {}, pool?: CertificatePool): NvidiaInput {
  return { ...parseNvidiaBundle(JSON.parse(JSON.stringify(forgeMachine(machine))), pool), policy: { ...FORGED_GPU_POLICY, ...policy }, nowMs: GPU_NOW, nonce: GPU_NONCE, roots: FORGED_ROOTS };
}
