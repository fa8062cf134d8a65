// The parsers of NVIDIA evidence, manifests, OCSP answers and bundles: what they refuse, that they throw typed errors only,
// and that no single bit of evidence, manifest or answer can be changed.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseNvidiaBundle } from '../../../src/tee/nvidia/bundle.ts';
import { canonicalise } from '../../../src/tee/nvidia/c14n.ts';
import { CertificatePool } from '../../../src/tee/nvidia/certificate-pool.ts';
import { judgeNvidia } from '../../../src/tee/nvidia/judge.ts';
import { gpuClaimsOf, paddedText } from '../../../src/tee/nvidia/opaque.ts';
import { parseOcsp } from '../../../src/tee/nvidia/parse-ocsp.ts';
import { parseRim } from '../../../src/tee/nvidia/parse-rim.ts';
import { parseSpdm } from '../../../src/tee/nvidia/parse-spdm.ts';
import { verifyRim } from '../../../src/tee/nvidia/verify.ts';
import { verifyStatus } from '../../../src/tee/nvidia/verify-ocsp.ts';
import { parseXml } from '../../../src/tee/nvidia/xml.ts';
import { malformed } from '../../../src/tee/refusal.ts';
import { CheckList } from '../../../src/tee/verdict.ts';
import { parseX509 } from '../../../src/tee/x509/certificate.ts';
import { verifiesWith } from '../../../src/tee/x509/signature.ts';
import { FORGED_GPU_POLICY, FORGED_ROOTS, GPU_NONCE, GPU_NOW, PKI, forgeDevice, forgeMachine, forgeNvidia, forgeOcsp, forgeRim, opaqueField } from '../../fakes/nvidia-forge.ts';
import { acceptedOrRefused, expectRefusal } from '../expect-error.ts';

const device = forgeDevice();
const evidence = new Uint8Array(Buffer.from(device.evidence, 'base64'));
const flipped = (bytes: Uint8Array, offset: number, bit: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[offset] = (copy[offset] ?? 0) ^ 1 << bit;
  return copy;
};
const edited = (bytes: Uint8Array) => fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }).map((edits) => {
  const copy = Uint8Array.from(bytes);
  for (const [offset, value] of edits) copy[offset] = value;
  return copy;
});

describe('parseSpdm', () => {
  it('parseSpdm: reads request and response', () => {
    const parsed = parseSpdm(evidence);
    expect([parsed.measurements.size, parsed.requestNonce, parsed.signature.length, parsed.signedBytes.length]).toEqual([64, GPU_NONCE, 96, evidence.length - 96]);
  });

  it.each([[0, 'version'], [1, 'code'], [2, 'attributes'], [3, 'operation'], [36, 'slot'], [37, 'version'], [38, 'code'], [39, 'first parameter'], [40, 'slot'], [41, 'claims']] as const)('parseSpdm: refuses another byte %i (%s)', (offset, message) => {
    expectRefusal(() => parseSpdm(flipped(evidence, offset, 1)), 'E_EVIDENCE_MALFORMED', new RegExp(message));
  });

  it('parseSpdm: refuses every length but the right one', () => {
    for (let length = 0; length < evidence.length; length += 13) expectRefusal(() => parseSpdm(evidence.subarray(0, length)), 'E_EVIDENCE_MALFORMED', /./);
    expectRefusal(() => parseSpdm(Buffer.concat([evidence, Uint8Array.of(0)])), 'E_EVIDENCE_MALFORMED', /left over/);
    expectRefusal(() => parseSpdm(new Uint8Array(65_537)), 'E_EVIDENCE_MALFORMED', /at most/);
  });

  it('parseSpdm: refuses opaque data that repeats or ends early', () => {
    const twice = Buffer.concat([opaqueField(3, Buffer.from('1.2')), opaqueField(3, Buffer.from('1.2'))]);
    const head = evidence.subarray(0, 45 + 3520 + 32);
    expectRefusal(() => parseSpdm(Buffer.concat([head, Uint8Array.of(twice.length, 0), twice, new Uint8Array(96)])), 'E_EVIDENCE_MALFORMED', /twice/);
    expectRefusal(() => parseSpdm(Buffer.concat([head, Uint8Array.of(3, 0), twice.subarray(0, 3), new Uint8Array(96)])), 'E_EVIDENCE_MALFORMED', /opaque/);
  });

  it('gpuClaimsOf: the time for a text of zero bytes grows no faster than the text', () => {
    const zeros = Buffer.concat([new Uint8Array(60_000), Buffer.from('x')]);
    const startedMs = performance.now();
    expectRefusal(() => gpuClaimsOf(new Map([[6, new Uint8Array(8)], [3, zeros]])), 'E_EVIDENCE_MALFORMED', /driver version/);
    expect(performance.now() - startedMs).toBeLessThan(5_000); // with time that grows with the square it was nine seconds
    expect(paddedText(Buffer.from('580.10\0\0'))).toBe('580.10');
    expect(paddedText(new Uint8Array(3))).toBe('');
  });

  it('parseSpdm: neither parses nor verifies with a bit of any byte changed', () => {
    const [leaf] = parseNvidiaBundle({ devices: [device], collateral: { rims: [], ocsp: [] } }).devices[0]?.chain ?? [];
    const accepted: number[] = [];
    for (let offset = 0; offset < evidence.length; offset += offset < 45 || offset > evidence.length - 800 ? 1 : 5) {
      const passed = acceptedOrRefused(() => {
        const { signedBytes, signature } = parseSpdm(flipped(evidence, offset, offset % 8));
        if (leaf === undefined || !verifiesWith(leaf.key, 'ecdsa-sha384', signedBytes, signature, 'ieee-p1363')) throw malformed('the signature does not verify');
      });
      if (passed) accepted.push(offset);
    }
    expect(accepted).toEqual([]);
  });

  it('parseSpdm: throws typed errors only', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => { acceptedOrRefused(() => parseSpdm(bytes)); }), { numRuns: 200 });
    fc.assert(fc.property(edited(evidence), (bytes) => { acceptedOrRefused(() => parseSpdm(bytes)); }), { numRuns: 400 });
  });
});

