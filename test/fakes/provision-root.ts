// A root to provision: some files that are there before, and a machine whose packages, users and units are files below it.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { planFor } from '../../src/node/provision/plan.ts';
import type { ProvisionPorts } from '../../src/node/provision/carry-out.ts';
import type { PlanOptions } from '../../src/node/provision/plan.ts';
import type { Plan } from '../../src/node/provision/step.ts';

export const testPlan = (options: Partial<PlanOptions> = {}): Plan => planFor({
  role: 'host', tee: 'tdx', vendor: 'intel', gpus: ['0000:17:00.0'], confidentialMode: true, gpuTool: 'nvidia_gpu_tools.py', hasGpu: false, program: ['/usr/bin/true'], network: 'mainnet',
  arguments: [], memoryGib: 64, cpus: 16, commands: true, ...options,
});

/** Files that were there before, with modes that are not the usual ones. */
export async function makeRoot(root: string): Promise<void> {
  for (const folder of ['etc/modprobe.d', 'etc/default', 'var/lib/state/packages', 'var/lib/state/users', 'var/lib/state/units']) await mkdir(join(root, folder), { recursive: true });
  // One of ours exists already, with other content: it must come back.
  await writeFile(join(root, 'etc/modprobe.d/90-cocoon.conf'), 'options of somebody else\r\nwithout an end');
  await chmod(join(root, 'etc/modprobe.d/90-cocoon.conf'), 0o640);
  await chmod(join(root, 'etc/default'), 0o751);
  await writeFile(join(root, 'var/lib/state/packages/ovmf'), '');
  await writeFile(join(root, 'var/lib/state/grub'), '');
}

/** Everything below the root: type, mode and bytes by path. */
export async function snapshot(root: string, folder = ''): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for (const name of (await readdir(join(root, folder))).sort()) {
    const path = join(folder, name);
    const info = await lstat(join(root, path));
    const mode = (info.mode & 0o7777).toString(8);
    if (info.isDirectory()) Object.assign(all, { [path]: `folder ${mode}` }, await snapshot(root, path));
    else all[path] = `file ${mode} ${(await readFile(join(root, path))).toString('base64')}`;
  }
  return all;
}

/** The tools that plans use, on files of the root. `broken`: programs that fail. */
export function fakeRunner(root: string, broken: ReadonlySet<string> = new Set(), ran: string[] = []): ProvisionPorts['run'] {
  const state = (...parts: string[]): string => join(root, 'var/lib/state', ...parts);
  const ok = { exitCode: 0, stdout: '', stderr: '' };
  const no = { exitCode: 1, stdout: '', stderr: 'no' };
  const flag = (path: string, on: boolean): typeof ok => {
    if (on) writeFileSync(path, '');
    else rmSync(path);
    return ok;
  };
  return async (argv) => {
    const [program = '', ...rest] = argv;
    ran.push(argv.join(' '));
    if (broken.has(program)) return { exitCode: 100, stdout: '', stderr: 'broken' };
    const last = rest.at(-1) ?? '';
    const names = rest.slice(rest.indexOf('--') + 1);
    switch (program) {
      case 'dpkg-query': return existsSync(state('packages', last)) ? { ...ok, stdout: 'installed' } : no;
      case 'apt-get':
        for (const name of names) {
          if (rest[0] === 'install') writeFileSync(state('packages', name), '');
          else rmSync(state('packages', name), { force: true });
        }
        return ok;
      case 'getent': return existsSync(state('users', last)) ? ok : no;
      case 'useradd': return existsSync(state('users', last)) ? no : flag(state('users', last), true);
      case 'userdel': return existsSync(state('users', last)) ? flag(state('users', last), false) : no;
      case 'systemctl': {
        if (rest[0] === 'daemon-reload') return ok;
        const unit = state('units', last);
        if (rest[0] === 'is-enabled') return existsSync(unit) ? ok : no;
        return rest[0] === 'enable' ? flag(unit, true) : existsSync(unit) ? flag(unit, false) : no;
      }
      case 'update-grub': {
        // What the boot loader has is what the files say when it is called.
        const file = join(root, 'etc/default/grub.d/90-cocoon.cfg');
        writeFileSync(state('grub'), existsSync(file) ? readFileSync(file) : '');
        return ok;
      }
      case 'udevadm': return ok;
      case 'sh': return existsSync(state('cc-mode')) ? ok : no;
      case 'nvidia_gpu_tools.py': {
        mkdirSync(state(), { recursive: true });
        if (rest.includes('--set-cc-mode=on')) return flag(state('cc-mode'), true);
        return existsSync(state('cc-mode')) ? flag(state('cc-mode'), false) : ok;
      }
      default: return null;
    }
  };
}
