// A plan and what became of it, as a table for people and as JSON: amounts in TON there, nanoTON strings here.
import { Address } from '@ton/core';
import { lastAttempt } from '../chain/sending/record.ts';
import { formatTon } from '../core/units.ts';
import { renderTable } from './table-view.ts';
import { showContract, showWallet } from './wallets.ts';
import type { KeyEntry } from '../chain/keystore/keystore.ts';
import type { CarriedOut } from '../chain/plans/carry-out.ts';
import type { Plan, PlannedMessage } from '../chain/plans/plan.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { JsonValue } from './output.ts';

export interface ShownPlan {
  readonly network: ChainNetwork;
  readonly entry: KeyEntry;
  readonly plan: Plan;
  readonly messages: readonly PlannedMessage[];
  /** Null where they cannot be known: the wallet is elsewhere. */
  readonly feesNano: bigint | null;
}

const addressOf = ({ to, bounce }: PlannedMessage, network: ChainNetwork): string => bounce ? showContract(to, network) : showWallet(to, network);
const bocOf = ({ message }: PlannedMessage): string => message.message.toBoc().toString('base64');

/** `withMessages`: also the message itself, as base64 of its cells. */
export function planData({ network, entry, plan, messages, feesNano }: ShownPlan, withMessages: boolean): { [key: string]: JsonValue } {
  return {
    network: network.name, wallet: entry.label, from: entry.address.toRawString(), feesNano: feesNano?.toString() ?? null,
    messages: messages.map((message) => ({
      to: message.to.toRawString(), amountNano: message.amountNano.toString(), all: message.all, bounce: message.bounce, deploys: message.deploys,
      purpose: message.purpose, mode: message.message.mode, ...(withMessages ? { message: bocOf(message) } : {}),
    })),
    ...plan.facts,
  };
}

export async function renderPlan({ network, entry, messages, feesNano }: ShownPlan, withMessages: boolean): Promise<string> {
  const rows = messages.map((message) => [addressOf(message, network), message.all ? 'all' : formatTon(message.amountNano), message.purpose]);
  const table = await renderTable(['TO', 'TON', 'PURPOSE'], rows);
  const fees = feesNano === null ? 'fees are paid by that wallet' : `estimated fee ${formatTon(feesNano)} TON`;
  const bodies = withMessages ? messages.map((message, index) => `message ${index + 1} mode ${message.message.mode} ${bocOf(message)}\n`).join('') : '';
  return `network ${network.name}, from ${entry.label} ${showWallet(entry.address, network)}, ${fees}\n${table}${bodies}`;
}

/** The plan's facts for people: nanoTON as TON, raw addresses as their network writes them. */
export function renderFacts({ facts }: Plan, network: ChainNetwork): string {
  return Object.entries(facts).map(([name, value]) => {
    if (name.endsWith('Nano')) return `${words(name.slice(0, -'Nano'.length))} ${formatTon(BigInt(value))} TON\n`;
    if (!/^0:[0-9a-f]{64}$/.test(value)) return `${words(name)} ${value}\n`;
    const address = Address.parseRaw(value);
    return `${words(name)} ${name === 'owner' ? showWallet(address, network) : showContract(address, network)}\n`;
  }).join('');
}

/** `clientContract` → `client contract`. */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** What became of it. */
export function carriedOutData({ record, hops, resumed, feesNano }: CarriedOut): { [key: string]: JsonValue } {
  const { status, transaction } = lastAttempt(record);
  return {
    status, resumed, transaction: transaction === null ? null : { ...transaction }, totalFeesNano: feesNano.toString(),
    trace: hops.map(({ from, to, valueNano, status: how, reason, feesNano: fees, lt, hash }) => ({
      from: from.toRawString(), to: to.toRawString(), valueNano: valueNano.toString(), status: how, reason, feesNano: fees.toString(), lt: lt.toString(), hash,
    })),
  };
}
