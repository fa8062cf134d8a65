// `cocoon node doctor`: is this machine good enough to serve the network in use, and what mends it where it is not. Exit 3 when a
// check failed, 12 when none failed and a required one could not be made. Changes nothing without --fix and a yes.
import { diagnose } from '../node/doctor/diagnose.ts';
import { gatherFacts, likelyRole } from '../node/doctor/facts.ts';
import { createNames } from '../node/doctor/names.ts';
import { realMachine } from '../node/doctor/machine.ts';
import { realNetwork } from '../node/doctor/network-probe.ts';
import { realEngine } from '../node/doctor/real-engine.ts';
import { renderDiagnosis } from '../node/doctor/render.ts';
import { applyFix, describeFix, safeFixesOf } from '../node/doctor/safe-fixes.ts';
import { CocoonError, ConfigError, NetworkError } from '../core/errors.ts';
import { doctorChain } from './doctor-chain.ts';
import { doctorModel } from './doctor-model.ts';
import { confirmChange } from './confirm-change.ts';
import { oneOf } from './values.ts';
import type { Command } from 'commander';
import type { Diagnosis } from '../node/doctor/diagnose.ts';
import type { MachineRole } from '../node/doctor/facts.ts';
import type { Machine } from '../node/doctor/machine.ts';
import type { Invocation } from './command.ts';

interface DoctorOptions {
  readonly role?: MachineRole;
  readonly model?: string;
  readonly fix?: boolean;
}

export function declare(command: Command): void {
  command
    .option('--role <role>', 'host (starts confidential guests), guest (is one) or bare (default: what this machine looks like)', oneOf<MachineRole>(['host', 'guest', 'bare']))
    .option('--model <model>', 'also check whether this model fits and is listed: a name of `models list --local`, or a GGUF file')
    .option('--wallet <name>', 'hot wallet that pays fees (default: the setting node.wallet)')
    .option('--fix', 'show what can be mended safely, and do it after a yes');
}

export async function run(invocation: Invocation): Promise<void> {
  const { context: { signal }, options, out } = invocation;
  const { fix = false }: DoctorOptions = options;
  const machine = realMachine(signal);
  const diagnosis = await examine(invocation, machine);
  out.result({ ...diagnosis, findings: diagnosis.findings.map(({ safeFix: _safeFix, fix: advice, ...finding }) => ({ ...finding, fix: advice ?? [] })) });
  await out.text(renderDiagnosis(diagnosis));
  if (fix) await mend(invocation, diagnosis, machine);
  requireReady(diagnosis);
}

async function examine(asked: Invocation, machine: Machine): Promise<Diagnosis> {
  // What a check has given up goes on no longer than the examination: a file that is hashed, a service that is asked.
  const ending = new AbortController();
  const signal = AbortSignal.any([asked.context.signal, ending.signal]);
  const invocation = { ...asked, context: { ...asked.context, signal } };
  const { context: { clock, self }, settings, options } = invocation;
  const { role, model }: DoctorOptions = options;
  const facts = gatherFacts(machine);
  const chosen = doctorModel(invocation, model, facts);
  const names = createNames({ program: self.command, signal });
  const chain = await doctorChain(invocation, { modelName: chosen.fullName, names });
  try {
    const known = await facts;
    return await diagnose({
      machine, facts: known, role: role ?? likelyRole(known), network: realNetwork(names), chain, home: settings.home, nowMs: () => clock.now(), signal,
      engine: realEngine(machine, async () => known.driverGpus, chosen.fit),
    });
  } finally {
    ending.abort(new NetworkError('E_CLOSED', 'the examination has ended'));
    await chain.close();
  }
}

async function mend(invocation: Invocation, { findings }: Diagnosis, machine: Machine): Promise<void> {
  const { out } = invocation;
  const fixes = safeFixesOf(findings);
  if (fixes.length === 0) {
    await out.note('there is nothing that --fix could mend by itself');
    return;
  }
  for (const fix of fixes) await out.note(describeFix(fix));
  await confirmChange(invocation, 'Do this?');
  for (const fix of fixes) {
    await applyFix(fix, machine);
    await out.note('done');
  }
  await out.note('run `cocoon node doctor` again to see what is left');
}

function requireReady({ verdict, findings, network }: Diagnosis): void {
  const names = (status: 'FAIL' | 'SKIP'): string => findings.filter((finding) => finding.status === status && (status === 'FAIL' || finding.required)).map(({ title }) => title).join(', ');
  if (verdict === 'not ready') throw new ConfigError('E_DOCTOR', `this machine is not ready for network ${network}: ${names('FAIL')}`, { hint: 'the lines above say what mends it' });
  if (verdict === 'incomplete') throw new CocoonError('E_DOCTOR_INCOMPLETE', `not everything that network ${network} needs could be checked: ${names('SKIP')}`, { hint: 'the lines above say what each lacked' });
}
