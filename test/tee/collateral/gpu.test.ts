// NVIDIA's RIM service and OCSP responder: manifests by id, answers about exactly the certificates that can be asked about.
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { assembleGpuCollateral, ocspSubjects, rimIdsOf } from '../../../src/tee/collateral/gpu.ts';
import { ocspDocument, ocspRequest } from '../../../src/tee/collateral/ocsp.ts';
import { rimDocument, signersOfRim } from '../../../src/tee/collateral/rim.ts';
import { DerReader, TAG, contextTag } from '../../../src/tee/der.ts';
import { derElement, derOctetString, derOid, derSequence, derUnsigned } from '../../../src/tee/der-write.ts';
import { parseX509 } from '../../../src/tee/x509/certificate.ts';
import type { X509 } from '../../../src/tee/x509/certificate.ts';
import { certificatesOfPem } from '../../../src/tee/x509/pem.ts';
import type { Answering, ScriptedAnswer, SeenRequest } from '../../fakes/collateral-server.ts';
import { CA_EXTENSIONS, LEAF_EXTENSIONS, ecKey, makeX509 } from '../../fakes/tee-pki.ts';
import { sharedFolder } from './shared.ts';
import { GPU_FIELDS, SWITCH_FIELDS, forgeSpdm } from './spdm.ts';
import { CASE, World, expectCode } from './world.ts';

const NOW = Date.UTC(2026, 10, 22);
const DAY = 86_400_000;
const OCSP = 'https://ocsp.ndis.nvidia.com/';
const RIM = 'https://rim.attestation.nvidia.com/v1/rim/';
const DRIVER = 'NV_GPU_DRIVER_GH100_550.90.07';
const VBIOS = 'NV_GPU_VBIOS_1010_0200_882_96005E0001';

/** A chain of `length`, leaf first. */
function chainOf(name: string, length: number, notAfter = NOW + 365 * DAY): X509[] {
  const keys = Array.from({ length }, () => ecKey());
  return keys.map((key, index) => {
    const issuer = keys[index + 1];
    return parseX509(makeX509({
      subject: `${name} ${index}`, key, serial: 100 + index, notBefore: NOW - DAY, notAfter, extensions: index === 0 ? LEAF_EXTENSIONS : CA_EXTENSIONS,
      ...(issuer === undefined ? {} : { issuer: { name: `${name} ${index + 1}`, key: issuer } }),
    }));
  });
}

const DEVICE = chainOf('device', 5);
const SIGNERS = chainOf('signer', 3);
const rimOf = (chain: readonly X509[]): string =>
  `<SoftwareIdentity xmlns="x"><ds:X509Data>${chain.map(({ der }) => `<ds:X509Certificate>\n${Buffer.from(der).toString('base64')}\n</ds:X509Certificate>`).join('')}</ds:X509Data></SoftwareIdentity>`;
const XML = rimOf(SIGNERS);
const rimAnswer = (id: string, xml: string): ScriptedAnswer => ({
  headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id, rim: Buffer.from(xml).toString('base64'), sha256: '', rim_format: 'TEXT' }),
});
const NONCE = new Uint8Array(32).fill(5);
const QUESTION = { architecture: 'HOPPER', evidence: forgeSpdm(NONCE, GPU_FIELDS), chain: DEVICE } as const;
const SWITCH_RIM = 'NV_SWITCH_BIOS_5612_0002_890_9610550001';

const explicit = (tag: number, content: Uint8Array): Uint8Array => derElement(contextTag(tag, true), content);

interface OcspForgery {
  readonly serial?: Uint8Array;
  readonly issuerName?: Uint8Array;
  readonly issuerKey?: Uint8Array;
  readonly nonce?: Uint8Array | null;
  readonly nextUpdate?: number | null;
  readonly status?: number;
}

const generalized = (ms: number): Uint8Array => derElement(TAG.generalizedTime, Buffer.from(`${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`));

/** An OCSP response with a signature of nobody: as far as a cache looks into it. */
function ocspResponse({ serial = Uint8Array.of(9), issuerName = Uint8Array.of(1), issuerKey = Uint8Array.of(2), nonce = null, nextUpdate = NOW + DAY, status = 0 }: OcspForgery = {}): Buffer {
  const id = derSequence(derSequence(derOid('2.16.840.1.101.3.4.2.2')), derOctetString(issuerName), derOctetString(issuerKey), derUnsigned(serial));
  const single = derSequence(id, derElement(contextTag(0, false)), generalized(NOW), ...(nextUpdate === null ? [] : [explicit(0, generalized(nextUpdate))]));
  const extensions = nonce === null ? [] : [explicit(1, derSequence(derSequence(derOid('1.3.6.1.5.5.7.48.1.2'), derOctetString(derOctetString(nonce)))))];
  const data = derSequence(explicit(2, derOctetString(Uint8Array.of(3))), generalized(NOW), derSequence(single), ...extensions);
  const basic = derSequence(data, derSequence(derOid('1.2.840.10045.4.3.3')), derElement(TAG.bitString, Uint8Array.of(0, 1)));
  const bytes = explicit(0, derSequence(derOid('1.3.6.1.5.5.7.48.1.1'), derOctetString(basic)));
  return Buffer.from(derSequence(derElement(TAG.enumerated, Uint8Array.of(status)), ...(status === 0 ? [bytes] : [])));
}

