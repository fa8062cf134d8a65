// What every command that sends has in common: its options, the plan on the screen, the question, the passphrase, the result.
// Nothing is sent without --yes or a yes at the terminal; a watch-only wallet gets a transaction to sign elsewhere.
import { join, resolve } from 'node:path';
import { carryOut, isBegun, outboxName } from '../chain/plans/carry-out.ts';
import { checkPlanFunds, estimatePlan, messagesOf } from '../chain/plans/plan.ts';
import { requireDone } from '../chain/plans/trace.ts';
import { randomQueryId } from '../chain/signed-payment.ts';
import { lastAttempt } from '../chain/sending/record.ts';
import { transferLink, unsignedTransaction } from '../chain/wallets/unsigned.ts';
import { InterruptedError, UsageError } from '../core/errors.ts';
import { writeFileAtomic } from '../core/files.ts';
import { formatTon } from '../core/units.ts';
import { pollMsOf, withAccess } from './chain.ts';
import { declarePassphrase, passphraseOf } from './passphrase.ts';
import { carriedOutData, planData, renderFacts, renderPlan } from './plan-view.ts';
import { roleKey } from './role-wallet.ts';
import { chooseKey, keystoreOf, showWallet, walletOf } from './wallets.ts';
import type { Command } from 'commander';
import type { TonAccess } from '../chain/access/types.ts';
import type { KeyEntry } from '../chain/keystore/keystore.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { Plan, PlannedMessage } from '../chain/plans/plan.ts';
import type { PlanContext } from '../chain/plans/reading.ts';
import type { WalletKind } from '../chain/wallets/kinds.ts';
import type { Signer } from '../chain/ed25519.ts';
import type { WalletRole } from './role-wallet.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

interface SendingOptions {
  readonly dryRun?: boolean;
  readonly id?: string;
  readonly unsigned?: string;
}

/** What became of a plan. */
export type Outcome = 'sent' | 'dry-run' | 'unsigned' | 'unchanged';

/** How long a transaction for a wallet elsewhere may wait for its signature. */
const UNSIGNED_VALID_S = 3_600;

export function declareSending(command: Command): void {
  command
    .option('--wallet <name>', 'wallet that sends (default: the setting `wallet`, or the only one)')
    .option('--dry-run', 'show the messages and their fees, send nothing')
    .option('--id <id>', 'name of this transfer: asked for again, it is not made again')
    .option('--unsigned <file>', 'write the transaction for a wallet elsewhere instead of signing it');
  declarePassphrase(command);
}

/** Makes the plan for the chosen wallet, shows it, and carries it out as the options say. No plan: there is nothing to do. */
export async function sendPlan(invocation: Invocation, network: ChainNetwork, make: (context: PlanContext) => Promise<Plan | null>, role?: WalletRole): Promise<Outcome> {
  return withSending(invocation, network, async (sending) => {
    const { out } = invocation;
    const plan = await make(sending.context);
    if (plan === null) {
      out.result({ status: 'unchanged' });
      await out.note('it is so already: nothing was sent');
      return 'unchanged';
    }
    return sending.carryOut(plan, (data) => out.result(data));
  }, role);
}

/** One wallet at work: several plans after each other, with one question for the passphrase. */
export interface Sending {
  readonly context: PlanContext;
  readonly entry: KeyEntry;
  readonly access: TonAccess;
  /** The wallet's contract. Throws UsageError for a watch-only address. */
  wallet(): Promise<WalletKind>;
  /**
   * Shows the plan and does with it what the options say. `tell` gets the data of the result, each time it changes. `step`: which of
   * several plans of this command it is; a part of --id.
   */
  carryOut(plan: Plan, tell: (data: { [key: string]: JsonValue }) => void, step?: string): Promise<Outcome>;
}

/** Opens the chosen wallet, by default that of `role`, for a command that sends. */
export async function withSending<T>(invocation: Invocation, network: ChainNetwork, work: (sending: Sending) => Promise<T>, role?: WalletRole): Promise<T> {
  return withAccess(invocation, network, async (access) => {
    const { options, context: { signal } } = invocation;
    const entry = role === undefined ? await chooseKey(invocation, network) : await roleKey(invocation, network, role);
    let signer: Promise<Signer> | undefined;
    const unlock = (): Promise<Signer> => signer ??= unlockSigner(invocation, entry);
    const { unsigned }: SendingOptions = options;
    return work({
      access, entry, context: { access, signal, wallet: entry.address },
      wallet: () => walletOf(entry, network, access),
      carryOut: (plan, tell, step) => entry.kind === 'watch' || unsigned !== undefined
        ? writeUnsigned(invocation, network, access, entry, plan, tell)
        : carryOutPlan(invocation, { network, access, entry, unlock, tell, step }, plan),
    });
  });
}

