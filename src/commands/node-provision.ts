// `cocoon node provision`: from a bare server to one that starts guests (host), or serves (guest, bare). The plan is shown first, done
// after a yes, gone on with after a cut, and taken back by --undo. --print-units and --print-guest only write texts.
import { spawn } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { ConfigError, UsageError } from '../core/errors.ts';
import { ensureFolder, systemErrorCode, writeFileAtomic } from '../core/files.ts';
import { parseReference } from '../node/models/hub.ts';
import { requireModelName } from '../node/models/identity.ts';
import { gatherFacts, likelyRole } from '../node/doctor/facts.ts';
import { realMachine } from '../node/doctor/machine.ts';
import { applyPlan, pendingSteps, undoAll } from '../node/provision/carry-out.ts';
import { imageDefinition, qemuScript } from '../node/provision/guest.ts';
import { planFor } from '../node/provision/plan.ts';
import { describeAction } from '../node/provision/step.ts';
import { confirmChange } from './confirm-change.ts';
import { oneOf, repeated, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { MachineFacts, MachineRole } from '../node/doctor/facts.ts';
import type { ProvisionPorts } from '../node/provision/carry-out.ts';
import type { GuestFile, GuestTee } from '../node/provision/guest.ts';
import type { Plan } from '../node/provision/step.ts';
import type { Invocation } from './command.ts';

interface ProvisionOptions {
  readonly role?: MachineRole;
  readonly gpu?: readonly string[];
  readonly ccMode?: boolean;
  readonly gpuTool?: string;
  readonly model?: string;
  readonly memory?: number;
  readonly cpus?: number;
  readonly dryRun?: boolean;
  readonly undo?: boolean;
  readonly force?: boolean;
  readonly root?: string;
  readonly printUnits?: boolean;
  readonly printGuest?: GuestTee;
  readonly out?: string;
}

const COMMAND_TIMEOUT_MS = 30 * 60_000;
const MAX_OUTPUT = 64 * 1024;
const DEFAULT_MEMORY_GIB = 64;
const DEFAULT_CPUS = 16;

function pciAddress(text: string): string {
  const address = /^[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$/.test(text) ? `0000:${text}` : text;
  if (!/^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$/.test(address)) throw new InvalidArgumentError('expected a PCI address such as 0000:17:00.0');
  return address.toLowerCase();
}

export function declare(command: Command): void {
  command
    .option('--role <role>', 'host, guest or bare (default: what this machine looks like)', oneOf<MachineRole>(['host', 'guest', 'bare']))
    .option('--gpu <address>', 'GPU that the guest gets; may be repeated', repeated(pciAddress))
    .option('--no-cc-mode', 'leave the GPU\'s confidential mode as it is')
    .option('--gpu-tool <file>', 'NVIDIA\'s admin tool (default: nvidia_gpu_tools.py)')
    .option('--model <model>', 'model that the node serves; for --print-guest org/repo:quant, which the guest pulls when it starts')
    .option('--memory <gib>', `memory of the guest in GiB (default: ${DEFAULT_MEMORY_GIB})`, wholeNumber(1, 65_536))
    .option('--cpus <n>', `processors of the guest (default: ${DEFAULT_CPUS})`, wholeNumber(1, 4_096))
    .option('--dry-run', 'show the plan, change nothing')
    .option('--undo', 'take back everything that was done')
    .option('--force', 'with --undo: also files that were changed since')
    .option('--root <dir>', 'make files and folders below this folder instead of /; nothing is run')
    .option('--print-units', 'print the systemd units')
    .option('--print-guest <tee>', 'print QEMU\'s command line and the definition of the guest\'s image: tdx or snp', oneOf<GuestTee>(['tdx', 'snp']))
    .option('--out <dir>', 'write what is printed into this folder');
}

export async function run(invocation: Invocation): Promise<void> {
  const { context, options, out } = invocation;
  const { undo, force, root = '/', printUnits, printGuest, dryRun }: ProvisionOptions = options;
  const facts = await gatherFacts(realMachine(context.signal));
  if (printGuest !== undefined) return writeFiles(invocation, guestFiles(invocation, printGuest));
  const plan = makePlan(invocation, facts);
  if (printUnits === true) return writeFiles(invocation, unitsOf(plan));
  const folder = resolve(context.cwd, root);
  const ports: ProvisionPorts = {
    root: folder, run: folder === '/' ? (argv) => runCommand(argv, context.signal) : nothingRuns, signal: context.signal,
    onStep: ({ title }, state) => { void out.note(`${state === 'done' ? 'done' : 'as it was'}  ${title}`); },
  };
  if (undo === true) return takeBack(invocation, ports, force === true);
  const pending = await pendingSteps(plan, ports);
  const shown = plan.steps.map((step) => ({ id: step.id, title: step.title, action: describeAction(step), pending: pending.has(step.id) }));
  out.result({ role: plan.role, root: folder, steps: shown, after: [...plan.after], applied: false });
  for (const warning of plan.warnings) await out.warn(warning);
  await out.text(`plan for a ${plan.role}:\n${shown.map(({ title, action, pending: todo }) => `  ${todo ? 'do  ' : 'is so'} ${title}\n        ${action}\n`).join('')}`);
  if (dryRun === true) return;
  if (plan.steps.every(({ id, action }) => action.kind === 'refresh' || !pending.has(id))) {
    await out.note('everything is so already');
    return;
  }
  await confirmChange(invocation, `Do this${folder === '/' ? '' : ` below ${folder}`}?`);
  const { changed } = await applyPlan(plan, ports);
  out.result({ role: plan.role, root: folder, steps: shown, after: [...plan.after], applied: true, changed });
  await out.text(`\nnext:\n${plan.after.map((text) => `  ${text}\n`).join('')}taken back by: cocoon node provision --undo\n`);
}

async function takeBack(invocation: Invocation, ports: ProvisionPorts, force: boolean): Promise<void> {
  const { out } = invocation;
  await confirmChange(invocation, `Take back everything that was provisioned${ports.root === '/' ? '' : ` below ${ports.root}`}?`);
  const { undone } = await undoAll(ports, { force });
  out.result({ undone });
  await out.line(undone === 0 ? 'there is nothing to take back' : `${undone} steps were taken back`);
}

function makePlan({ context, options, settings }: Invocation, facts: MachineFacts): Plan {
  const { role, gpu = [], ccMode, gpuTool, model, memory, cpus, root }: ProvisionOptions = options;
  const chosen = role ?? likelyRole(facts);
  if (chosen !== 'host' && gpu.length > 0) throw new UsageError('E_USAGE', `--gpu is passed through by a host, and this is a ${chosen}`, { hint: 'add --role host' });
  return planFor({
    role: chosen, tee: chosen === 'guest' ? facts.tee ?? 'tdx' : facts.cpu.confidential?.tee ?? null, vendor: facts.cpu.vendor, gpus: gpu, confidentialMode: ccMode !== false, gpuTool: gpuTool ?? 'nvidia_gpu_tools.py',
    hasGpu: facts.gpus.length > 0 || facts.driverGpus.length > 0, program: [context.self.command, ...context.self.args], network: settings.text('network') ?? 'local',
    arguments: model === undefined ? [] : ['--model', model], memoryGib: memory ?? DEFAULT_MEMORY_GIB, cpus: cpus ?? DEFAULT_CPUS, commands: root === undefined || resolve(context.cwd, root) === '/',
  });
}

const unitsOf = ({ steps }: Plan): GuestFile[] => steps.flatMap(({ action }) => (action.kind === 'file' && /\.(?:service|conf)$/.test(action.path) && action.path.startsWith('/etc/systemd/') ? [{ path: action.path.replace('/etc/systemd/system/', ''), content: action.content, mode: action.mode }] : []));

function guestFiles({ options, settings }: Invocation, tee: GuestTee): GuestFile[] {
  const { gpu = [], memory, cpus, model }: ProvisionOptions = options;
  const guest = { tee, gpus: gpu, memoryGib: memory ?? DEFAULT_MEMORY_GIB, cpus: cpus ?? DEFAULT_CPUS, imageFolder: '/var/lib/cocoon-guest/image', network: settings.text('network') ?? 'local', model: checkedReference(model) };
  return [{ path: 'start-guest.sh', content: qemuScript(guest), mode: 0o755 }, ...imageDefinition(guest)];
}

/** What goes into a unit of the image; a repository's model, or a name. */
function checkedReference(model: string | undefined): string | null {
  if (model === undefined) return null;
  if (!model.includes('/')) return requireModelName(model);
  if (parseReference(model).kind === 'url') throw new UsageError('E_USAGE', 'a guest pulls its model from a repository', { hint: 'use org/repo:quant' });
  return model;
}

/** Into --out, or printed one after the other. */
async function writeFiles({ context, options, out }: Invocation, files: readonly GuestFile[]): Promise<void> {
  const { out: folder }: ProvisionOptions = options;
  out.result({ folder: folder ?? null, files: files.map(({ path, content, mode }) => ({ path, mode: mode.toString(8), content })) });
  for (const { path, content, mode } of files) {
    if (folder === undefined) {
      await out.text(`# ==> ${path} <==\n${content}\n`);
      continue;
    }
    const target = join(resolve(context.cwd, folder), path);
    await ensureFolder(dirname(target), 0o755);
    await writeFileAtomic(target, content, { mode });
    await out.line(target);
  }
}

const nothingRuns: ProvisionPorts['run'] = async (argv) => {
  throw new ConfigError('E_PROVISION', `${argv.join(' ')} is not run: another root than / was named`);
};

/** Runs one command of the plan, without a shell and without input; its output is shown when it fails. */
function runCommand(argv: readonly string[], signal: AbortSignal): ReturnType<ProvisionPorts['run']> {
  const [program = '', ...rest] = argv;
  return new Promise((done, reject) => {
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }, timeout: COMMAND_TIMEOUT_MS });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => { stdout = (stdout + chunk.toString('utf8')).slice(-MAX_OUTPUT); });
    child.stderr.on('data', (chunk: Buffer) => { stderr = (stderr + chunk.toString('utf8')).slice(-MAX_OUTPUT); });
    child.on('error', (error) => {
      if (systemErrorCode(error) === 'ENOENT') done(null);
      else reject(error);
    });
    child.on('close', (exitCode) => done({ exitCode, stdout, stderr }));
    // A package manager that is killed leaves a mess: the signal is looked at between commands.
    signal.throwIfAborted();
  });
}