describe('parseXml, canonicalise', () => {
  const canonical = (text: string, kind: 'inclusive' | 'exclusive' = 'inclusive'): string => Buffer.from(canonicalise(parseXml(text, 'text'), kind)).toString();

  it.each([
    ['<a/>', '<a></a>'], ['<a  c="2"\n b = \'1\' ></a >', '<a b="1" c="2"></a>'], ['<?xml version="1.0"?>\n<a>\r\n</a>\n', '<a>\n</a>'],
    ['<a b="&lt;&gt;&amp;&quot;&apos;&#9;&#xA;&#xD;\t"/>', '<a b="&lt;>&amp;&quot;\'&#x9;&#xA;&#xD; "></a>'], ['<a>&lt;&gt;&amp;&quot;&#xD;"</a>', '<a>&lt;&gt;&amp;""</a>'.replace('&amp;""', '&amp;"&#xD;"')],
    ['<a xmlns:z="u:z" xmlns="u:0" xmlns:y="u:y"><b xmlns="u:0" xmlns:z="u:z"/></a>', '<a xmlns="u:0" xmlns:y="u:y" xmlns:z="u:z"><b></b></a>'],
    ['<a xmlns="u:0"><b xmlns=""><c/></b></a>', '<a xmlns="u:0"><b xmlns=""><c></c></b></a>'], ['<a xmlns:y="u:1" xmlns:z="u:0" y:q="1" z:r="2" p="3"/>', '<a xmlns:y="u:1" xmlns:z="u:0" p="3" z:r="2" y:q="1"></a>'],
    ['<a xmlns:y="u:1"><y:b xmlns:y="u:2"/><y:c/></a>', '<a xmlns:y="u:1"><y:b xmlns:y="u:2"></y:b><y:c></y:c></a>'],
  ])('canonicalise: %s', (text, wanted) => { expect(canonical(text)).toBe(wanted); });

  it('canonicalise: exclusive writes a namespace where it is used', () => {
    expect(canonical('<a xmlns="u:0" xmlns:y="u:y" xmlns:z="u:z"><y:b z:c="1"><y:d/></y:b></a>', 'exclusive')).toBe('<a xmlns="u:0"><y:b xmlns:y="u:y" xmlns:z="u:z" z:c="1"><y:d></y:d></y:b></a>');
  });

  it('canonicalise: declarations that stand in many elements take no more time than their number', () => {
    const declarations = (letter: string, uri: string): string => Array.from({ length: 64 }, (_, index) => ` xmlns:${letter}${index}="${uri}"`).join('');
    const outer = Array.from('abcdefghijklmn', (letter) => `<a${declarations(letter, 'u')}>`);
    const inner = Array.from({ length: 490 }, (_, index) => `<b${declarations('a', index % 2 === 0 ? 'v' : 'w')}/>`);
    const root = parseXml(`${outer.join('')}${inner.join('')}${'</a>'.repeat(outer.length)}`, 'text');
    const startedMs = performance.now();
    expect(Buffer.from(canonicalise(root, 'inclusive')).toString().match(/<b /g)).toHaveLength(490);
    expect(performance.now() - startedMs).toBeLessThan(5_000); // with a copy for each declaration it was eight seconds
  });

  it('canonicalise: writes the same again for what it has written', () => {
    const once = canonical(forgeRim());
    expect(canonical(once)).toBe(once);
  });

  it.each([
    ['nothing', ''], ['text', 'x'], ['a document type', '<!DOCTYPE a><a/>'], ['a processing instruction', '<a><?x?></a>'], ['one before the root', '<?x y?><a/>'], ['a comment', '<a><!-- x --></a>'], ['a CDATA section', '<a><![CDATA[x]]></a>'],
    ['"]]>" in text', '<a>]]></a>'], ['another entity', '<a>&x;</a>'], ['a lone ampersand', '<a>a & b</a>'], ['an attribute twice', '<a b="1" b="2"/>'], ['one under two prefixes', '<a xmlns:x="u" xmlns:y="u" x:b="1" y:b="2"/>'],
    ['an undeclared prefix', '<x:a/>'], ['an undeclared prefix at an attribute', '<a x:b="1"/>'], ['an xml: attribute', '<a xml:lang="en"/>'], ['a declaration of xml', '<a xmlns:xml="u"/>'], ['an empty declaration', '<a xmlns:x=""/>'],
    ['two roots', '<a/><b/>'], ['an open end', '<a>'], ['another end', '<a></b>'], ['a value without quotes', '<a b=1/>'], ['a value with "<"', '<a b="<"/>'], ['a control character', '<a>\u0001</a>'], ['a surrogate', '<a>\u{1F600}</a>'],
    ['too many levels', '<a>'.repeat(17) + '</a>'.repeat(17)], ['too many elements', `<a>${'<b/>'.repeat(4096)}</a>`], ['too many attributes', `<a ${Array.from({ length: 65 }, (_, index) => `b${index}="1"`).join(' ')}/>`], ['too many characters', `<a>${'x'.repeat(524_288)}</a>`],
  ])('parseXml: refuses %s', (_, text) => { expectRefusal(() => parseXml(text, 'the text'), 'E_EVIDENCE_MALFORMED', /the text/); });

  it('parseXml: throws typed errors only, in time that does not grow faster than the text', () => {
    const part = fc.constantFrom('<a', '<b>', '</a>', '</b>', '/>', '>', ' x="1"', ' xmlns="u"', ' y:z=\'2\'', '&amp;', '&', '<!--', ']]>', '<?', 'text', ' ', '"', '=', '\n');
    fc.assert(fc.property(fc.array(part, { maxLength: 40 }), (parts) => { acceptedOrRefused(() => parseXml(parts.join(''), 'text')); }), { numRuns: 500 });
    for (const text of [`<a${' '.repeat(500_000)}`, `<a b="${'x'.repeat(500_000)}`, `<a>${'&'.repeat(500_000)}`, '<'.repeat(500_000), `<a>${'<b>'.repeat(160_000)}`]) {
      expectRefusal(() => parseXml(text, 'text'), 'E_EVIDENCE_MALFORMED', /./);
    }
  });
});

