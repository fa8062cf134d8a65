// Compiles src/ to dist/. Skips quietly when the sources are not there (an install from a packed archive, which carries dist/).
import { cpSync, existsSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
if (existsSync(`${root}/src`)) {
  rmSync(`${root}/dist`, { recursive: true, force: true });
  const tsc = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
  // The page's files are served as they are.
  cpSync(`${root}/src/node/dashboard/page`, `${root}/dist/node/dashboard/page`, { recursive: true });
  process.exitCode = status ?? 1;
}