/** Certificate and nonce that a request names. */
function asked({ body }: SeenRequest): Required<Pick<OcspForgery, 'serial' | 'issuerName' | 'issuerKey'>> & { nonce: Uint8Array } {
  const request = DerReader.of(body, 'request', 4096).nested('request').nested('body');
  const id = request.nested('list').nested('entry').nested('certificate id');
  id.any('algorithm');
  const named = { issuerName: id.octetString('issuer name'), issuerKey: id.octetString('issuer key') };
  const extension = request.nested('extensions', contextTag(2, true)).nested('extensions').nested('extension');
  extension.oid('nonce');
  return { ...named, serial: id.unsigned('serial', 21), nonce: DerReader.of(extension.octetString('nonce'), 'nonce', 64).octetString('nonce') };
}

const OCSP_TYPE = { 'content-type': 'application/ocsp-response' };
/** Answers about whichever certificate the question names. */
const responder = (nextUpdate: number | null): Answering => (request) => ({ headers: OCSP_TYPE, body: ocspResponse({ ...asked(request), nextUpdate }) });

/** CertID of the synthetic TCB signer, as OpenSSL 3.0 writes it. */
const OPENSSL_CERT_ID = '3077300d060960864801650304020205000430336bea7b607737a35c0d8e55c82d749ee47827c19dabd56c2f95baebf87ab07c0899690b8bef1ddd68'
  + '63254edc94dfda0430269ec041f979f702d340cf43258a606355ac0a8f6dbf45b8e8f52a50fc0d21aa43f2656d8321e312ada993ae687a5a93020203'
  + 'eb';

let world: World;
beforeEach(async () => {
  world = await World.start(NOW);
  world.server.on(RIM + DRIVER, rimAnswer(DRIVER, XML)).on(RIM + VBIOS, rimAnswer(VBIOS, XML)).on(OCSP, responder(NOW + DAY));
});
afterEach(() => world.close());