describe('parseRim', () => {
  const text = forgeRim();
  const verifies = (manifest: string): boolean => acceptedOrRefused(() => {
    const checks = new CheckList();
    if (verifyRim({ checks, policy: FORGED_GPU_POLICY, ocsp: [], nowMs: GPU_NOW }, parseRim(manifest), 'rim', FORGED_ROOTS.rim) === null) throw malformed('the manifest does not verify');
  });

  it('parseRim: reads product, version and measurements', () => {
    expect(verifies(text)).toBe(true);
    const rim = parseRim(text);
    expect([rim.product, rim.edition, rim.version, rim.measurements.length, rim.measurements.filter(({ active }) => active).map(({ index }) => index)]).toEqual(['GH100', 'GPU', '580.10.02', 64, [7, 21, 22]]);
  });

  it.each([
    ['another root', (s: string) => s.replaceAll('SoftwareIdentity', 'Software')], ['another namespace', (s: string) => s.replaceAll('http://standards.iso.org', 'http://standards.example.org')], ['two payloads', (s: string) => s.replace('</ns0:Payload>', '</ns0:Payload><ns0:Payload/>')],
    ['an index twice', (s: string) => s.replace('index="5"', 'index="6"')], ['an index out of range', (s: string) => s.replace('index="5"', 'index="255"')], ['an index with a sign', (s: string) => s.replace('index="5"', 'index="+5"')],
    ['a value too few', (s: string) => s.replace('alternatives="1"', 'alternatives="2"')], ['no values', (s: string) => s.replace('alternatives="1"', 'alternatives="0"')], ['a short value', (s: string) => s.replace(/Hash0="../, 'Hash0="')], ['active="true"', (s: string) => s.replace('\'True\'', '\'true\'')],
    ['another size', (s: string) => s.replace('size="48"', 'size="32"')], ['another type', (s: string) => s.replace('type="Measurement"', 'type="File"')], ['another element', (s: string) => s.replace('<ns0:Resource', '<ns0:File')],
    ['no signature', (s: string) => s.replace(/<ds:Signature .*<\/ds:Signature>/s, '')], ['two signatures', (s: string) => s.replace(/(<ds:Signature .*<\/ds:Signature>)/s, '$1$1')], ['a reference to a part', (s: string) => s.replace('URI=""', 'URI="#x"')], ['two references', (s: string) => s.replace(/(<ds:Reference.*<\/ds:Reference>)/s, '$1$1')],
    ['no transform', (s: string) => s.replace(/<ds:Transform .*?<\/ds:Transform>/s, '')], ['another digest', (s: string) => s.replace('xmldsig-more#sha384', 'xmldsig-more#sha224')], ['another signature algorithm', (s: string) => s.replace('ecdsa-sha384', 'hmac-sha256')],
    ['canonicalisation with comments', (s: string) => s.replace('xml-c14n11', 'xml-c14n11#WithComments')], ['an object in the signature', (s: string) => s.replace('</ds:Signature>', '<ds:Object/></ds:Signature>')], ['text in the signature', (s: string) => s.replace('<ds:KeyInfo>', 'x<ds:KeyInfo>')],
    ['text between certificates', (s: string) => s.replace('<ds:X509Certificate>', 'x<ds:X509Certificate>')], ['a short signature', (s: string) => s.replace(/(<ds:SignatureValue>)..../, '$1')], ['a digest that is no base64', (s: string) => s.replace(/(<ds:DigestValue>)./, '$1*')], ['a certificate that is none', (s: string) => s.replace(/(<ds:X509Certificate>)MII/, '$1AAA')],
  ])('parseRim: refuses %s', (_, edit) => {
    expect(edit(text)).not.toBe(text);
    expectRefusal(() => parseRim(edit(text)), 'E_EVIDENCE_MALFORMED', /./);
  });

  it('verifyRim: refuses a manifest with a bit of any character changed', () => {
    const bytes = new Uint8Array(Buffer.from(text));
    const start = text.indexOf('<ds:Signature');
    const accepted: number[] = [];
    for (let offset = 0; offset < bytes.length; offset += offset < 1200 || offset > start ? 3 : 29) {
      if (verifies(Buffer.from(flipped(bytes, offset, offset % 8)).toString('latin1'))) accepted.push(offset);
    }
    expect(accepted).toEqual([]);
  });

  it('parseRim: throws typed errors only', () => {
    const bytes = new Uint8Array(Buffer.from(text));
    fc.assert(fc.property(edited(bytes), (changed) => { acceptedOrRefused(() => parseRim(Buffer.from(changed).toString('latin1'))); }), { numRuns: 150 });
  });
});

