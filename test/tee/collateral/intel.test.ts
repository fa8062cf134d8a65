// Intel's collateral from PCS and PCCS: the exact bundle, and refusal of answers that are something else.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { NetworkError } from '../../../src/core/errors.ts';
import { assembleDcapCollateral, dcapDocuments, dcapQuestionOf } from '../../../src/tee/collateral/intel.ts';
import { parseCollateral } from '../../../src/tee/dcap/parse-collateral.ts';
import { parseQuote } from '../../../src/tee/dcap/parse-quote.ts';
import type { ScriptedAnswer } from '../../fakes/collateral-server.ts';
import { jsonVector } from '../vectors.ts';
import { ANSWERS, CASE, CASE_NOW_MS, QUESTION, URLS, World, expectCode, scriptIntel } from './world.ts';

let world: World;
beforeEach(async () => { world = await World.start(CASE_NOW_MS); });
afterEach(() => world.close());

describe('assembleDcapCollateral', () => {
  it('assembleDcapCollateral: gives exactly the QuoteCollateralV3 bundle, byte for byte', async () => {
    scriptIntel(world.server);
    const bundle = await assembleDcapCollateral(world.source(), QUESTION);
    expect(bundle).toEqual(CASE.collateral);
    expect(() => parseCollateral(bundle)).not.toThrow();
    expect(world.server.requests.map(({ method, url }) => `${method} ${url}`).sort()).toEqual(Object.values(URLS).map((url) => `GET ${url}`).sort());
  });

  it('assembleDcapCollateral: asks for the early update and for SGX where that is wanted', () => {
    const urls = dcapDocuments({ ...QUESTION, tee: 'sgx', ca: 'processor' }, { update: 'early' }).map(({ request }) => request.url);
    expect(urls).toEqual([
      'https://api.trustedservices.intel.com/sgx/certification/v4/tcb?fmspc=A0B0C0D0E0F0&update=early',
      'https://api.trustedservices.intel.com/sgx/certification/v4/qe/identity?update=early',
      'https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=processor&encoding=der',
      'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der',
    ]);
  });

  it('assembleDcapCollateral: a PCCS on loopback over http, with CRLs in hexadecimal and in PEM', async () => {
    const base = `${world.server.origin}/`;
    const at = (path: string): string => `${world.server.origin}${path}`;
    const pem = `-----BEGIN X509 CRL-----\n${Buffer.from(CASE.collateral.pck_crl, 'hex').toString('base64').replace(/.{64}/g, '$&\n')}\n-----END X509 CRL-----\n`;
    world.server
      .on(at('/tdx/certification/v4/tcb?fmspc=A0B0C0D0E0F0&update=standard'), ANSWERS.tcb)
      .on(at('/tdx/certification/v4/qe/identity?update=standard'), ANSWERS.qe)
      .on(at('/sgx/certification/v4/pckcrl?ca=platform&encoding=der'), { ...ANSWERS.pckCrl, body: pem })
      .on(at('/sgx/certification/v4/rootcacrl'), { headers: { 'content-type': 'text/html; charset=utf-8' }, body: CASE.collateral.root_ca_crl.toUpperCase() });
    expect(await assembleDcapCollateral(world.source(), QUESTION, { pccs: base })).toEqual(CASE.collateral);
  });

  it.each([
    ['http://pccs.example.com', /not encrypted/], ['http://127.0.0.1.example.com:8081', /not encrypted/], ['ftp://localhost', /not a URL/], ['pccs', /not a URL/],
    ['https://user:secret@pccs.example.com', /name, password/], ['https://pccs.example.com/?x=1', /query/],
  ])('dcapDocuments: refuses the PCCS address %s', async (pccs, message) => {
    await expectCode(Promise.resolve().then(() => dcapDocuments(QUESTION, { pccs })), 'E_CONFIG', message);
  });

  it.each([['localhost', 'http://localhost:8081'], ['IPv6 loopback', 'http://[::1]:8081'], ['another machine over https', 'https://pccs.example.com/base/']])(
    'dcapDocuments: takes a PCCS on %s', (_name, pccs) => {
      expect(dcapDocuments(QUESTION, { pccs })[0]?.request.url).toMatch(/^https?:\/\/[^?]*[^/]\/tdx\/certification\/v4\/tcb\?/);
    });
});

const tcbWith = (change: (text: string) => string): ScriptedAnswer => ({ ...ANSWERS.tcb, body: change(ANSWERS.tcb.body as string) });
const withoutHeader = (answer: ScriptedAnswer): ScriptedAnswer => ({ ...answer, headers: { 'content-type': answer.headers?.['content-type'] ?? '' } });
const chain = (value: string): ScriptedAnswer => ({ ...ANSWERS.tcb, headers: { 'content-type': 'application/json', 'TCB-Info-Issuer-Chain': value } });

