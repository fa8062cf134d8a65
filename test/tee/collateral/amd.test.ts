// AMD's key distribution service: addresses for every product, one question at a time, VLEK at hand, bundles that the SNP
// verifier takes.
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { assembleSnpCollateral, productOfVek, snpQuestionOf, vcekDocument } from '../../../src/tee/collateral/amd.ts';
import { parseSnpCollateral } from '../../../src/tee/snp/bundle.ts';
import type { SnpCollateralTexts } from '../../../src/tee/snp/bundle.ts';
import { parseSnpReport } from '../../../src/tee/snp/parse-report.ts';
import type { SnpProduct } from '../../../src/tee/snp/products.ts';
import type { ScriptedAnswer } from '../../fakes/collateral-server.ts';
import { GOOD_TCB, SNP_NOW, chipIdOf, forgeCollateral, forgeReport } from '../../fakes/snp-forge.ts';
import type { SnpForgery } from '../../fakes/snp-forge.ts';
import { sharedFolder } from './shared.ts';
import { World, expectCode } from './world.ts';

const KDS = 'https://kdsintf.amd.com';
const SPL: Readonly<Record<SnpProduct, string>> = {
  Milan: 'blSPL=4&teeSPL=0&snpSPL=24&ucodeSPL=219', Genoa: 'blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84', Turin: 'fmcSPL=1&blSPL=1&teeSPL=1&snpSPL=4&ucodeSPL=72',
};
const HWID: Readonly<Record<SnpProduct, string>> = {
  Milan: Buffer.from(chipIdOf('Milan')).toString('hex'), Genoa: Buffer.from(chipIdOf('Genoa')).toString('hex'), Turin: '0102030405060708',
};
const vcekUrl = (product: SnpProduct): string => `${KDS}/vcek/v1/${product}/${HWID[product]}?${SPL[product]}`;
const der = (pem: string): Buffer => Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
const octets = (body: string | Uint8Array): ScriptedAnswer => ({ headers: { 'content-type': 'application/octet-stream' }, body });

let world: World;
beforeEach(async () => { world = await World.start(SNP_NOW); });
afterEach(() => world.close());

/** What AMD would answer for a forged machine. */
function script(forgery: SnpForgery = {}): SnpCollateralTexts {
  const { product = 'Genoa', signer = 'VCEK' } = forgery;
  const texts = forgeCollateral(forgery);
  const base = `${KDS}/${signer.toLowerCase()}/v1/${product}`;
  world.server.on(`${base}/cert_chain`, octets(texts.cert_chain)).on(`${base}/crl`, octets(Buffer.from(texts.crl, 'hex'))).on(vcekUrl(product), octets(der(texts.vek)));
  return texts;
}

const questionOf = (forgery: SnpForgery = {}): ReturnType<typeof snpQuestionOf> => snpQuestionOf(parseSnpReport(forgeReport(forgery)));

