// Changes of a root contract by its owner (ONCHAIN.md section 7, H10). Hashes and proxies change at once; prices and params are
// announced by the first call and executed by the same call after the contract's delay. Refuses params that cheat somebody.
import { equalBytes, toHex } from '../../core/bytes.ts';
import { ConfigError, NotFoundError, UsageError } from '../../core/errors.ts';
import { formatProxyText } from '../cells/proxy-text.ts';
import type { ProxyEndpoints } from '../cells/proxy-text.ts';
import { changeParams, changePrice } from '../cells/root-messages.ts';
import { changeDigest } from '../cells/root-storage.ts';
import { RootContract } from '../contracts/root.ts';
import { openAt } from '../contracts/provider.ts';
import { paramsProblems } from '../root-config.ts';
import { readsOf } from './plan.ts';
import type { Plan, PlanStep } from './plan.ts';
import { chainTime } from './reading.ts';
import type { KnownRoot, PlanContext } from './reading.ts';

/** Attached to each change; the contract keeps nothing of it but fees. */
const CHANGE_NANO = 50_000_000n;
/** Seconds from the announcement of a change to its execution (contracts/common/consts.tolk, ROOT_DELAY). */
export const CHANGE_DELAY_SECONDS = 86_400;

export type HashKind = 'proxy' | 'worker' | 'model';
export const HASH_KINDS = ['proxy', 'worker', 'model'] as const satisfies readonly HashKind[];

const SET_OF = { proxy: 'proxyHashes', worker: 'workerHashes', model: 'modelHashes' } as const;
const ADD = { proxy: 'sendAddProxyHash', worker: 'sendAddWorkerHash', model: 'sendAddModelHash' } as const;
const DELETE = { proxy: 'sendDeleteProxyHash', worker: 'sendDeleteWorkerHash', model: 'sendDeleteModelHash' } as const;

function requireOwner({ wallet }: PlanContext, { config, address }: KnownRoot): void {
  if (!config.owner.equals(wallet)) {
    throw new UsageError('E_USAGE', `root contract ${address.toString()} belongs to ${config.owner.toString()}, not to the wallet ${wallet.toString()}`, { hint: 'choose the owner\'s wallet with --wallet' });
  }
}

const plan = (name: string, root: KnownRoot, step: PlanStep, more: Partial<Plan> = {}): Plan => ({
  name: `${name} ${root.address.toRawString()} ${root.config.version}`, warnings: [], steps: [step], ...more, facts: { root: root.address.toRawString(), ...more.facts },
});

export interface HashChange {
  readonly kind: HashKind;
  /** 32 bytes. */
  readonly hash: Uint8Array;
  readonly allow: boolean;
}

/** Null where the hash is already as wished. */
export function hashPlan(context: PlanContext, root: KnownRoot, { kind, hash, allow }: HashChange): Plan | null {
  requireOwner(context, root);
  if (root.config[SET_OF[kind]].has(toHex(hash)) === allow) return null;
  const contract = openAt(readsOf(context.access), new RootContract(root.address));
  return plan(`${allow ? 'allow' : 'revoke'} ${kind} ${toHex(hash)}`, root, {
    purpose: `${allow ? 'allow' : 'revoke'} ${kind} hash ${toHex(hash)}`,
    send: (via, queryId) => contract[(allow ? ADD : DELETE)[kind]](via, { queryId, valueNano: CHANGE_NANO }, hash),
  });
}

export function registerProxyPlan(context: PlanContext, root: KnownRoot, endpoints: ProxyEndpoints): Plan {
  requireOwner(context, root);
  const text = formatProxyText(endpoints);
  const same = root.config.proxies.find((known) => formatProxyText(known) === text);
  if (same !== undefined) throw new ConfigError('E_CONTRACT_STATE', `proxy ${text} is registered already, as number ${same.seqno}`);
  const contract = openAt(readsOf(context.access), new RootContract(root.address));
  const number = root.config.lastProxySeqno + 1;
  return plan(`register ${text}`, root, {
    purpose: `register proxy ${text} as number ${number}`,
    send: (via, queryId) => contract.sendRegisterProxy(via, { queryId, valueNano: CHANGE_NANO }, text),
  }, { facts: { number: String(number), proxy: text } });
}

