// What the end-to-end tests of `cocoon attest` share: the program with a home, a clock and a machine of its own, and the
// services of Intel, AMD and NVIDIA as one server in this process.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SystemFiles } from '../../src/core/context.ts';
import { main } from '../../src/main.ts';
import { CollateralServer } from '../fakes/collateral-server.ts';
import { fakeContext } from '../fakes/context.ts';

export interface JudgedCheck { readonly name: string; readonly result: string; readonly required: boolean; readonly seen: string }
export interface AttestData {
  readonly overall?: string;
  readonly imageHash?: string | null;
  readonly parts?: readonly { readonly kind: string; readonly overall: string; readonly checks: readonly JudgedCheck[] }[];
  readonly [name: string]: unknown;
}
export interface Ended {
  readonly exit: number;
  readonly data: AttestData;
  readonly code: string | null;
  readonly message: string;
  readonly hint: string | null;
}

export class AttestWorld {
  readonly home: string;
  readonly server: CollateralServer;
  /** Time as the program sees it; moves with the real one. */
  nowMs: number;
  machine: SystemFiles | null = null;
  env: Record<string, string> = {};

  private constructor(home: string, server: CollateralServer, nowMs: number) {
    this.home = home;
    this.server = server;
    this.nowMs = nowMs;
  }

  static async start(nowMs: number): Promise<AttestWorld> {
    return new AttestWorld(await mkdtemp(join(tmpdir(), 'cocoon-attest-')), await CollateralServer.start(), nowMs);
  }

  async close(): Promise<void> {
    await this.server.close();
    await rm(this.home, { recursive: true, force: true });
  }

  /** All services at this server. */
  useServices(): void {
    const { origin } = this.server;
    this.env = { COCOON_ATTEST_PCCS: origin, COCOON_ATTEST_AMD_KDS: `${origin}/kds`, COCOON_ATTEST_NVIDIA_RIM: `${origin}/rim`, COCOON_ATTEST_NVIDIA_OCSP: `${origin}/ocsp` };
  }

  async write(name: string, content: unknown): Promise<string> {
    await writeFile(join(this.home, name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content));
    return name;
  }

  /** What the program prints for people. */
  async text(...argv: string[]): Promise<{ exit: number; stdout: string; stderr: string }> {
    const captured = fakeContext({ home: this.home, env: this.env });
    const startedMs = performance.now();
    const context = { ...captured.context, clock: { now: () => this.nowMs + performance.now() - startedMs }, ...(this.machine !== null && { systemFiles: this.machine }) };
    return { exit: await main(argv, context), stdout: captured.stdout(), stderr: captured.stderr() };
  }

  async attest(...argv: string[]): Promise<Ended> {
    const { exit, stdout } = await this.text('--json', '--timeout', '30s', 'attest', ...argv);
    const { data, error } = JSON.parse(stdout) as { data: AttestData; error: { code: string; message: string; hint: string | null } | null };
    return { exit, data, code: error?.code ?? null, message: error?.message ?? '', hint: error?.hint ?? null };
  }
}

/** Names of the required checks with a result, of all parts. */
export const checksOf = ({ parts = [] }: AttestData, result: string): string[] =>
  parts.flatMap(({ checks }) => checks.filter((check) => check.result === result && check.required).map(({ name }) => name));