describe('parseOcsp', () => {
  const der = forgeOcsp(PKI.provisioner.der, PKI.deviceCa, { nonce: GPU_NONCE });
  const [certificate, issuer] = [parseX509(PKI.provisioner.der), parseX509(PKI.deviceCa.der)];

  it('parseOcsp: reads answer, nonce and responder', () => {
    const parsed = parseOcsp(der);
    expect([parsed.nonce, parsed.answers.map(({ status, hash }) => [status.kind, hash]), parsed.certificates.length]).toEqual([GPU_NONCE, [['good', 'sha384']], 1]);
    expect(verifyStatus(certificate, issuer, [parsed], { nowMs: GPU_NOW, maxAgeMs: null, allowHold: false })).toBe(GPU_NOW + 86_400_000);
  });

  it('parseOcsp: refuses an error status', () => {
    expectRefusal(() => parseOcsp(Uint8Array.of(0x30, 3, 0x0a, 1, 3)), 'E_EVIDENCE_MALFORMED', /tryLater/);
  });

  it('verifyStatus: refuses an answer with a bit of any byte changed', () => {
    const accepted: number[] = [];
    for (let offset = 0; offset < der.length; offset += 1) {
      const passed = acceptedOrRefused(() => verifyStatus(certificate, issuer, [parseOcsp(flipped(der, offset, offset % 8))], { nowMs: GPU_NOW, maxAgeMs: null, allowHold: false }));
      if (passed) accepted.push(offset);
    }
    expect(accepted).toEqual([]);
  });

  it('parseOcsp: throws typed errors only', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => { acceptedOrRefused(() => parseOcsp(bytes)); }), { numRuns: 200 });
    fc.assert(fc.property(edited(der), (bytes) => { acceptedOrRefused(() => parseOcsp(bytes)); }), { numRuns: 300 });
  });
});