describe('assembleGpuCollateral', () => {
  it('assembleGpuCollateral: both manifests as signed text, and an answer for each certificate that has an issuer to ask', async () => {
    const got = await assembleGpuCollateral(world.source(), [QUESTION]);
    expect(got.rims).toEqual([{ id: VBIOS, rim: XML }, { id: DRIVER, rim: XML }]);
    // Device: 1 to 3 of 0 to 4; signers: 0 and 1 of 0 to 2, once although both manifests have them.
    expect(got.ocsp).toHaveLength(5);
    expect(world.server.count(OCSP)).toBe(5);
    for (const { response, nonce } of got.ocsp) {
      expect(nonce).toMatch(/^[0-9a-f]{64}$/);
      expect(response).toMatch(/^30/);
      expect(world.server.requests.some(({ body }) => Buffer.from(body).includes(Buffer.from(nonce, 'hex')))).toBe(true);
    }
    expect(new Set(got.ocsp.map(({ nonce }) => nonce)).size).toBe(5);
  });

  it('assembleGpuCollateral: eight devices of a kind and a switch ask for each document once', async () => {
    world.server.on(RIM + SWITCH_RIM, rimAnswer(SWITCH_RIM, XML));
    const bridge = { architecture: 'LS10', evidence: forgeSpdm(NONCE, SWITCH_FIELDS), chain: chainOf('switch', 5) } as const;
    const got = await assembleGpuCollateral(world.source(), [...Array.from({ length: 8 }, () => QUESTION), bridge]);
    expect(got.rims.map(({ id }) => id)).toEqual([VBIOS, DRIVER, SWITCH_RIM]);
    expect(world.server.requests).toHaveLength(3 + 5 + 3);
  });

  it('assembleGpuCollateral: OCSP answers are kept until their next update, manifests for a month', async () => {
    await assembleGpuCollateral(world.source(), [QUESTION]);
    world.nowMs += DAY - 1;
    await assembleGpuCollateral(world.source({ offline: true }), [QUESTION]);
    world.nowMs += 1;
    world.server.on(OCSP, responder(NOW + 90 * DAY));
    await assembleGpuCollateral(world.source(), [QUESTION]);
    expect([world.server.count(OCSP), world.server.count(RIM + DRIVER)]).toEqual([10, 1]);
    world.nowMs = NOW + 30 * DAY;
    await assembleGpuCollateral(world.source(), [QUESTION]);
    expect([world.server.count(OCSP), world.server.count(RIM + DRIVER)]).toEqual([10, 2]);
  });

  it('assembleGpuCollateral: an answer without a next update is used once and not kept', async () => {
    world.server.on(OCSP, responder(null));
    await assembleGpuCollateral(world.source(), [QUESTION]);
    await assembleGpuCollateral(world.source(), [QUESTION]);
    expect(world.server.count(OCSP)).toBe(10);
  });

  it('assembleGpuCollateral: offline it names the manifests first, then the answers', async () => {
    await expectCode(assembleGpuCollateral(world.source({ offline: true }), [QUESTION]), 'E_COLLATERAL_MISSING', /2 of the documents.*nvidia-rim-NV_GPU_VBIOS/);
    await world.source().get([rimDocument(DRIVER), rimDocument(VBIOS)]);
    await expectCode(assembleGpuCollateral(world.source({ offline: true }), [QUESTION]), 'E_COLLATERAL_MISSING', /5 of the documents.*OCSP answer about the certificate "device 1"/);
  });

  it('assembleGpuCollateral: refuses a chain without anybody to ask about', async () => {
    await expectCode(assembleGpuCollateral(world.source(), [{ ...QUESTION, chain: DEVICE.slice(0, 2) }]), 'E_EVIDENCE_MALFORMED', /has 2 certificates/);
  });

  it.each<[string, string, ScriptedAnswer, RegExp]>([
    ['a manifest under another id', DRIVER, rimAnswer(VBIOS, XML), /answer has the id "NV_GPU_VBIOS/],
    ['a manifest that is not base64', DRIVER, { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id: DRIVER, rim: '<xml>' }) }, /no manifest in base64/],
    ['no manifest', DRIVER, { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id: DRIVER }) }, /no manifest in base64/],
    ['a manifest that is not UTF-8', DRIVER, { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id: DRIVER, rim: '/////w==' }) }, /not UTF-8/],
    ['a manifest that is no SWID tag', DRIVER, rimAnswer(DRIVER, '{"a":1}'), /no SWID tag/],
    ['a manifest without certificates', DRIVER, rimAnswer(DRIVER, '<SoftwareIdentity/>'), /has 0 certificates/],
    ['a manifest with a broken certificate', DRIVER, rimAnswer(DRIVER, '<SoftwareIdentity><X509Certificate>AAAA</X509Certificate></SoftwareIdentity>'), /malformed/],
    ['JSON that is a list', DRIVER, { headers: { 'content-type': 'application/json' }, body: '[]' }, /not a JSON object/],
    ['an unknown manifest', DRIVER, { status: 404 }, /does not have it/],
  ])('assembleGpuCollateral: refuses %s', async (_name, id, answer, message) => {
    world.server.on(RIM + id, answer);
    await expectCode(assembleGpuCollateral(world.source(), [QUESTION]), 'E_COLLATERAL', message);
  });

  const about = (change: OcspForgery): Answering => (request) => ({ headers: OCSP_TYPE, body: ocspResponse({ ...asked(request), ...change }) });
  it.each<[string, Answering, RegExp]>([
    ['an answer about another certificate', about({ serial: Uint8Array.of(9) }), /about another certificate/],
    ['an answer about a certificate of another issuer', about({ issuerKey: new Uint8Array(48) }), /about another certificate/],
    ['an answer about a certificate of another name above it', about({ issuerName: new Uint8Array(48) }), /about another certificate/],
    ['an answer to another request', about({ nonce: new Uint8Array(32) }), /does not repeat the nonce/],
    ['an answer without the nonce', about({ nonce: null }), /does not repeat the nonce/],
    ['an error of the responder', about({ status: 3 }), /status tryLater/],
    ['an answer that ends early', { headers: OCSP_TYPE, body: ocspResponse().subarray(0, 40) }, /malformed/],
    ['an empty answer', { headers: OCSP_TYPE }, /not lower-case hexadecimal/],
    ['a page', { headers: { 'content-type': 'text/html' }, body: 'x' }, /content type "text\/html"/],
  ])('assembleGpuCollateral: refuses %s', async (_name, answer, message) => {
    world.server.on(OCSP, answer);
    await expectCode(assembleGpuCollateral(world.source(), [QUESTION]), 'E_COLLATERAL', message);
  });
});