describe('assembleSnpCollateral', () => {
  it.each<SnpProduct>(['Milan', 'Genoa', 'Turin'])('assembleSnpCollateral: asks for the VCEK of a %s by chip id and reported TCB', async (product) => {
    const texts = script({ product });
    const got = await assembleSnpCollateral(world.source(), questionOf({ product }));
    expect(got).toEqual(texts);
    expect(() => parseSnpCollateral(got)).not.toThrow();
    expect(world.server.count(vcekUrl(product))).toBe(1);
    await assembleSnpCollateral(world.source({ offline: true }), questionOf({ product }));
    expect(world.server.requests).toHaveLength(3);
  });

  it('assembleSnpCollateral: asks AMD one thing at a time', async () => {
    const texts = script();
    for (const [path, answer] of [['cert_chain', octets(texts.cert_chain)], ['crl', octets(Buffer.from(texts.crl, 'hex'))]] as const) {
      world.server.on(`${KDS}/vcek/v1/Genoa/${path}`, { ...answer, delayMs: 30 });
    }
    await assembleSnpCollateral(world.source(), questionOf());
    expect(world.server.mostOpen).toBe(1);
  });

  it('assembleSnpCollateral: Retry-After holds for the whole service', async () => {
    const texts = script();
    world.server.on(`${KDS}/vcek/v1/Genoa/cert_chain`, { status: 429, headers: { 'retry-after': '10' } }, octets(texts.cert_chain));
    expect(await assembleSnpCollateral(world.source(), questionOf())).toEqual(texts);
    expect(world.slept).toEqual([10_000]);
    expect(world.server.requests.map(({ url }) => url.slice(KDS.length)).slice(0, 2)).toEqual(['/vcek/v1/Genoa/cert_chain', '/vcek/v1/Genoa/cert_chain']);
  });

  it('assembleSnpCollateral: takes the key at hand, and asks for the VLEK authority where a VLEK has signed', async () => {
    const forgery: SnpForgery = { product: 'Milan', signer: 'VLEK' };
    const texts = script(forgery);
    expect(await assembleSnpCollateral(world.source(), questionOf(forgery), texts.vek)).toEqual(texts);
    expect(world.server.requests.map(({ url }) => url.slice(KDS.length)).sort()).toEqual(['/vlek/v1/Milan/cert_chain', '/vlek/v1/Milan/crl']);
    await expectCode(assembleSnpCollateral(world.source(), questionOf(forgery)), 'E_CONFIG', /VLEK, which its cloud provider keeps/);
  });

  it('assembleSnpCollateral: a VCEK that comes as PEM is the same', async () => {
    const texts = script();
    world.server.on(vcekUrl('Genoa'), octets(texts.vek.replaceAll('\n', '\r\n')));
    expect(await assembleSnpCollateral(world.source(), questionOf())).toEqual(texts);
  });

  it('assembleSnpCollateral: the CRL is fetched anew at its next update, the VCEK is kept', async () => {
    script();
    await assembleSnpCollateral(world.source(), questionOf());
    world.nowMs += 300 * 86_400_000;
    await assembleSnpCollateral(world.source(), questionOf());
    expect([world.server.count(`${KDS}/vcek/v1/Genoa/crl`), world.server.count(vcekUrl('Genoa'))]).toEqual([2, 1]);
  });

  it.each<[string, string, ScriptedAnswer, RegExp]>([
    ['a VCEK for another TCB', vcekUrl('Genoa'), octets(der(forgeCollateral({ tcb: { ...GOOD_TCB.Genoa, snp: 22 } }).vek)), /another chip or TCB/],
    ['a VCEK of another product', vcekUrl('Genoa'), octets(der(forgeCollateral({ product: 'Milan', tcb: GOOD_TCB.Genoa }).vek)), /another chip or TCB/],
    ['a VLEK in its place', vcekUrl('Genoa'), octets(der(forgeCollateral({ signer: 'VLEK' }).vek)), /another chip or TCB/],
    ['an authority in its place', vcekUrl('Genoa'), octets(forgeCollateral().cert_chain), /not one certificate/],
    ['a VCEK of zeros', vcekUrl('Genoa'), octets(Buffer.alloc(1000)), /no PEM certificate/],
    ['a VCEK that ends early', vcekUrl('Genoa'), octets(der(forgeCollateral().vek).subarray(0, 300)), /malformed/],
    ['a chain of one', `${KDS}/vcek/v1/Genoa/cert_chain`, octets(forgeCollateral().vek), /has 1 certificates/],
    ['an error page', `${KDS}/vcek/v1/Genoa/cert_chain`, { headers: { 'content-type': 'text/html' }, body: '<html>' }, /content type "text\/html"/],
    ['a huge chain', `${KDS}/vcek/v1/Genoa/cert_chain`, { ...octets(''), huge: 100_000 }, /more than 65536 bytes/],
    ['a CRL of garbage', `${KDS}/vcek/v1/Genoa/crl`, octets(Buffer.from('30820100', 'hex')), /malformed/],
    ['no such chip', vcekUrl('Genoa'), { status: 404 }, /does not have it/],
  ])('assembleSnpCollateral: refuses %s', async (_name, url, answer, message) => {
    script();
    world.server.on(url, answer);
    await expectCode(assembleSnpCollateral(world.source(), questionOf()), 'E_COLLATERAL', message);
  });
});

describe('snpQuestionOf', () => {
  it('snpQuestionOf: a report of version 2 needs to be told its product; the VCEK names it', () => {
    const report = parseSnpReport(forgeReport({ product: 'Milan', version: 2 }));
    expect(() => snpQuestionOf(report)).toThrow(/does not say which processor/);
    expect(snpQuestionOf(report, productOfVek(forgeCollateral({ product: 'Milan' }).vek))).toEqual({ product: 'Milan', signer: 'VCEK', chipId: chipIdOf('Milan'), tcb: GOOD_TCB.Milan });
  });

  it('vcekDocument: refuses a hidden chip id', () => {
    expect(() => vcekDocument({ ...questionOf(), chipId: new Uint8Array(64) })).toThrow(/does not name its chip/);
  });
});

const snp = sharedFolder('snp');
(snp === null ? it.skip : it)(`snpQuestionOf: real reports and their real VCEKs fit${snp === null ? ' (skipped: no third-party vectors here)' : ''}`, () => {
  for (const name of ['genoa-v3-microsoft', 'milan-v3-microsoft', 'milan-v2-trustee', 'milan-v2-virtee', 'milan-v5-gcp-teekit', 'milan-dstack']) {
    const pem = `-----BEGIN CERTIFICATE-----\n${readFileSync(new URL(`${name}.vek.der`, snp ?? '')).toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
    const report = parseSnpReport(new Uint8Array(readFileSync(new URL(`${name}.report.bin`, snp ?? ''))));
    const spec = vcekDocument(snpQuestionOf(report, productOfVek(pem)));
    expect(spec.expiresAtMs({ vek: pem }, 0)).toBeGreaterThan(Date.UTC(2029, 0, 1));
  }
});
