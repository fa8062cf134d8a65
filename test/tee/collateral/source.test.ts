// Where documents come from: files given by the user, cache, network; what is kept, for how long, and with which rights.
import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InterruptedError } from '../../../src/core/errors.ts';
import { MissingCollateralError } from '../../../src/tee/collateral/errors.ts';
import { assembleDcapCollateral, dcapDocuments } from '../../../src/tee/collateral/intel.ts';
import { ANSWERS, CASE, CASE_NOW_MS, QUESTION, URLS, World, expectCode, scriptIntel } from './world.ts';

const DAY_MS = 86_400_000;
const NAMES = ['intel-pck-crl-platform.json', 'intel-root-crl.json', 'intel-tdx-qe-identity-standard.json', 'intel-tdx-tcb-info-a0b0c0d0e0f0-standard.json'];
const TCB_FILE = NAMES[3] ?? '';

let world: World;
beforeEach(async () => {
  world = await World.start(CASE_NOW_MS);
  scriptIntel(world.server);
});
afterEach(() => world.close());

const fill = (): Promise<unknown> => assembleDcapCollateral(world.source(), QUESTION);
const offline = (options: object = {}): Promise<unknown> => assembleDcapCollateral(world.source({ offline: true, ...options }), QUESTION);
async function edit(name: string, change: (text: string) => string): Promise<void> {
  const path = join(world.cacheFolder, name);
  await writeFile(path, change(await readFile(path, 'utf8')));
}

