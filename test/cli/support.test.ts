// `cocoon support bundle` over a home directory full of secrets: a keystore, passphrases, tokens of services in URLs, API keys in
// files, what a daemon was started with, and logs in which all of it and prompts have been written by mistake.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { partsOfUrl } from '../../src/commands/known-secrets.ts';
import { main } from '../../src/main.ts';
import { fakeContext } from '../fakes/context.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';

/** Names say where each lies; no form of any of them may be in a bundle. */
const SECRETS = {
  passphrase: 'planted passphrase: horse 1 "quoted"', alertSecret: 'planted-alert-secret-2', webhookToken: 'planted-webhook-token-3', endpointToken: 'plantedendpointtoken4abc',
  apiKey: 'planted-api-key-5', pccsUser: 'planted-pccs-user-6', pccsPassword: 'planted-pccs-pass-7', rimToken: 'planted-rim-token-8', hubToken: 'hf_plantedHubToken9', backendKey: 'planted-backend-key-10',
  launchToken: 'planted-launch-token-11', adminToken: 'a1b2c3d4'.repeat(8), environment: 'planted-environment-12', launchedWith: 'planted-launched-passphrase-13',
};
const PROMPT = 'planted prompt about the purple giraffe';
const ANSWER = 'planted answer: giraffes are never purple';

