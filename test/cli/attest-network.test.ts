// `attest verify --policy chain` and `attest chain` against a root contract on a local chain: an image that the network allows,
// one that it does not, what to send to its owner, and images that no network can allow.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { toHex } from '../../src/core/bytes.ts';
import { main } from '../../src/main.ts';
import { sevImageHash } from '../../src/tee/image-hash.ts';
import { fakeContext } from '../fakes/context.ts';
import { forge } from '../fakes/dcap-forge.ts';
import { forgeCollateral, forgeReport, MEASUREMENT, SNP_NOW } from '../fakes/snp-forge.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';
import { jsonVector, vector } from '../tee/vectors.ts';
import { checksOf } from './attest-world.ts';
import type { AttestData } from './attest-world.ts';

const CASE = jsonVector('attestation/tdx-synthetic/valid_v4.json') as { readonly quote_hex: string; readonly now: number };
const IMAGE = '7ec9e43a3eee77d05393ba6abf15b354506329d2b145360276eb256b7aa64a6f';

interface Ran { readonly exit: number; readonly data: AttestData; readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null }

let home = '';

const run = (...argv: string[]): Promise<Ran> => runWith({}, ...argv);

async function runWith(env: Record<string, string>, ...argv: string[]): Promise<Ran> {
  const captured = fakeContext({ home, env, self: SOURCE_PROGRAM });
  const exit = await main(['--json', ...argv], captured.context);
  const { data, error } = JSON.parse(captured.stdout().trimEnd().split('\n').at(-1) ?? '') as Ran;
  return { exit, data, error };
}

async function done(...argv: string[]): Promise<void> {
  const { exit, error } = await run(...argv);
  expect({ argv, exit, error }).toEqual({ argv, exit: 0, error: null });
}

const sends = (...argv: string[]): Promise<void> => done(...argv, '--wallet', 'owner', '--yes', '--passphrase-file', join(home, 'passphrase'));

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cocoon-attest-chain-'));
  await writeFile(join(home, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
  await writeFile(join(home, 'guest.json'), JSON.stringify(CASE));
  const other = forge({ body: 'td10', td: { mrTd: new Uint8Array(48).fill(0x66) } });
  await writeFile(join(home, 'other.json'), JSON.stringify({ quote_hex: Buffer.from(other.quote).toString('hex'), collateral: other.collateral }));
  await writeFile(join(home, 'other.der'), other.root);
  await writeFile(join(home, 'quote.bin'), Buffer.from(CASE.quote_hex, 'hex'));
  await writeFile(join(home, 'root.der'), vector('attestation/tdx-synthetic/root_ca.der'));
  await done('localnet', 'start', '--chain-only', '--detach', '--block-ms', '40');
  await done('wallet', 'new', 'owner', '--passphrase-file', join(home, 'passphrase'));
  await done('localnet', 'faucet', 'owner', '50');
  await sends('network', 'deploy');
}, 120_000);

afterAll(async () => {
  await run('localnet', 'stop');
  await rm(home, { recursive: true, force: true });
});

const verify = (file: string, root = 'root.der'): Promise<Ran> => run('attest', 'verify', file, '--policy', 'chain', '--trust-root', root, '--at', `@${CASE.now}`, '--offline');

describe('a network that allows no image', () => {
  it('attest chain: says no, and which command the owner runs', async () => {
    for (const given of ['guest.json', 'quote.bin', IMAGE]) {
      const { exit, data, error } = await run('attest', 'chain', given);
      expect([given, exit, error?.code, data.imageHash, data['allowedFor']]).toEqual([given, 5, 'E_EVIDENCE_REFUSED', IMAGE, []]);
      expect(data['ownerCommands']).toEqual([`cocoon network allow worker ${IMAGE} --network local`, `cocoon network allow proxy ${IMAGE} --network local`]);
    }
  });

  it('attest chain: for people', async () => {
    const captured = fakeContext({ home, self: SOURCE_PROGRAM });
    expect(await main(['attest', 'chain', IMAGE], captured.context)).toBe(5);
    expect(captured.stdout()).toBe(`image hash  ${IMAGE}\nallowed     no (network local allows 0 proxy and 0 worker images)\n\nSend the owner of the network the image hash and how to reproduce the image. To allow it, the owner runs one of:\n  cocoon network allow worker ${IMAGE} --network local\n  cocoon network allow proxy ${IMAGE} --network local\n`);
    expect(captured.stderr()).toMatch(/network local does not allow the image .*\nhint: ask the owner of the network to allow it\n$/);
  });

  it('attest verify --policy chain: genuine evidence is refused by the image alone', async () => {
    const { exit, data } = await verify('guest.json');
    expect([exit, checksOf(data, 'fail')]).toEqual([5, ['network-image']]);
  });
});