describe('parseNvidiaBundle', () => {
  const bundle = JSON.parse(JSON.stringify(forgeMachine())) as { devices: Record<string, unknown>[]; collateral: Record<string, unknown[]> };
  const answer = { response: Buffer.from(forgeOcsp(PKI.provisioner.der, PKI.deviceCa, { nonce: GPU_NONCE })).toString('hex') };
  const withDevice = (fields: object): object => ({ ...bundle, devices: [{ ...device, ...fields }] });

  it.each([
    ['a list', []], ['an unknown member', { ...bundle, x: 1 }], ['an unknown member of a device', withDevice({ x: 1 })], ['an unknown architecture', withDevice({ arch: 'VOLTA' })], ['another nonce than the evidence', withDevice({ nonce: '00'.repeat(32) })],
    ['evidence that is no base64', withDevice({ evidence: '***' })], ['certificates that are no PEM', withDevice({ certificate: 'AAAA' })], ['too many devices', { ...bundle, devices: Array(17).fill(device) }], ['an unknown mode', { ...bundle, system: { cc_mode: 'devtools', dev_tools: 'on' } }],
    ['half of the system', { ...bundle, system: { cc_mode: 'on' } }], ['an unknown member of the collateral', { ...bundle, collateral: { ...bundle.collateral, x: [] } }], ['no manifests', { ...bundle, collateral: { ocsp: [] } }],
    ['an answer to another request', { ...bundle, collateral: { rims: [], ocsp: [{ ...answer, nonce: '00'.repeat(32) }] } }],
  ])('parseNvidiaBundle: refuses %s', (_, value) => { expectRefusal(() => parseNvidiaBundle(value), 'E_EVIDENCE_MALFORMED', /./); });

  it('parseNvidiaBundle: an answer repeats the nonce of its request', () => {
    const parsed = parseNvidiaBundle({ ...bundle, collateral: { rims: [], ocsp: [{ ...answer, nonce: Buffer.from(GPU_NONCE).toString('hex') }] } });
    expect(parsed.collateral.ocsp).toHaveLength(1);
  });

  it('parseNvidiaBundle: throws typed errors only', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => { acceptedOrRefused(() => parseNvidiaBundle(value)); }), { numRuns: 200 });
  });

  it('CertificatePool: equal certificates are one object, and the verdict is the same', () => {
    const pool = new CertificatePool();
    expect(pool.parse(PKI.rimCa.der, 'a')).toBe(pool.parse(Uint8Array.from(PKI.rimCa.der), 'b'));
    for (let round = 0; round < 2; round += 1) expect(judgeNvidia(forgeNvidia({}, {}, pool)).verdict.overall).toBe('pass');
  });
});
