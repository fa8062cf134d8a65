// Several clients in one process, each with its own wallet, secret and payment book on disk, connected to every proxy. What a
// client sent, got and was told is in its truth file before it is acted on.
import { Address } from '@ton/core';
import { reservationOf } from '../../src/client/bounds.ts';
import { askChat } from '../../src/client/chat.ts';
import { throughSession } from '../../src/client/one-session.ts';
import { createConnector } from '../../src/client/connect.ts';
import { multipliersOf, paidAccounts } from '../../src/client/paid-accounts.ts';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import { systemClock } from '../../src/core/clock.ts';
import { asCocoonError } from '../../src/core/errors.ts';
import { sleep } from '../../src/core/retry.ts';
import { joinAsClient } from '../../src/localnet/membership.ts';
import { tokensUsed } from '../../src/openai/token-price.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { DEPOSIT } from './create-world.ts';
import { openAccess, openRoot, openWallet, truthLog } from './child-base.ts';
import { tellingOf } from './telling.ts';
import { clientBook, clientsOf, MODEL, secretOf, truthFile } from './world.ts';
import type { ClientAccounts, ConnectionAccount } from '../../src/client/accounts.ts';
import type { Answer } from '../../src/client/chat.ts';
import type { ConnectedProxy, Connector } from '../../src/client/connect.ts';
import type { RootFollower } from '../../src/chain/follow/root-follower.ts';
import type { TonAccess } from '../../src/chain/access/types.ts';
import type { ChildContext, Running } from './child-base.ts';
import type { Ask, Asked, Truth } from './messages.ts';

const CONNECT_MS = 45_000;
const RECONNECT_MS = 300;
/** How long a request waits for a connection. */
const PATIENCE_MS = 3_000;
/** An error of one of these means that an honest proxy was taken for a cheat, or cheated. */
const NEVER = new Set(['E_OVERBILLED', 'E_SIGNED_PAYMENT', 'E_INTERNAL', 'E_STATE']);

interface Client {
  ask(ask: Ask): Promise<Asked>;
  settle(): Promise<string | null>;
  close(): Promise<void>;
}

let serial = 0;

/** The same accounts; what they hear and do is written down first. */
function witnessed(accounts: ClientAccounts, root: RootFollower, write: (line: Truth) => void, fail: (text: string) => void): ClientAccounts {
  return {
    ownerAddress: accounts.ownerAddress, minConfigVersion: () => accounts.minConfigVersion(),
    open: () => {
      const inner = accounts.open();
      let contract = '';
      const told = tellingOf(write);
      void inner.failed.then((error) => { if (NEVER.has(error.code)) fail(`${error.code}: ${error.message}`); });
      const outer: ConnectionAccount = {
        get failed() { return inner.failed; },
        close: () => inner.close(),
        checkProxy: async (offer, signal) => {
          contract = Address.parse(offer.clientContractAddress).toRawString();
          return inner.checkProxy(offer, signal);
        },
        paymentStatus: (status) => {
          told(contract, status, true);
          inner.paymentStatus(status);
        },
        requestPayment: (payment) => {
          told(contract, payment, false);
          inner.requestPayment(payment);
        },
        begin: async (bounds) => {
          const m = `${process.pid} ${serial += 1}`;
          write({ t: 'begin', m, contract, reserved: String(reservationOf(bounds, multipliersOf(root.current().config.params))), at: Date.now() });
          const meter = await inner.begin(bounds).catch((error: unknown) => {
            write({ t: 'unsent', m, contract });
            throw error;
          });
          return {
            delivered: (bytes) => meter.delivered(bytes),
            ended: (tokens) => {
              write({ t: 'end', m, contract, tokens: String(tokens.total), at: Date.now() });
              meter.ended(tokens);
            },
            lost: () => meter.lost(),
          };
        },
      };
      return outer;
    },
  };
}

interface Shared {
  readonly context: ChildContext;
  readonly access: TonAccess;
  readonly root: RootFollower;
  readonly member: Awaited<ReturnType<typeof joinAsClient>>;
}

async function startClient({ context, access, root, member }: Shared, index: number): Promise<Client> {
  const { world, log } = context;
  const violation = (text: string): void => context.violation(`client ${index}: ${text}`);
  const wallet = openWallet(context, access, `client-wallet-${index}`);
  const book = await openPaymentBook(clientBook(world, index));
  const identity = await createTlsIdentity({ clock: systemClock, evidence: () => ({ family: 'none' }) });
  const accounts = witnessed(
    paidAccounts({ access, root, wallet, secretKey: secretOf(world, `client-secret-${index}`), book, rules: DEPOSIT, clock: systemClock, log }),
    root, truthLog(truthFile(world, 'client', index)), violation,
  );
  const ending = new AbortController();
  const links = world.proxies.map(({ outer }, proxy) => new Link({
    connector: createConnector({
      proxies: () => root.current().config.proxies.flatMap(({ clients }) => clients.port === outer.clients ? [clients] : []),
      identity: identity.current(), verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }), accounts, isTest: true, log,
    }),
    signal: ending.signal,
    failed: (error) => {
      const { code, message } = asCocoonError(error);
      log.info('not connected', { client: index, proxy, code, message });
      if (NEVER.has(code)) violation(`proxy ${proxy}: ${code}: ${message}`);
    },
  }));
  return {
    ask: async (ask) => askOnce(await linkFor(links, ask.proxy), ask, root, violation),
    settle: async () => {
      const problems = await Promise.all(links.map(async (link) => {
        try {
          const connected = await link.ready(CONNECT_MS);
          await connected.session.updatePaymentStatus();
          return null;
        } catch (error) {
          return asCocoonError(error).message;
        }
      }));
      return problems.find((problem) => problem !== null) ?? null;
    },
    close: async () => {
      ending.abort(new Error('the client ends'));
      await Promise.all(links.map((link) => link.ended()));
      await wallet.close();
      await book.close();
      identity.close();
    },
  };
}