describe('rimIdsOf', () => {
  it.each([
    ['HOPPER', GPU_FIELDS, [VBIOS, DRIVER]],
    ['BLACKWELL', { ...GPU_FIELDS, 35: 'GB202' }, [VBIOS, 'NV_GPU_CC_DRIVER_GB202_550.90.07']],
    ['BLACKWELL', GPU_FIELDS, [VBIOS, 'NV_GPU_CC_DRIVER_GB100_550.90.07']],
    ['LS10', SWITCH_FIELDS, [SWITCH_RIM]],
  ] as const)('rimIdsOf: %s', (architecture, fields, wanted) => {
    expect(rimIdsOf({ architecture, evidence: forgeSpdm(NONCE, fields), chain: [] })).toEqual(wanted);
  });

  it('rimIdsOf: refuses a chip name that would leave the address', () => {
    expect(() => rimIdsOf({ architecture: 'BLACKWELL', evidence: forgeSpdm(NONCE, { ...GPU_FIELDS, 35: '../GB' }), chain: [] })).toThrow(/chip name/);
  });
});

describe('rimDocument, ocspDocument', () => {
  it.each(['', '../x', 'a/b', 'a?b', '.x', 'x'.repeat(200)])('rimDocument: refuses the id %p', (id) => {
    expect(() => rimDocument(id)).toThrow(RangeError);
  });

  it('rimDocument: the time for a manifest of white space grows no faster than its text', () => {
    const answer = (rim: string) => ({ status: 200, headers: new Map<string, string>(), body: Buffer.from(JSON.stringify({ id: DRIVER, rim })) });
    const startedMs = performance.now();
    expect(() => rimDocument(DRIVER).decode(answer(`A${' '.repeat(100_000)}!`))).toThrow(/no manifest in base64/);
    expect(performance.now() - startedMs).toBeLessThan(5_000); // with time that grows with the square it was nineteen seconds
    expect(rimDocument(DRIVER).decode(answer(`${Buffer.from('<x/>').toString('base64')}\r\n`))).toEqual({ rim: '<x/>' });
  });

  it('ocspRequest: names the certificate as `openssl ocsp -sha384` does, and carries the nonce of RFC 8954', () => {
    const [leaf, root] = certificatesOfPem(CASE.collateral.tcb_info_issuer_chain, 'chain', 2).map((der) => parseX509(der));
    if (leaf === undefined || root === undefined) throw new TypeError('no chain');
    const hex = Buffer.from(ocspRequest(leaf, root, new Uint8Array(32).fill(7))).toString('hex');
    expect(hex).toContain(OPENSSL_CERT_ID);
    expect(hex.endsWith(`06092b060105050730010204220420${'07'.repeat(32)}`)).toBe(true);
    expect(ocspDocument(leaf, root).id).toMatch(/^nvidia-ocsp-[0-9a-f]{40}$/);
  });

  it('ocspDocument: the same certificate under another authority is another question', () => {
    const [, subject, issuer, other] = DEVICE;
    if (subject === undefined || issuer === undefined || other === undefined) throw new TypeError('no chain');
    expect(ocspDocument(subject, other).id).not.toBe(ocspDocument(subject, issuer).id);
  });

  it('ocspSubjects: neither leaf nor root of a device, no root of a signer', () => {
    const names = ocspSubjects([DEVICE], [SIGNERS, SIGNERS]).map(([subject, issuer]) => `${subject.subject.commonName} < ${issuer.subject.commonName}`);
    expect(names).toEqual(['device 1 < device 2', 'device 2 < device 3', 'device 3 < device 4', 'signer 0 < signer 1', 'signer 1 < signer 2']);
  });
});

const nvidia = sharedFolder('nvidia');
(nvidia === null ? it.skip : it)(`rimIdsOf: real evidence names its manifests${nvidia === null ? ' (skipped: no third-party vectors here)' : ''}`, () => {
  const read = (name: string): { arch: string; evidence: string } => JSON.parse(readFileSync(new URL(name, nvidia ?? ''), 'utf8')) as { arch: string; evidence: string };
  const ids = ['h100-545.00-FULLMATCH.json', 'h100-550.90.07-nvtrust.json'].map((name) => rimIdsOf({ architecture: 'HOPPER', evidence: Buffer.from(read(name).evidence, 'base64'), chain: [] }));
  expect(ids[0]?.[0]).toBe(VBIOS);
  expect(ids[1]?.[1]).toBe(DRIVER);
});

(nvidia === null ? it.skip : it)(`rimDocument: real manifests are read${nvidia === null ? ' (skipped: no third-party vectors here)' : ''}`, () => {
  const xml = readFileSync(new URL('rim/1010_0200_882_96005E0001_PROD.swidtag', nvidia ?? ''), 'utf8');
  expect(signersOfRim(xml, 'RIM')).toHaveLength(4);
  expect(rimDocument(VBIOS).expiresAtMs({ rim: xml }, 0)).toBe(30 * DAY);
});