export function unregisterProxyPlan(context: PlanContext, root: KnownRoot, number: number): Plan {
  requireOwner(context, root);
  if (!root.storage.sets.proxies.has(number)) throw new NotFoundError('E_NOT_FOUND', `no proxy is registered under number ${number}`, { hint: 'run `cocoon network show` for the list' });
  const contract = openAt(readsOf(context.access), new RootContract(root.address));
  return plan(`unregister ${number}`, root, {
    purpose: `remove registered proxy ${number}`,
    send: (via, queryId) => contract.sendUnregisterProxy(via, { queryId, valueNano: CHANGE_NANO }, number),
  }, { facts: { number: String(number) } });
}

/** The params that an owner can change; what is absent stays as it is. */
export interface ParamsChange {
  readonly pricePerTokenNano?: bigint;
  readonly workerFeePerTokenNano?: bigint;
  readonly proxyDelaySeconds?: number;
  readonly clientDelaySeconds?: number;
  readonly minProxyStakeNano?: bigint;
  readonly minClientStakeNano?: bigint;
}

/**
 * Announces the change, or executes it when it was announced long enough ago. `onlyPrices`: the message that changes prices and
 * nothing else. Throws ConfigError: `E_CONFIG` with all problems of the wished params, `E_TOO_EARLY` while the delay runs.
 */
export function paramsPlan(context: PlanContext, root: KnownRoot, change: ParamsChange, options: { readonly onlyPrices: boolean }): Plan {
  requireOwner(context, root);
  const { params, pendingChange } = root.config;
  const wished = { ...params, ...change };
  const problems = paramsProblems(wished);
  if (problems.length > 0) throw new ConfigError('E_CONFIG', `these params are refused: ${problems.join('; ')}`, { hint: 'a change of several params at once may be possible with `cocoon network params`' });
  const fields = options.onlyPrices
    ? { pricePerTokenNano: wished.pricePerTokenNano, workerFeePerTokenNano: wished.workerFeePerTokenNano }
    : {
      pricePerTokenNano: wished.pricePerTokenNano, workerFeePerTokenNano: wished.workerFeePerTokenNano, proxyDelaySeconds: wished.proxyDelaySeconds,
      clientDelaySeconds: wished.clientDelaySeconds, minProxyStakeNano: wished.minProxyStakeNano, minClientStakeNano: wished.minClientStakeNano,
    };
  const entries: (readonly [string, bigint | number])[] = Object.entries(fields);
  if (entries.every(([name, value]) => params[name as keyof typeof fields] === value)) throw new UsageError('E_USAGE', 'these are the params that the network has already');
  const contract = openAt(readsOf(context.access), new RootContract(root.address));
  const body = options.onlyPrices ? changePrice.store({ queryId: 0n, ...fields }) : changeParams.store({ queryId: 0n, ...paramFields(wished) });
  const announced = pendingChange !== null && equalBytes(pendingChange.digest, changeDigest(body)) ? pendingChange : null;
  const { time } = root.account;
  if (announced !== null && time < announced.executeAt) {
    throw new ConfigError('E_TOO_EARLY', `this change is announced and can be executed from ${chainTime(announced.executeAt)} on`, { hint: 'run the same command again then' });
  }
  const executeFrom = announced?.executeAt ?? time + CHANGE_DELAY_SECONDS;
  const text = entries.map(([name, value]) => `${name}=${value}`).join(' ');
  return plan(`${announced === null ? 'announce' : 'execute'} ${toHex(changeDigest(body))} ${announced?.executeAt ?? ''}`, root, {
    purpose: announced === null ? `announce ${text}; the same command executes it from about ${chainTime(executeFrom)} on` : `execute ${text}`,
    send: (via, queryId) => options.onlyPrices
      ? contract.sendChangePrice(via, { queryId, valueNano: CHANGE_NANO }, fields)
      : contract.sendChangeParams(via, { queryId, valueNano: CHANGE_NANO }, paramFields(wished)),
  }, {
    facts: { step: announced === null ? 'announce' : 'execute', executeFrom: chainTime(executeFrom) },
    warnings: [
      ...(announced === null && pendingChange !== null ? [`another change is announced for ${chainTime(pendingChange.executeAt)}; this announcement replaces it`] : []),
      ...(announced === null ? [] : ['contracts of proxies, clients and workers that exist keep their params; new ones get new addresses']),
    ],
  });
}

const paramFields = ({ pricePerTokenNano, workerFeePerTokenNano, proxyDelaySeconds, clientDelaySeconds, minProxyStakeNano, minClientStakeNano }: Required<ParamsChange>): Required<ParamsChange> =>
  ({ pricePerTokenNano, workerFeePerTokenNano, proxyDelaySeconds, clientDelaySeconds, minProxyStakeNano, minClientStakeNano });

