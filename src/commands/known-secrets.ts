// Every secret that this program can find on this machine, so that `support bundle` can look for them in what it has collected: what
// the settings, the networks, running and started daemons, the local network and the environment name. It is read for that only.
import { resolve } from 'node:path';
import { z } from 'zod';
import { listFolder, readBounded } from '../core/files.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { localPassphraseFile } from '../localnet/wallets.ts';
import type { SettingKey } from '../core/settings.ts';
import type { Invocation } from './command.ts';

const MAX_BYTES = 64 * 1024;
const PRIVATE_VARIABLE = /TOKEN|SECRET|PASS|KEY|CREDENTIAL|MNEMONIC/i;
/** Settings that may be a URL with something in it that only its owner knows. */
const URLS = ['node.alert_webhook', 'attest.pccs', 'attest.amd_kds', 'attest.nvidia_rim', 'attest.nvidia_ocsp', 'models.hub'] as const satisfies readonly SettingKey[];
const FILES = ['passphrase_file', 'node.alert_secret'] as const satisfies readonly SettingKey[];
/** Options whose value is a file with a secret. */
const SECRET_FILE = /^--(?:.*-key-file|passphrase-file)(?:=|$)/;

const Networks = z.object({ networks: z.record(z.string(), z.object({ endpoints: z.array(z.object({ url: z.string(), apiKeyFile: z.string().nullish() })).optional() })) });
const Launch = z.object({ args: z.array(z.string()), cwd: z.string(), env: z.record(z.string(), z.string()) });

/** Words and lines; too short ones and doubles are sorted out by `redactor`. Files that cannot be read hold nothing that could have been shown. */
export async function knownSecrets({ settings, context: { env } }: Pick<Invocation, 'settings' | 'context'>): Promise<string[]> {
  const { home } = settings;
  const launches = await launchesIn(home);
  const networks = await networksIn(home);
  const files = [
    ...FILES.flatMap((key) => settings.text(key) ?? []).map((file) => resolve(home, file)), localPassphraseFile(localnetLayout(home)),
    ...networks.flatMap(({ apiKeyFile }) => apiKeyFile ?? []),
    ...launches.flatMap(({ args, cwd, env: { COCOON_PASSPHRASE_FILE: passphrase } }) => [...filesOf(args), ...passphrase === undefined ? [] : [passphrase]].map((file) => resolve(cwd, file))),
  ];
  const texts = await Promise.all(files.map(textOf));
  const variables = [env, ...launches.map((launch) => launch.env)].flatMap((all) => Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : PRIVATE_VARIABLE.test(name) ? [value] : /WEBHOOK|PCCS|KDS|RIM|OCSP|HUB/.test(name) ? partsOfUrl(value) : [])));
  const urls = [...URLS.flatMap((key) => settings.text(key) ?? []), ...networks.map(({ url }) => url), ...launches.flatMap(({ args }) => args.filter((word) => word.includes('://')))];
  return [...texts.flatMap((text) => text.split('\n')), ...variables, ...urls.flatMap(partsOfUrl), ...await adminTokens(home)];
}

const textOf = (file: string): Promise<string> => readBounded(file, MAX_BYTES).then((bytes) => Buffer.from(bytes).toString('utf8'), () => '');

/** What of a URL is more than the address of a server that anybody may know: names, values, and parts of its path that are no words. */
export function partsOfUrl(text: string): string[] {
  if (!URL.canParse(text)) return [];
  const { username, password, pathname, search, searchParams, hash } = new URL(text);
  const segments = pathname.split('/').filter((part) => /\d/.test(part) && part.length >= 8 || part.length >= 20);
  return [username, password, search.slice(1), ...searchParams.values(), hash.slice(1), ...segments, ...segments.length > 0 ? [`${pathname}${search}`] : []].filter((part) => part !== '');
}

/** The values of options that name a file with a secret. */
function filesOf(args: readonly string[]): string[] {
  return args.flatMap((word, at) => (!SECRET_FILE.test(word) ? [] : word.includes('=') ? [word.slice(word.indexOf('=') + 1)] : args[at + 1] ?? []));
}

async function launchesIn(home: string): Promise<z.infer<typeof Launch>[]> {
  const names = (await listFolder(resolve(home, 'run'))).filter((name) => name.endsWith('.launch'));
  return (await Promise.all(names.map((name) => textOf(resolve(home, 'run', name))))).flatMap((text) => parsed(Launch, text) ?? []);
}

async function networksIn(home: string): Promise<{ url: string; apiKeyFile?: string | null | undefined }[]> {
  const all = parsed(Networks, await textOf(resolve(home, 'networks.json')));
  return Object.values(all?.networks ?? {}).flatMap(({ endpoints }) => endpoints ?? []);
}

function parsed<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

async function adminTokens(home: string): Promise<string[]> {
  const files = (await Promise.all(['run', 'localnet'].map(async (folder) => (await listFolder(resolve(home, folder))).filter((name) => name.endsWith('.admin')).map((name) => resolve(home, folder, name))))).flat();
  return (await Promise.all(files.map(textOf))).flatMap((text) => text.match(/[0-9a-f]{64}/g) ?? []);
}