async function unlockSigner(invocation: Invocation, { label }: KeyEntry): Promise<Signer> {
  const passphrase = await passphraseOf(invocation, { subject: `key ${label}`, purpose: 'unlock', label });
  return (await keystoreOf(invocation).unlock(label, passphrase)).signer;
}

interface CarryOutParts {
  readonly network: ChainNetwork;
  readonly access: TonAccess;
  readonly entry: KeyEntry;
  unlock(): Promise<Signer>;
  tell(data: { [key: string]: JsonValue }): void;
  readonly step: string | undefined;
}

async function carryOutPlan(invocation: Invocation, { network, access, entry, unlock, tell, step }: CarryOutParts, plan: Plan): Promise<Outcome> {
  const { options, out, settings, context: { signal } } = invocation;
  const { dryRun = false, id: given }: SendingOptions = options;
  const id = given === undefined || step === undefined ? given : `${given}.${step}`;
  const wallet = await walletOf(entry, network, access);
  const messages = await messagesOf(plan, wallet.address, randomQueryId());
  const estimate = await estimatePlan({ access, wallet, messages, signal });
  const shown = { network, entry, plan, messages, feesNano: estimate.feesNano };
  tell({ status: 'planned', ...planData(shown, dryRun) });
  if (dryRun) await out.text(await renderPlan(shown, true));
  else await out.note((await renderPlan(shown, false)).trimEnd());
  for (const warning of plan.warnings) await out.warn(warning);
  const folder = outboxFolder(invocation, network, wallet);
  // What was begun may be paid already.
  if (dryRun || !await isBegun(plan, { folder, wallet, id })) checkPlanFunds(wallet, messages, estimate);
  if (dryRun) return 'dry-run';
  await confirm(invocation, `Send this from ${entry.label}?`);
  const signer = await unlock();
  const done = await carryOut(plan, {
    access, wallet, signer, id, signal, folder, timeoutMs: settings.durationMs('timeout'), pollMs: pollMsOf(network),
    onConfirmed: () => out.detail('the wallet\'s transaction is confirmed, following its messages'),
  });
  tell({ ...carriedOutData(done), ...planData({ ...shown, feesNano: done.feesNano }, false) });
  requireDone(done.trace);
  if (done.resumed) await out.note('this transfer had been begun before: it was not made a second time');
  const hash = lastAttempt(done.record).transaction?.hash ?? '-';
  await out.line(`confirmed ${hash} fees ${formatTon(done.feesNano)} TON`);
  await out.text(renderFacts(plan, network));
  return 'sent';
}

export const outboxFolder = ({ settings }: Pick<Invocation, 'settings'>, network: ChainNetwork, { address }: Pick<WalletKind, 'address'>): string =>
  join(settings.home, 'outbox', outboxName(network.globalId, address));

/** Returns when --yes was given or a person says yes. Throws UsageError `E_NO_TERMINAL`, InterruptedError. */
export async function confirm({ yes, context }: Invocation, question: string): Promise<void> {
  if (yes) return;
  if (context.prompts === null) throw new UsageError('E_NO_TERMINAL', 'a confirmation is needed and there is no terminal to ask on', { hint: 'add --yes, or --dry-run to send nothing' });
  if (!await context.prompts.confirm(question)) throw new InterruptedError('E_INTERRUPTED', 'not confirmed, nothing was sent');
}

async function writeUnsigned(invocation: Invocation, network: ChainNetwork, access: TonAccess, entry: KeyEntry, plan: Plan, tell: CarryOutParts['tell']): Promise<Outcome> {
  const { options, out, context } = invocation;
  const { dryRun = false, unsigned: file }: SendingOptions = options;
  const messages: PlannedMessage[] = await messagesOf(plan, entry.address, randomQueryId());
  const { time } = await access.account(entry.address, { signal: context.signal });
  const transaction = unsignedTransaction({ from: entry.address, network, validUntil: time + UNSIGNED_VALID_S, messages: messages.map(({ message }) => message) });
  const shown = { network, entry, plan, messages, feesNano: null };
  const link = file === undefined ? transferLink(transaction) : null;
  tell({ status: dryRun ? 'planned' : 'unsigned', ...planData(shown, dryRun), transaction, link, file: file ?? null });
  await out.note((await renderPlan(shown, false)).trimEnd());
  for (const warning of plan.warnings) await out.warn(warning);
  if (dryRun) return 'dry-run';
  if (file !== undefined) {
    await writeFileAtomic(resolve(context.cwd, file), `${JSON.stringify(transaction, null, 2)}\n`, { exclusive: true });
    await out.note(`sign and send ${file} with ${showWallet(entry.address, network)} within an hour`);
  }
  if (link !== null) await out.line(link);
  return 'unsigned';
}
