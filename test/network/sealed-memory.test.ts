// The memory of a running proxy process after it has passed on a sealed request: no byte run of prompt or answer is in it. With
// sealing off the same search finds both, so that it can fail. Needs the built program and /proc; skipped with the reason else.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const CHUNK = 4 << 20;
/** Longest text that is searched for: chunks overlap by as much. */
const OVERLAP = 4_096;
const MIB = 2 ** 20;
/** Reserved address space that was never touched would only be read as zeros. */
const MAX_REGION = 512 * MIB;

const newest = (folder: string, suffix: string): number => Math.max(0, ...readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith(suffix)).map((name) => statSync(join(root, folder, name)).mtimeMs));

/** How often each text is in the readable memory of a process, as UTF-8 and as UTF-16. */
function search(pid: number, texts: readonly string[]): { readonly counts: number[]; readonly bytes: number } {
  const needles = texts.map((text) => [Buffer.from(text, 'utf8'), Buffer.from(text, 'utf16le')]);
  const counts = texts.map(() => 0);
  let bytes = 0;
  const regions = readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n').map((line) => /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line)).filter((match) => match !== null);
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  const buffer = Buffer.alloc(CHUNK);
  try {
    for (const [, from = '', to = ''] of regions) {
      const start = BigInt(`0x${from}`);
      const size = Number(BigInt(`0x${to}`) - start);
      if (size > MAX_REGION) continue;
      for (let at = 0; at < size; at += CHUNK - OVERLAP) {
        let read = 0;
        try {
          read = readSync(fd, buffer, 0, Math.min(CHUNK, size - at), start + BigInt(at));
        } catch {
          continue; // pages of the kernel
        }
        bytes += read;
        const piece = buffer.subarray(0, read);
        needles.forEach((forms, index) => { if (forms.some((form) => piece.includes(form))) counts[index] = (counts[index] ?? 0) + 1; });
      }
    }
  } finally {
    closeSync(fd);
  }
  return { counts, bytes };
}

/** True where this process may read the memory of its children. */
function canRead(): boolean {
  const child = spawn('sleep', ['30'], { stdio: 'ignore' });
  try {
    return child.pid !== undefined && search(child.pid, ['sleep']).bytes > 0;
  } catch {
    return false;
  } finally {
    child.kill();
  }
}

const skipped = !existsSync(join(root, 'dist/main.js')) ? 'dist is not built: run `npm run build`'
  : newest('dist', '.js') < newest('src', '.ts') ? 'dist is older than src: run `npm run build`'
    : canRead() ? null : '/proc/PID/mem of other processes is not readable here';
const describeReadable = skipped === null ? describe : describe.skip;

let home = '';
const run = (...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'bin/cocoon'), ...args], { env: { PATH: process.env['PATH'], HOME: home, COCOON_HOME: home }, encoding: 'utf8' });
  if (status !== 0) throw new Error(`cocoon ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
};

describeReadable(`the memory of a proxy process${skipped === null ? '' : ` (skipped: ${skipped})`}`, () => {
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'cocoon-memory-'));
    run('localnet', 'start', '--detach', '--unpaid');
  }, 120_000);
  afterAll(() => {
    run('localnet', 'stop');
    rmSync(home, { recursive: true, force: true });
  }, 60_000);

  /** Asks a question with a text that is nowhere else, and looks for it and for the answer. */
  function asked(seal: string): { readonly counts: number[]; readonly bytes: number } {
    const marker = randomBytes(16).toString('hex');
    const answer = run('infer', '--seal', seal, '--temperature', '0', '--max-tokens', '40', `${marker} Tell me the three roles in the network`).trim();
    expect(answer.length).toBeGreaterThan(40);
    const { pid } = JSON.parse(readFileSync(join(home, 'localnet', 'proxy.json'), 'utf8')) as { pid: number };
    // Runs from the middle of both: pieces of an answer are a few characters long on the wire.
    return search(pid, [marker, marker.slice(8, 20), `${marker.slice(-6)} Tell me the three roles`, answer.slice(0, 40), `"content":"${answer.split(' ', 1)[0] ?? ''}`]);
  }

  it('holds nothing of a sealed prompt and its answer', () => {
    const { counts, bytes } = asked('require');
    expect(bytes).toBeGreaterThan(20 * MIB); // it was really read
    expect(counts).toEqual([0, 0, 0, 0, 0]);
  }, 60_000);

  it('holds prompt and answer that were not sealed: the search finds what is there', () => {
    const { counts } = asked('off');
    expect(counts[0]).toBeGreaterThan(0);
    expect(counts[1]).toBeGreaterThan(0);
    expect(counts[4]).toBeGreaterThan(0); // the beginning of the answer, as it travels
  }, 60_000);
});
