// Versions of this program beside one another: each in a folder of its own under the home directory, installed by npm without
// running anybody's scripts, a link that names the one in use, and what was in use before. Refuses a package of another name and
// one whose program does not say its version.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { ConfigError, NotFoundError } from '../../core/errors.ts';
import { ensureFolder, listFolder, pathExists, readBounded, writeFileAtomic } from '../../core/files.ts';

/** How a version is started. */
const Program = z.strictObject({ version: z.string().max(200), command: z.string(), args: z.array(z.string()) });
export type VersionedProgram = z.infer<typeof Program>;

const Used = z.strictObject({ version: z.literal(1), current: Program, previous: Program.nullable() });
type Used = z.infer<typeof Used>;

export interface Versions {
  /** Installs what npm knows as `spec`: `NAME@VERSION`, an archive or a folder. Nothing that runs is touched. Throws ConfigError. */
  install(spec: string, options: { readonly cwd: string; readonly signal: AbortSignal }): Promise<VersionedProgram>;
  /** Which one is in use, and which one was before; null where there never was another. */
  used(): Promise<Used | null>;
  /** Makes `next` the one in use; the link names it where it lies under this folder. */
  use(next: VersionedProgram, previous: VersionedProgram | null): Promise<void>;
  /** Removes all but the two in use. */
  prune(): Promise<void>;
}

const PACKAGE = 'cocoon';
const LINK = 'current';
const FILE = 'versions.json';
const INSTALL_MS = 15 * 60_000;
const SAY_MS = 30_000;
const MAX_OUTPUT = 4 << 20;
const MAX_BYTES = 1 << 20;
const NAME = /^\d+\.\d+\.\d+[0-9A-Za-z.+-]{0,60}$/;
const Manifest = z.object({ name: z.string(), version: z.string().regex(NAME), bin: z.union([z.string(), z.record(z.string(), z.string())]) });

const run = (command: string, args: readonly string[], options: { cwd?: string; timeout: number; signal?: AbortSignal }): Promise<string> => new Promise((resolve, reject) => {
  execFile(command, [...args], { ...options, maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(new ConfigError('E_STATE', `${basename(command)} failed: ${lastLines(stderr) || error.message.slice(0, 500)}`, { cause: error }));
  });
});

const lastLines = (text: string): string => text.trim().split('\n').slice(-5).join(' | ').slice(-1_000);

/** `node`: the executable that runs JavaScript here. */
export function openVersions(home: string, node: string): Versions {
  const folder = join(home, 'versions');
  const used = async (): Promise<Used | null> => {
    try {
      return Used.parse(JSON.parse(Buffer.from(await readBounded(join(folder, FILE), MAX_BYTES)).toString('utf8')));
    } catch (cause) {
      if (cause instanceof NotFoundError) return null;
      throw new ConfigError('E_STATE', `cannot read ${join(folder, FILE)}: it does not say which versions are in use`, { cause });
    }
  };
  return {
    used,
    async install(spec, { cwd, signal }) {
      await ensureFolder(folder);
      const fresh = join(folder, `.new-${randomBytes(6).toString('hex')}`);
      await ensureFolder(fresh);
      try {
        // A manifest of its own keeps npm from looking for one in the folders above.
        await writeFileAtomic(join(fresh, 'package.json'), '{"private":true}\n');
        await run('npm', ['install', '--prefix', fresh, '--ignore-scripts', '--install-links', '--omit=dev', '--no-audit', '--no-fund', '--', spec], { cwd, timeout: INSTALL_MS, signal });
        const { version, bin } = await manifestIn(fresh, spec);
        const path = join(folder, await freeName(folder, version));
        await rename(fresh, path);
        const program = { version, command: node, args: [join(path, 'node_modules', PACKAGE, bin)] };
        const said = (await run(node, [...program.args, '--version'], { timeout: SAY_MS, signal })).trim();
        if (said !== version) throw new ConfigError('E_STATE', `the program of ${spec} says that it is version ${JSON.stringify(said.slice(0, 50))}, its manifest says ${version}`);
        return program;
      } finally {
        await rm(fresh, { recursive: true, force: true });
      }
    },
    async use(next, previous) {
      await ensureFolder(folder);
      const own = ownFolder(folder, next);
      if (own !== null) {
        // A link is replaced by a rename: at no time is there none.
        const link = join(folder, `.link-${randomBytes(6).toString('hex')}`);
        await symlink(own, link);
        await rename(link, join(folder, LINK));
      } else {
        await rm(join(folder, LINK), { force: true });
      }
      await writeFileAtomic(join(folder, FILE), `${JSON.stringify({ version: 1, current: next, previous } satisfies Used, null, 2)}\n`);
    },
    async prune() {
      const known = await used();
      const linked = await readlink(join(folder, LINK)).catch(() => null);
      const keep = new Set([known?.current ?? null, known?.previous ?? null].flatMap((program) => (program === null ? [] : ownFolder(folder, program) ?? [])).concat(linked === null ? [] : [linked]));
      for (const name of await listFolder(folder)) {
        if ((NAME.test(name) || name.startsWith('.new-')) && !keep.has(name)) await rm(join(folder, name), { recursive: true, force: true });
      }
    },
  };
}

/** Name of the folder of a version that was installed here; null for a program from elsewhere. */
function ownFolder(folder: string, { args }: VersionedProgram): string | null {
  const [path = ''] = args;
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1).split('/', 1)[0] ?? null : null;
}

async function manifestIn(folder: string, spec: string): Promise<{ version: string; bin: string }> {
  try {
    const { version, bin } = Manifest.parse(JSON.parse(Buffer.from(await readBounded(join(folder, 'node_modules', PACKAGE, 'package.json'), MAX_BYTES)).toString('utf8')));
    const program = typeof bin === 'string' ? bin : bin[PACKAGE];
    if (program === undefined || program.split('/').includes('..')) throw new ConfigError('E_STATE', 'it has no such program');
    return { version, bin: program };
  } catch (cause) {
    throw new ConfigError('E_STATE', `${spec} is no package "${PACKAGE}" with a program`, { cause, hint: `name a version (${PACKAGE}@1.2.3), an archive or a folder` });
  }
}

/** The same version may be installed again: from another archive, or after it failed. */
async function freeName(folder: string, version: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? version : `${version}+${number}`;
    if (!await pathExists(join(folder, name))) return name;
  }
}