let home = '';
let keystore: string[] = [];
const env = { HF_TOKEN: SECRETS.hubToken, COCOON_TEST_CREDENTIAL: SECRETS.environment };
const cocoon = async (...argv: string[]): Promise<{ exit: number; stdout: string; stderr: string }> => {
  const run = fakeContext({ home, self: SOURCE_PROGRAM, env });
  const exit = await main(argv, run.context);
  return { exit, stdout: run.stdout(), stderr: run.stderr() };
};
const plant = (name: string, text: string): string => {
  const path = join(home, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
/** Texts of a JSON document that are no words. */
const texts = (value: unknown): string[] => (typeof value === 'string' ? (value.length >= 16 ? [value] : []) : typeof value === 'object' && value !== null ? Object.values(value).flatMap(texts) : []);

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'cocoon-support-'));
  plant('passphrase', `${SECRETS.passphrase}\n`);
  plant('launched', SECRETS.launchedWith);
  plant('alert', SECRETS.alertSecret);
  plant('api', SECRETS.apiKey);
  plant('backend', SECRETS.backendKey);
  const settings = {
    network: 'planted', passphrase_file: 'passphrase', 'node.alert_secret': 'alert', 'node.alert_webhook': `https://hooks.example/T0/${SECRETS.webhookToken}?key=${SECRETS.webhookToken}`,
    'attest.pccs': `https://${SECRETS.pccsUser}:${SECRETS.pccsPassword}@pccs.example/`, 'attest.nvidia_rim': `https://rim.example/${SECRETS.rimToken}/v1`,
  };
  plant('cocoon.toml', Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join(''));
  expect(await cocoon('network', 'add', 'planted', '--endpoint', `http://127.0.0.1:9/${SECRETS.endpointToken}/`, '--api-key-file', join(home, 'api'), '--root', `0:${'1'.repeat(64)}`, '--global-id', '-3')).toMatchObject({ exit: 0 });
  expect(await cocoon('wallet', 'new', 'main', '--passphrase-file', join(home, 'passphrase'))).toMatchObject({ exit: 0 });
  keystore = readdirSync(join(home, 'keys')).flatMap((name) => {
    if (!statSync(join(home, 'keys', name)).isFile()) return [];
    const { label: _label, address: _address, publicKey: _public, ...rest } = JSON.parse(readFileSync(join(home, 'keys', name), 'utf8')) as Record<string, unknown>;
    return texts(rest);
  });
  plant('run/node.admin', JSON.stringify({ url: 'http://127.0.0.1:1', token: SECRETS.adminToken }));
  plant('run/node.launch', JSON.stringify({
    version: 1, command: 'node', program: [], args: ['node', 'start', '--backend', 'https://backend.example/', '--backend-key-file', 'backend'], cwd: home,
    env: { COCOON_NODE_ALERT_WEBHOOK: `https://hooks.example/T1/${SECRETS.launchToken}`, COCOON_PASSPHRASE_FILE: 'launched' }, asksPassphrase: false, pid: 2, start: '1',
  }));
  const all = Object.values(SECRETS);
  plant('run/node.json', JSON.stringify({ role: 'node', pid: process.pid, start: '1', state: 'failed', sinceMs: 1, facts: { model: 'm@1:2', error: `it failed with ${all.join(', ')}` } }));
  const line = (fields: object): string => JSON.stringify({ level: 40, time: new Date().toISOString(), msg: 'a line of the log', ...fields });
  plant('run/node.log', `${[
    ...all.flatMap((secret) => [line({ reason: `said ${secret} and went on`, code: 'E_X' }), line({ msg: `cannot reach https://x.example/?a=${encodeURIComponent(secret)}` }), line({ [secret]: 1 })]),
    line({ reason: `basic ${Buffer.from(`${SECRETS.pccsUser}:${SECRETS.pccsPassword}`).toString('base64')}` }),
    ...['prompt', 'messages', 'content', 'input', 'userPrompt', 'body'].map((name) => line({ [name]: PROMPT })), ...['answer', 'output', 'text', 'completion'].map((name) => line({ [name]: ANSWER })),
    line({ request: { messages: [{ role: 'user', content: PROMPT }] } }), line({ choices: [{ message: { content: ANSWER } }] }),
    `llama: ${PROMPT}`, JSON.stringify({ prompt: PROMPT }), 'connected',
  ].join('\n')}\n${line({ msg: 'the last line', proxy: '127.0.0.1:7' })}\n`);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe('cocoon support bundle', () => {
  it('holds none of the secrets, in no form, no prompt and no answer, and still says what a helper needs', async () => {
    const file = join(home, 'bundle.json');
    const { exit, stdout, stderr } = await cocoon('support', 'bundle', '--out', file);
    expect([exit, stdout]).toEqual([0, `${file}\n`]);
    const text = readFileSync(file, 'utf8');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const forms = (secret: string): string[] => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), Buffer.from(secret).toString('base64').replace(/=+$/, '')];
    const words = [...Object.entries(SECRETS).flatMap(([name, secret]) => forms(secret).map((form) => [name, form] as const)), ...keystore.map((secret) => ['keystore', secret] as const), ['prompt', 'purple'] as const, ['prompt', 'giraffe'] as const, ['any', 'planted-'] as const];
    for (const [name, word] of words) for (const where of [text, stdout, stderr]) expect([name, where.includes(word)]).toEqual([name, false]);
    expect(keystore.length).toBeGreaterThan(2);
    const bundle = JSON.parse(text) as { settings: { key: string; value: string }[]; files: string[]; doctor: { data: { verdict: string } }; daemons: { state: string; alive: boolean; log: { message: string; fields: object }[]; linesOfOthers: number }[] };
    expect(bundle.settings).toEqual(expect.arrayContaining([
      { key: 'node.alert_webhook', source: 'file', value: 'set' }, { key: 'attest.pccs', source: 'file', value: 'https://pccs.example/…' }, { key: 'attest.nvidia_rim', source: 'file', value: 'https://rim.example/…' },
    ]));
    expect(bundle.files).toEqual(expect.arrayContaining(['run/node.admin', 'networks.json']));
    expect(bundle.doctor.data.verdict).toBe('not ready');
    expect(bundle.daemons[0]).toMatchObject({ state: 'failed', alive: false });
    expect(bundle.daemons[0]?.linesOfOthers).toBe(3);
    expect(bundle.daemons[0]?.log.at(-1)).toMatchObject({ message: 'the last line', fields: { proxy: '127.0.0.1:7' } });
  }, 60_000);
});

describe('partsOfUrl', () => {
  it('what only its owner knows of a URL, and nothing of one that everybody knows', () => {
    expect(partsOfUrl('https://toncenter.com/api/v2/jsonRPC')).toEqual([]);
    expect(partsOfUrl('https://huggingface.co')).toEqual([]);
    expect(partsOfUrl('no URL')).toEqual([]);
    expect(partsOfUrl('https://u:p@h.example/T0/abcdef012?k=v#f')).toEqual(['u', 'p', 'k=v', 'v', 'f', 'abcdef012', '/T0/abcdef012?k=v']);
  });
});