interface LinkOptions {
  readonly connector: Connector;
  readonly signal: AbortSignal;
  readonly failed: (error: unknown) => void;
}

/** One connection that is made again whenever it ends. */
class Link {
  readonly #options: LinkOptions;
  readonly #loop: Promise<void>;
  current: ConnectedProxy | null = null;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#loop = this.#keep();
  }

  async ready(withinMs: number): Promise<ConnectedProxy> {
    const ends = performance.now() + withinMs;
    while (this.current === null) {
      if (performance.now() > ends) throw new Error('not connected in time');
      await sleep(30);
    }
    return this.current;
  }

  ended(): Promise<void> {
    return this.#loop;
  }

  async #keep(): Promise<void> {
    const { connector, signal, failed } = this.#options;
    while (!signal.aborted) {
      try {
        const connected = await connector.connect({ timeoutMs: CONNECT_MS, signal });
        this.current = connected;
        const stop = (): void => connected.session.close();
        signal.addEventListener('abort', stop, { once: true });
        if (signal.aborted) stop();
        await connected.session.closed;
        signal.removeEventListener('abort', stop);
      } catch (error) {
        if (!signal.aborted) failed(error);
      }
      this.current = null;
      await sleep(RECONNECT_MS, signal).catch(() => undefined);
    }
  }
}

/** The wished proxy, or any other one where that is not connected; null where none is in time. */
async function linkFor(links: readonly Link[], wished: number): Promise<ConnectedProxy | null> {
  for (const ends = performance.now() + PATIENCE_MS; performance.now() < ends; await sleep(50)) {
    const connected = [links[wished], ...links].map((link) => link?.current ?? null).find((current) => current !== null);
    if (connected !== undefined) return connected;
  }
  return null;
}

async function askOnce(connected: ConnectedProxy | null, ask: Ask, root: RootFollower, violation: (text: string) => void): Promise<Asked> {
  if (connected === null) return { outcome: 'not connected' };
  const prompt = [ask.pieces, ask.pieceDelayMs, ...Array.from({ length: ask.words }, (_, at) => `word${at}`)].join(' ');
  const cancel = new AbortController();
  if (ask.cancelAfter === 0) setTimeout(() => cancel.abort(new Error('cancelled on purpose')), 2);
  let received = 0;
  const stream = askChat(throughSession(connected), { model: MODEL, prompt, maxTokens: ask.maxTokens }, { timeoutMs: ask.timeoutMs, maxCoefficient: 1_000, signal: cancel.signal });
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) {
        checkAnswer(next.value, ask, root, violation);
        return { outcome: 'answered' };
      }
      received += 1;
      if (received === ask.cancelAfter) cancel.abort(new Error('cancelled on purpose'));
    }
  } catch (error) {
    if (cancel.signal.aborted) return { outcome: 'cancelled' };
    const { code, message } = asCocoonError(error);
    if (NEVER.has(code)) violation(`a request ended with ${code}: ${message}`);
    return { outcome: code, message };
  }
}

/** A complete answer is what was asked for, and cost exactly what the prices say. */
function checkAnswer({ text, usage, charged }: Answer, ask: Ask, root: RootFollower, violation: (text: string) => void): void {
  const expected = Math.min(ask.pieces, ask.maxTokens);
  const pieces = text === '' ? 0 : text.trim().split(' ').length;
  if (pieces !== expected || usage.completionTokens !== expected || usage.promptTokens !== ask.words + 2) {
    violation(`an answer has ${pieces} pieces and says ${usage.completionTokens} of ${usage.promptTokens}, expected ${expected} of ${ask.words + 2}`);
  }
  const { total } = tokensUsed(usage, 1_000, multipliersOf(root.current().config.params));
  if (charged.total !== total) violation(`an answer cost ${charged.total} tokens, its prices say ${total}`);
}

export async function startClients(context: ChildContext, index: number): Promise<Running> {
  const { world } = context;
  const access = openAccess(world);
  const root = await openRoot(context, access);
  const member = await joinAsClient(world.home);
  const clients = new Map<number, Client>();
  for (const client of clientsOf(world, index)) clients.set(client, await startClient({ context, access, root, member }, client));
  return {
    handle: async (command) => {
      if (command.do === 'ask') return clients.get(command.ask.client)?.ask(command.ask);
      const problems = await Promise.all([...clients.values()].map((client) => client.settle()));
      return problems.find((problem) => problem !== null) ?? null;
    },
    close: async () => {
      await Promise.all([...clients.values()].map((client) => client.close()));
      await root.close();
      await access.close();
    },
  };
}