describe('a network that allows the image', () => {
  beforeAll(() => sends('network', 'allow', 'worker', IMAGE), 60_000);

  it('attest verify --policy chain: passes, and says for which role', async () => {
    const { exit, data, error } = await verify('guest.json');
    expect([error, exit, data.overall, data['policy']]).toEqual([null, 0, 'pass', 'chain']);
    const image = data.parts?.flatMap(({ checks }) => checks).find(({ name }) => name === 'network-image');
    expect([image?.result, image?.seen]).toEqual(['pass', `${IMAGE}, listed for a worker`]);
  });

  it('attest chain: allowed, exit 0', async () => {
    const { exit, data } = await run('attest', 'chain', 'guest.json');
    expect([exit, data['allowedFor'], data['ownerCommands']]).toEqual([0, ['worker'], []]);
  });

  it('attest verify --policy chain: another image is refused by its hash', async () => {
    const { exit, data, error } = await verify('other.json', 'other.der');
    expect([exit, error?.code, checksOf(data, 'fail')]).toEqual([5, 'E_EVIDENCE_REFUSED', ['measurement', 'network-image']]);
  });

  it('attest verify --policy chain: an SGX enclave is no member of a network', async () => {
    await writeFile(join(home, 'enclave.json'), JSON.stringify(jsonVector('attestation/tdx-synthetic/valid_sgx_v3.json')));
    expect(await verify('enclave.json')).toMatchObject({ exit: 5, error: { code: 'E_EVIDENCE_REFUSED' } });
  });

  it('attest verify --policy chain: what the network does not decide is as the policy of the settings says', async () => {
    const texts = forgeCollateral();
    await writeFile(join(home, 'snp.json'), JSON.stringify({ report_hex: toHex(forgeReport({ policy: 0x30000n })), collateral: texts }));
    await writeFile(join(home, 'ark.pem'), texts.cert_chain.slice(texts.cert_chain.lastIndexOf('-----BEGIN')));
    await writeFile(join(home, 'peers.toml'), 'version = 1\n[sev-snp]\nminimum_tcb = { Genoa = { bootloader = 10, tee = 0, snp = 23, microcode = 84 } }\nallow_smt = true\n');
    await sends('network', 'allow', 'worker', toHex(sevImageHash(MEASUREMENT)));
    const argv = ['attest', 'verify', 'snp.json', '--policy', 'chain', '--trust-root', 'ark.pem', '--at', new Date(SNP_NOW).toISOString(), '--offline'];
    const strict = await run(...argv);
    expect([strict.exit, checksOf(strict.data, 'fail'), checksOf(strict.data, 'skip')]).toEqual([5, ['guest-smt'], ['minimum-tcb']]);
    const { exit, data } = await runWith({ COCOON_ATTEST_POLICY: 'peers.toml' }, ...argv);
    expect([exit, data.overall, data['policy']]).toEqual([0, 'pass', 'chain with peers.toml']);
  }, 60_000);

  it('a network that no longer allows it refuses it', async () => {
    await sends('network', 'revoke', 'worker', IMAGE);
    expect((await verify('guest.json')).exit).toBe(5);
  }, 60_000);

  it('--policy chain cannot be combined with --any-measurement', async () => {
    expect(await run('attest', 'verify', 'guest.json', '--policy', 'chain', '--any-measurement')).toMatchObject({ exit: 2, error: { code: 'E_USAGE' } });
  });
});
