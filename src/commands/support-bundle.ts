// `cocoon support bundle`: one private file with what a helper needs: versions, machine, checks, settings, state, the end of the
// logs. No secrets: keys, tokens, passphrases and their files are not read into it, and what is known to be one is searched for and
// taken out. No prompts: of the logs only lines of our own form, and of those only short fields; other programs' lines are counted.
import { execFile } from 'node:child_process';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { logOf } from '../core/daemon-process.ts';
import { readDaemonRecord, isAlive } from '../core/daemon-record.ts';
import { asCocoonError } from '../core/errors.ts';
import { listFolder, pathExists, writeFileAtomic } from '../core/files.ts';
import { readLog } from '../core/log-read.ts';
import { redactJson, redactor } from '../core/redact.ts';
import { NodeState } from '../node/daemon/state.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { askAdmin } from './admin.ts';
import { placeOf } from './detach.ts';
import { knownSecrets } from './known-secrets.ts';
import { wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { LogLine } from '../core/log-read.ts';
import type { SettingKey } from '../core/settings.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

const DEFAULT_LINES = 500;
const DOCTOR_MS = 60_000;
const DOCTOR_BYTES = 4 << 20;
const LONGEST_FIELD = 300;
/** Values of these are never shown, only whether they are set. */
const HIDDEN: ReadonlySet<SettingKey> = new Set<SettingKey>(['node.alert_webhook']);
/** Names of fields whose text is left out of log lines, whatever it is. */
const PRIVATE_FIELD = /prompt|message|content|answer|completion|question|query|choice|delta|chunk|reasoning|text|secret|pass|mnemonic|token$|key$|authorization|cookie|payload|private|body|input|output/i;

export function declare(command: Command): void {
  command
    .option('--out <file>', 'where to write it (default: cocoon-support-DATE.json in this folder)')
    .option('--lines <n>', `lines of each log (default: ${DEFAULT_LINES})`, wholeNumber(0, 20_000));
  command.addHelpText('after', '\nRead the file before you pass it on: it names your settings, addresses and peers. It holds no keys, passphrases, prompts or answers.');
}

export async function run(invocation: Invocation): Promise<void> {
  const { options, out, context: { cwd, clock } } = invocation;
  const path = resolve(cwd, typeof options['out'] === 'string' ? options['out'] : `cocoon-support-${new Date(clock.now()).toISOString().replace(/[:.]/g, '-')}.json`);
  const lines = typeof options['lines'] === 'number' ? options['lines'] : DEFAULT_LINES;
  const redact = redactor(await knownSecrets(invocation));
  const bundle = redactJson(await collect(invocation, lines), redact);
  const text = `${JSON.stringify(bundle, null, 2)}\n`;
  await writeFileAtomic(path, text);
  out.result({ file: path, bytes: Buffer.byteLength(text) });
  await out.line(path);
  await out.note('read it before you pass it on: it names settings, addresses and peers, but no keys, passphrases, prompts or answers');
}

async function collect(invocation: Invocation, lines: number): Promise<object> {
  const { settings, context } = invocation;
  return {
    schema: 'cocoon.support/1', at: new Date(context.clock.now()).toISOString(), cocoon: context.version, node: process.versions.node,
    machine: { platform: platform(), arch: arch(), kernel: release(), cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, memoryBytes: totalmem() },
    settings: settings.all().filter(({ source }) => source !== 'unset' && source !== 'default').map(({ key, value, source }) => ({ key, source, value: shownSetting(key, value) })),
    variables: Object.keys(context.env).filter((name) => name.startsWith('COCOON_')).sort(),
    files: await namesUnder(settings.home),
    doctor: await doctor(invocation),
    state: await attempt(() => askAdmin(invocation, 'node', '/state', NodeState)),
    daemons: await Promise.all((['node', 'proxy', 'client'] as const).flatMap((role) => {
      const own = placeOf(invocation, role).record;
      return role === 'client' ? [own] : [own, localnetLayout(settings.home).record(role)];
    }).map((record) => daemon(record, lines))),
  };
}

/** Of a URL the server only: the rest may be what lets somebody in. */
function shownSetting(key: SettingKey, value: string | null): string | null {
  if (value === null || HIDDEN.has(key)) return value === null ? null : 'set';
  if (!value.includes('://') || !URL.canParse(value)) return value;
  const { origin, pathname, search, username } = new URL(value);
  return `${origin}${pathname === '/' && search === '' && username === '' ? '' : '/…'}`;
}

/** Names and nothing else, two folders deep. */
async function namesUnder(home: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await listFolder(home)) {
    const inner = await listFolder(resolve(home, name)).catch(() => null);
    names.push(...(inner === null ? [name] : inner.slice(0, 200).map((file) => `${name}/${file}`)));
  }
  return names.slice(0, 2_000);
}

async function attempt<T>(work: () => Promise<T>): Promise<T | { readonly problem: string; readonly code: string }> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = asCocoonError(error);
    return { code, problem: message };
  }
}

/** The checks of `node doctor`, made by this very program as another process: whatever it meets, the bundle is written. */
function doctor({ context: { self }, settings }: Invocation): Promise<unknown> {
  const args = [...self.args, 'node', 'doctor', '--json', '--home', settings.home, '--network', settings.text('network') ?? 'local'];
  return new Promise((done) => {
    execFile(self.command, args, { timeout: DOCTOR_MS, maxBuffer: DOCTOR_BYTES }, (error, stdout) => {
      try {
        done(z.object({ data: z.unknown(), error: z.unknown() }).parse(JSON.parse(stdout)));
      } catch {
        done({ problem: error === null ? 'no document' : error.message.slice(0, LONGEST_FIELD) });
      }
    });
  });
}

async function daemon(record: string, lines: number): Promise<object> {
  const found = await attempt(() => readDaemonRecord(record));
  const log = logOf(record);
  const own = await pathExists(log) && lines > 0 ? (await readLog(log, { last: lines })).lines : [];
  return {
    record, ...(found === null ? { state: 'no record' } : 'problem' in found ? found : { state: found.state, alive: isAlive(found), pid: found.pid, sinceMs: found.sinceMs, facts: found.facts }),
    log: own.filter(({ level }) => level !== null).map(shownLine), linesOfOthers: own.filter(({ level }) => level === null).length,
  };
}

function shownLine({ atMs, level, message, fields }: LogLine): JsonValue {
  const kept = Object.entries(fields).filter(([name, value]) => typeof value === 'number' || typeof value === 'boolean' || (typeof value === 'string' && value.length <= LONGEST_FIELD && !PRIVATE_FIELD.test(name)));
  return { at: atMs === null ? null : new Date(atMs).toISOString(), level, message: message.slice(0, LONGEST_FIELD), fields: Object.fromEntries(kept) as Record<string, string | number | boolean> };
}