describe('createCollateralSource: cache', () => {
  it('cache: the second question is answered without the network, also by another process', async () => {
    await fill();
    expect(await assembleDcapCollateral(world.source(), QUESTION)).toEqual(CASE.collateral);
    expect(await offline()).toEqual(CASE.collateral);
    expect(world.server.requests).toHaveLength(4);
  });

  it('cache: files are 0600 in a folder 0700, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await fill();
    } finally {
      process.umask(before);
    }
    expect(await readdir(world.cacheFolder)).toEqual(NAMES);
    for (const name of NAMES) expect((await stat(join(world.cacheFolder, name))).mode & 0o777).toBe(0o600);
    expect((await stat(world.cacheFolder)).mode & 0o777).toBe(0o700);
  });

  it('cache: a file says what it is, where it came from and until when it holds', async () => {
    await fill();
    const file = JSON.parse(await readFile(join(world.cacheFolder, TCB_FILE), 'utf8')) as Record<string, unknown>;
    expect(file).toMatchObject({
      schema: 'cocoon.collateral/1', id: 'intel-tdx-tcb-info-a0b0c0d0e0f0-standard', source: URLS.tcb,
      fetchedAt: new Date(CASE_NOW_MS).toISOString(), expiresAt: '2026-01-30T00:00:00.000Z',
    });
  });

  it('cache: a document is fetched anew at its own next update, not before', async () => {
    await fill();
    world.nowMs = Date.UTC(2026, 0, 30) - 1;
    await fill();
    expect(world.server.count(URLS.tcb)).toBe(1);
    world.nowMs += 1;
    await expectCode(offline(), 'E_COLLATERAL_MISSING', /TCB info for TDX of the platform a0b0c0d0e0f0 \(intel-tdx-tcb-info-a0b0c0d0e0f0-standard, expired\)/);
    await fill();
    expect(world.server.count(URLS.tcb)).toBe(2);
  });

  it('cache: a document that is expired on arrival goes to the verifier and is not kept', async () => {
    world.nowMs = Date.UTC(2027, 0, 1);
    expect(await fill()).toEqual(CASE.collateral);
    expect(await readdir(world.folder)).toEqual([]);
  });

  it.each<[string, (text: string) => string]>([
    ['cut off', (text) => text.slice(0, 200)],
    ['empty', () => ''],
    ['of another schema', (text) => text.replace('cocoon.collateral/1', 'cocoon.collateral/2')],
    ['another document', (text) => text.replace(/"id": "[^"]*"/, '"id": "intel-root-crl"')],
    ['without a date', (text) => text.replace(/"fetchedAt": "[^"]*"/, '"fetchedAt": "soon"')],
    ['of another platform', (text) => text.replace('a0b0c0d0e0f0\\"', 'a0b0c0d0e0f1\\"')],
    ['with content that is not text', (text) => text.replace(/"signature": "[^"]*"/, '"signature": 5')],
    ['without a field', (text) => text.replace('"signature"', '"sign"')],
    ['null', () => 'null'],
  ])('cache: a file that is %s counts as absent and is replaced', async (_name, change) => {
    await fill();
    await edit(TCB_FILE, change);
    const error = await expectCode(offline(), 'E_COLLATERAL_MISSING', /damaged/);
    expect(error.exitCode).toBe(12);
    expect(await fill()).toEqual(CASE.collateral);
    expect(world.server.count(URLS.tcb)).toBe(2);
    expect(await offline()).toEqual(CASE.collateral);
  });

  it('cache: a file that others may write counts as damaged', async () => {
    await fill();
    await chmod(join(world.cacheFolder, TCB_FILE), 0o620);
    await expectCode(offline(), 'E_COLLATERAL_MISSING', /damaged/);
    await fill();
    expect((await stat(join(world.cacheFolder, TCB_FILE))).mode & 0o777).toBe(0o600);
  });

  it('cache: refresh asks the network although the cache would do', async () => {
    await fill();
    await assembleDcapCollateral(world.source({ refresh: true }), QUESTION);
    expect(world.server.requests).toHaveLength(8);
  });

  it('cache: failures are not remembered', async () => {
    world.server.on(URLS.tcb, { status: 404 }, ANSWERS.tcb);
    await expectCode(fill(), 'E_COLLATERAL', /does not have it/);
    expect(await readdir(world.cacheFolder)).toEqual(NAMES.slice(0, 3)); // the others are kept
    expect(await fill()).toEqual(CASE.collateral);
  });

  it('cache: a folder that cannot be written is a warning, not a failure', async () => {
    await writeFile(world.cacheFolder, 'a file in the way');
    expect(await fill()).toEqual(CASE.collateral);
    expect(world.warnings).toHaveLength(4);
  });
});

describe('createCollateralSource: offline and given files', () => {
  it('offline: the error names everything that is missing and the command that fetches it', async () => {
    const error = await expectCode(offline({ fetchCommand: 'cocoon attest fetch quote.bin --out collateral' }), 'E_COLLATERAL_MISSING', /^cannot verify offline: 4 of the documents/);
    expect(error).toBeInstanceOf(MissingCollateralError);
    expect(error.hint).toBe('on a machine with network access run `cocoon attest fetch quote.bin --out collateral`');
    expect((error as MissingCollateralError).missing.map(({ id, reason }) => `${id}.json ${reason}`).sort()).toEqual(NAMES.map((name) => `${name} absent`));
    expect(world.server.requests).toHaveLength(0);
  });

  it('given files: what export writes is enough on a machine without network', async () => {
    const folder = join(world.folder, 'out');
    await world.source().export(dcapDocuments(QUESTION), folder);
    expect(await readdir(folder)).toEqual(NAMES);
    expect(await offline({ givenFolders: [folder], cacheFolder: join(world.folder, 'elsewhere') })).toEqual(CASE.collateral);
  });

  it('given files: come before the cache and are used when expired, for the verifier to judge', async () => {
    const folder = join(world.folder, 'out');
    await world.source().export(dcapDocuments(QUESTION), folder);
    world.nowMs += 400 * DAY_MS;
    expect(await assembleDcapCollateral(world.source({ givenFolders: [folder] }), QUESTION)).toEqual(CASE.collateral);
    expect(world.server.requests).toHaveLength(4);
  });

  it.each<[string, string]>([['not JSON', 'hello'], ['another document', '{"schema":"cocoon.collateral/1","id":"x","fetchedAt":"2026-01-01T00:00:00Z","content":{}}'],
    ['without its fields', `{"schema":"cocoon.collateral/1","id":"${TCB_FILE.slice(0, -5)}","fetchedAt":"2026-01-01T00:00:00Z","content":{}}`]])(
    'given files: one that is %s is an error, not skipped', async (_name, text) => {
      const folder = join(world.folder, 'out');
      await mkdir(folder);
      await writeFile(join(folder, TCB_FILE), text);
      const error = await expectCode(assembleDcapCollateral(world.source({ givenFolders: [folder] }), QUESTION), 'E_STATE', /cannot use .*tcb-info/);
      expect(error.exitCode).toBe(3);
    });
});

describe('createCollateralSource: sharing', () => {
  it('sharing: callers at the same time share one request a document', async () => {
    for (const name of ['tcb', 'qe', 'pckCrl', 'rootCrl'] as const) world.server.on(URLS[name], { ...ANSWERS[name], delayMs: 30 });
    const source = world.source();
    const all = await Promise.all(Array.from({ length: 8 }, () => assembleDcapCollateral(source, QUESTION)));
    expect(all.every((bundle) => bundle.tcb_info === CASE.collateral.tcb_info)).toBe(true);
    expect(world.server.requests).toHaveLength(4);
  });

  it('sharing: one caller leaves, the other gets its answer', async () => {
    world.server.on(URLS.tcb, { ...ANSWERS.tcb, delayMs: 100 });
    const source = world.source();
    const leaving = new AbortController();
    const left = assembleDcapCollateral(source, QUESTION, {}, leaving.signal);
    const stayed = assembleDcapCollateral(source, QUESTION);
    setTimeout(() => leaving.abort(new InterruptedError('E_INTERRUPTED', 'stopped')), 30);
    await expectCode(left, 'E_INTERRUPTED', /stopped/);
    expect(await stayed).toEqual(CASE.collateral);
    expect(world.server.count(URLS.tcb)).toBe(1);
  });

  it('sharing: when the last one leaves the request ends, and a later caller begins anew', async () => {
    world.server.on(URLS.tcb, { hang: true }, ANSWERS.tcb);
    const source = world.source();
    const leaving = new AbortController();
    const left = assembleDcapCollateral(source, QUESTION, {}, leaving.signal);
    setTimeout(() => leaving.abort(), 60);
    await expectCode(left, 'E_CLOSED', /cancelled/);
    expect(await assembleDcapCollateral(source, QUESTION)).toEqual(CASE.collateral);
    expect(world.server.count(URLS.tcb)).toBe(2);
  });

  it('sharing: a signal that is aborted already asks nobody', async () => {
    await expectCode(assembleDcapCollateral(world.source(), QUESTION, {}, AbortSignal.abort()), 'E_CLOSED', /cancelled/);
    expect(await assembleDcapCollateral(world.source(), QUESTION)).toEqual(CASE.collateral);
  });
});