describe('documents of Intel', () => {
  it.each<[string, keyof typeof URLS, ScriptedAnswer, RegExp]>([
    ['TCB info that is not JSON', 'tcb', { ...ANSWERS.tcb, body: '<html>' }, /is not \{"tcbInfo"/],
    ['an empty answer', 'tcb', { ...ANSWERS.tcb, body: '' }, /is not \{"tcbInfo"/],
    ['JSON inside that is broken', 'tcb', { ...ANSWERS.tcb, body: `{"tcbInfo":{"id":},"signature":"${'00'.repeat(64)}"}` }, /not JSON/],
    ['a short signature', 'tcb', tcbWith((text) => text.replace(/"signature":"../, '"signature":"')), /is not \{"tcbInfo"/],
    ['bytes that are not UTF-8', 'tcb', { ...ANSWERS.tcb, body: Uint8Array.of(0x7b, 0xff, 0xfe) }, /not UTF-8/],
    ['TCB info of another platform', 'tcb', tcbWith((text) => text.replace('"fmspc":"a0b0', '"fmspc":"a0b1')), /its fmspc is/],
    ['TCB info for SGX', 'tcb', tcbWith((text) => text.replace('"id":"TDX"', '"id":"SGX"')), /its id is "SGX"/],
    ['TCB info without an end', 'tcb', tcbWith((text) => text.replace('"nextUpdate"', '"otherUpdate"')), /no nextUpdate/],
    ['no issuer chain', 'tcb', withoutHeader(ANSWERS.tcb), /no header tcb-info-issuer-chain/],
    ['an issuer chain that is not URL-encoded', 'tcb', chain('%E0%A4%A'), /not URL-encoded/],
    ['an issuer chain without certificates', 'tcb', chain('hello'), /no PEM certificate/],
    ['an issuer chain of garbage', 'tcb', chain(encodeURIComponent('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')), /malformed/],
    ['an issuer chain of one', 'tcb', chain(encodeURIComponent(CASE.collateral.tcb_info_issuer_chain.split(/(?<=END CERTIFICATE-----\n)/)[0] ?? '')), /has 1 certificates, expected at least 2/],
    ['QE identity of SGX', 'qe', { ...ANSWERS.qe, body: (ANSWERS.qe.body as string).replace('"id":"TD_QE"', '"id":"QE"') }, /its id is "QE"/],
    ['a CRL of zeros', 'pckCrl', { ...ANSWERS.pckCrl, body: Buffer.alloc(100) }, /no CRL in DER, PEM or hexadecimal/],
    ['a CRL that ends early', 'pckCrl', { ...ANSWERS.pckCrl, body: ANSWERS.pckCrl.body.subarray(0, 100) }, /malformed/],
    ['an empty CRL', 'rootCrl', { ...ANSWERS.rootCrl, body: '' }, /no CRL/],
    ['an error page', 'rootCrl', { headers: { 'content-type': 'application/json' }, body: '{}' }, /content type "application\/json"/],
    ['TCB info of a wrong type', 'tcb', { ...ANSWERS.tcb, headers: { ...ANSWERS.tcb.headers, 'content-type': 'text/html' } }, /content type "text\/html"/],
    ['an answer without a type', 'qe', { ...ANSWERS.qe, headers: {} }, /content type ""/],
    ['a huge answer', 'tcb', { ...ANSWERS.tcb, huge: 2_000_000 }, /more than 1048576 bytes/],
    ['a huge CRL', 'rootCrl', { ...ANSWERS.rootCrl, huge: 3_000_000 }, /more than \d+ bytes/],
  ])('assembleDcapCollateral: refuses %s', async (_name, document, answer, message) => {
    scriptIntel(world.server);
    world.server.on(URLS[document], answer);
    const error = await expectCode(assembleDcapCollateral(world.source(), QUESTION), 'E_COLLATERAL', message);
    expect(error.exitCode).toBe(6);
    expect(world.server.count(URLS[document])).toBe(1); // garbage is not asked for again
    // Nothing of it was kept.
    world.server.on(URLS[document], ANSWERS[document]);
    expect(await assembleDcapCollateral(world.source(), QUESTION)).toEqual(CASE.collateral);
  });
});

describe('dcapDocuments: answers of any kind', () => {
  const headers = new Map([['tcb-info-issuer-chain', encodeURIComponent(CASE.collateral.tcb_info_issuer_chain)], ['sgx-enclave-identity-issuer-chain', ''], ['sgx-pck-crl-issuer-chain', '%']]);
  const bodies = [ANSWERS.tcb.body as string, ANSWERS.qe.body as string, ANSWERS.pckCrl.body, ANSWERS.rootCrl.body].map((body) => Buffer.from(body));

  it.each(dcapDocuments(QUESTION).map((spec, index) => [spec.id, spec, bodies[index] ?? Buffer.alloc(0)] as const))('%s: content or E_COLLATERAL, nothing else', (_id, spec, body) => {
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.tuple(fc.nat(body.length - 1), fc.nat(255)).map(([at, value]) => Buffer.from(body).fill(value, at, at + 1))), (bytes) => {
      try {
        spec.expiresAtMs(spec.decode({ status: 200, headers, body: bytes }), 0);
      } catch (error) {
        expect(error).toBeInstanceOf(NetworkError);
      }
    }), { numRuns: 300 });
  });
});

describe('dcapQuestionOf', () => {
  it('dcapQuestionOf: reads platform and authority from the quote', () => {
    expect(dcapQuestionOf(parseQuote(Buffer.from(CASE.quote_hex, 'hex')))).toEqual(QUESTION);
    const sgx = jsonVector('attestation/tdx-synthetic/valid_sgx_v3.json') as typeof CASE;
    expect(dcapQuestionOf(parseQuote(Buffer.from(sgx.quote_hex, 'hex'))).tee).toBe('sgx');
  });

  it('dcapQuestionOf: refuses a chain whose leaf is not a PCK certificate', () => {
    const quote = parseQuote(Buffer.from(CASE.quote_hex, 'hex'));
    const last = CASE.collateral.tcb_info_issuer_chain;
    expect(() => dcapQuestionOf({ ...quote, pckChain: Buffer.from(last) })).toThrow(/issued by|no SGX extension/);
    expect(() => dcapQuestionOf({ ...quote, pckChain: new Uint8Array(0) })).toThrow(/no certificate/);
  });
});
