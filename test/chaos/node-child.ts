// A node as a process: an engine that answers as the prompt asks, real connections, its payment book on disk. What it worked and
// what proxies told it is in its truth file before it is acted on.
import { randomUUID } from 'node:crypto';
import { Address } from '@ton/core';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import { systemClock } from '../../src/core/clock.ts';
import { sleep } from '../../src/core/retry.ts';
import { joinAsRole } from '../../src/localnet/membership.ts';
import { startNode } from '../../src/node/node.ts';
import { paidAccounts } from '../../src/node/paid-accounts.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { createInstantEngine } from '../fakes/instant-engine.ts';
import { openAccess, openRoot, openWallet, truthLog } from './child-base.ts';
import { ANNOUNCED_PARTS, COEFFICIENT } from './node-work.ts';
import { tellingOf } from './telling.ts';
import { MAX_OWED_NANO, MODEL, nodeBook, truthFile, VERSION, walletOf } from './world.ts';
import type { NodeAccounts, NodeConnection } from '../../src/node/accounts.ts';
import type { RequestMeter } from '../../src/node/daemon/meter.ts';
import type { Engine, EngineEvent, EngineRequest } from '../../src/node/engine.ts';
import type { ChildContext, Running } from './child-base.ts';
import type { Truth } from './messages.ts';

const SEQUENCES = 24;
const REDIAL_MS = 700;

/** The prompt begins with how many pieces to make, and how far apart, in milliseconds. */
function scriptedEngine(): Engine {
  const wish = ({ prompt }: EngineRequest): number[] => (prompt.kind === 'text' ? prompt.text : prompt.messages.map(({ content }) => content).join(' ')).split(' ').slice(0, 2).map(Number);
  const engine = createInstantEngine({ model: MODEL, sequences: SEQUENCES, pieces: (request) => Array.from({ length: wish(request)[0] ?? 1 }, (_, at) => ` ${at}`) });
  return {
    info: () => engine.info(),
    embed: (texts, signal) => engine.embed(texts, signal),
    close: () => engine.close(),
    complete: (request, signal) => paced(engine.complete(request, signal), wish(request)[1] ?? 0, signal),
  };
}

async function* paced(events: AsyncIterable<EngineEvent>, delayMs: number, signal: AbortSignal): AsyncGenerator<EngineEvent, void, void> {
  for await (const event of events) {
    if (delayMs > 0 && event.type === 'text') await sleep(delayMs, signal).catch(() => undefined);
    yield event;
  }
}

/** The same accounts; what they hear is written down first. */
function witnessed(accounts: NodeAccounts, contracts: Map<string, string>, write: (line: Truth) => void, fail: (text: string) => void): NodeAccounts {
  return {
    ownerAddress: accounts.ownerAddress, multipliers: () => accounts.multipliers(), money: () => accounts.money(),
    open: () => {
      const inner = accounts.open();
      let contract = '';
      const told = tellingOf(write);
      const heard = (act: () => void): void => {
        try {
          act();
        } catch (error) {
          fail(`an honest proxy was refused: ${String(error)}`);
          throw error;
        }
      };
      const outer: NodeConnection = {
        get blocked() { return inner.blocked; },
        get failed() { return inner.failed; },
        onBlocked: (listener) => inner.onBlocked(listener),
        begin: () => inner.begin(),
        close: () => inner.close(),
        checkProxy: async (offer, signal) => {
          contract = Address.parse(offer.workerContractAddress).toRawString();
          contracts.set(offer.proxy.contractAddress, contract);
          return inner.checkProxy(offer, signal);
        },
        compared: (status, agreed) => {
          told(contract, status, false);
          if (!agreed) fail(`a proxy knows less of ${contract} than it has said`);
          heard(() => { void inner.compared(status, agreed); });
        },
        paymentStatus: (status) => {
          told(contract, status, true);
          heard(() => inner.paymentStatus(status));
        },
        requestPayment: (payment) => {
          told(contract, payment, false);
          heard(() => inner.requestPayment(payment));
        },
        delivered: (tokens) => inner.delivered(tokens),
      };
      return outer;
    },
  };
}

/** Writes down each request, and how far it may have come, before a byte of it leaves. `contracts`: the node's own, by the proxy's. */
function witness(contracts: ReadonlyMap<string, string>, write: (line: Truth) => void): RequestMeter {
  return {
    begin(proxy) {
      const contract = contracts.get(proxy) ?? '';
      const m = randomUUID();
      let parts = 0;
      let announced = 0;
      let isOver = false;
      write({ t: 'job', m, contract, at: Date.now() });
      return {
        wrote: () => {
          parts += 1;
          if (parts <= announced) return;
          announced += ANNOUNCED_PARTS;
          write({ t: 'ahead', m, contract, parts: announced });
        },
        counted: () => undefined,
        delivered: ({ total }) => {
          if (total === 0n) return;
          isOver = true;
          write({ t: 'work', m, contract, tokens: String(total), at: Date.now() });
        },
        end: () => { if (!isOver) write({ t: 'over', m, contract, parts }); },
      };
    },
  };
}

export async function startNodeChild(context: ChildContext, index: number): Promise<Running> {
  const { world, log, violation, fatal } = context;
  const member = await joinAsRole(world.home, 'worker', VERSION);
  const access = openAccess(world);
  const root = await openRoot(context, access);
  const wallet = openWallet(context, access, `node-wallet-${index}`);
  const book = await openPaymentBook(nodeBook(world, index));
  const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
  const accounts = paidAccounts({
    access, root, owner: walletOf(world, `node-owner-${index}`).kind.address, book, model: MODEL, maxOwedNano: MAX_OWED_NANO,
    deploy: { wallet, fromNano: 100_000_000n, maxNano: 2_000_000_000n }, log,
  });
  const contracts = new Map<string, string>();
  const write = truthLog(truthFile(world, 'node', index));
  write({ t: 'life', at: Date.now() });
  const node = startNode({
    engine: scriptedEngine(), model: `${MODEL}@chaos:0`, coefficient: COEFFICIENT, meter: witness(contracts, write),
    proxies: { current: () => root.current().config.proxies.map(({ workers }) => workers), onChange: (listener) => root.onChange(listener) },
    identity: () => identity.current(), verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }),
    accounts: witnessed(accounts, contracts, write, violation), isTest: true, clock: systemClock, log,
    sleep: (ms, signal) => sleep(Math.min(ms, REDIAL_MS), signal),
  });
  void node.ended.then((error) => { if (error !== null) fatal(error); });
  return {
    handle: async () => {
      while ([...node.states().values()].some(({ kind }) => kind !== 'ready')) await sleep(50);
      return [...node.states().keys()];
    },
    close: async () => {
      await node.close();
      await wallet.close();
      await root.close();
      await book.close();
      identity.close();
      await access.close();
    },
  };
}
