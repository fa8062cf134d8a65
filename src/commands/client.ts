// Connects a command to the network as a client: a fresh TLS key for this one run, the network's proxies, the checks, and on a
// network with contracts the wallet that pays.
import { createHash } from 'node:crypto';
import { createConnector } from '../client/connect.ts';
import { unpaidAccounts } from '../client/accounts.ts';
import { boundedAccounts } from '../client/spending.ts';
import { paidAccounts } from '../client/paid-accounts.ts';
import { openPaymentBook } from '../chain/payment-book.ts';
import { fromHex, toHex } from '../core/bytes.ts';
import { joinNetwork } from './network.ts';
import { sealModeOf } from './paying.ts';
import { paymentFolder } from './payments.ts';
import { withDeadline } from '../core/deadline.ts';
import { ConfigError, NetworkError, PolicyError } from '../core/errors.ts';
import { silentLog } from '../core/log.ts';
import { formatTon, NANO_PER_TON } from '../core/units.ts';
import type { ClientAccounts, ConnectionAccount } from '../client/accounts.ts';
import type { Spending } from '../client/spending.ts';
import type { ConnectedProxy, Connector } from '../client/connect.ts';
import type { Signer } from '../chain/ed25519.ts';
import type { Log } from '../core/log.ts';
import type { Settings } from '../core/settings.ts';
import type { ModelListing } from '../wire/client-session.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';
import type { JoinedNetwork } from './network.ts';
import type { PaidRole } from './paid-role.ts';

/** What is left of --timeout from now on, in whole milliseconds; at least 1, so that what is late fails as late. */
export function timeBudget(settings: Settings): () => number {
  const endsAt = performance.now() + settings.durationMs('timeout');
  return () => Math.max(1, Math.round(endsAt - performance.now()));
}

export interface ClientConnection extends ConnectedProxy {
  /** nanoTON of an adjusted token; null where nobody pays. */
  readonly pricePerTokenNano: bigint | null;
  /** Ends the session; resolves when what was used is on disk. */
  end(): Promise<void>;
}

/** This run's way into the network as a client. */
export interface OpenClient {
  readonly network: JoinedNetwork;
  readonly connector: Connector;
  /** Ends everything that was opened; resolves when what was used is on disk. */
  end(): Promise<void>;
}

export interface OpenClientOptions {
  /** For a process that runs on: certificates are renewed. */
  readonly renewed?: boolean;
  /** False: nothing is deposited; a proxy that needs a deposit first is refused with WouldDepositError. */
  readonly spends?: boolean;
  /** Bounds what all requests together may cost. */
  readonly spending?: Spending;
  readonly log?: Log;
}

/** A deposit would have been made, and was not. */
export class WouldDepositError extends PolicyError {
  /** All that would have been sent, fees included. */
  readonly amountNano: bigint;

  constructor(amountNano: bigint) {
    super('E_SPENDING_LIMIT', `a deposit of ${formatTon(amountNano)} TON would be made first`);
    this.amountNano = amountNano;
  }
}

/** Joins the network as a client; nothing is dialled yet. */
export async function openClient(invocation: Invocation, { renewed = false, spends = true, spending, log = silentLog }: OpenClientOptions = {}): Promise<OpenClient> {
  const network = await joinNetwork(invocation, 'client', log);
  const closing: (() => Promise<void>)[] = [() => network.close()];
  const end = async (): Promise<void> => {
    for (const part of closing.splice(0).reverse()) await part();
  };
  try {
    const identity = await network.attestation.identity('client');
    if (renewed) closing.push(async () => identity.close());
    else identity.close(); // one short connection needs no renewal
    const { accounts, close } = network.paid === null ? { accounts: unpaidAccounts(identity.publicKey), close: async () => {} } : await payingAccounts(invocation, network.paid, spends);
    closing.push(close);
    if (network.proxies('clients').length === 0) throw new ConfigError('E_CONFIG', 'the root contract of the network lists no proxy', { hint: 'run `cocoon network show`' });
    const told = new Set<string>();
    const connector = createConnector({
      proxies: () => network.proxies('clients'),
      identity: renewed ? () => identity.current() : identity.current(),
      verifyProxy: network.attestation.verifyPeer('proxy'),
      accounts: spending === undefined ? accounts : boundedAccounts(accounts, spending), isTest: network.isTest, log,
      seal: {
        mode: sealModeOf(invocation), verifyNode: network.attestation.verifyPeer('worker'), clock: invocation.context.clock,
        root: network.paid?.root.current().address.toRawString() ?? '',
        v1Keys: () => [...network.paid?.root.current().config.keyManager?.publicKeys ?? []].map(([key, info]) => ({ publicKey: fromHex(key), ...info })),
        unsealed(why) {
          log.warn('a request goes unsealed', { reason: why });
          if (!renewed) void invocation.out.warn(`not sealed, so that the proxy can read it: ${why}`);
        },
        sealed(node) {
          const name = toHex(node.tlsPublicKey).slice(0, 16);
          if (!renewed && !told.has(name)) void invocation.out.note(`sealed to node ${name}…: ${node.evidence} evidence, image ${toHex(node.imageHash).slice(0, 16)}…`);
          told.add(name);
        },
      },
    });
    return { network, connector, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** nanoTON of an adjusted token and the largest multiplier, as the root contract says now; null where nobody pays. */
export function priceOf({ paid }: JoinedNetwork): { readonly perTokenNano: bigint; readonly largestMultiplier: number } | null {
  if (paid === null) return null;
  const { pricePerTokenNano, promptMultiplier, cachedMultiplier, completionMultiplier, reasoningMultiplier } = paid.root.current().config.params;
  return { perTokenNano: pricePerTokenNano, largestMultiplier: Math.max(promptMultiplier, cachedMultiplier, completionMultiplier, reasoningMultiplier) };
}

/** A verified, ready connection to the nearest proxy that answers within the time that is left. */
export async function connectAsClient(invocation: Invocation, leftMs: () => number): Promise<ClientConnection> {
  const { context, out } = invocation;
  const { network, connector, end } = await openClient(invocation);
  try {
    const connected = await connector.connect({ timeoutMs: leftMs(), signal: context.signal });
    const { peer, address, session } = connected;
    await out.note(`verified proxy ${address}: ${peer.evidence} evidence, image ${toHex(peer.imageHash).slice(0, 16)}…`);
    return {
      ...connected, pricePerTokenNano: priceOf(network)?.perTokenNano ?? null,
      end: async () => {
        session.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function payingAccounts(invocation: Invocation, { access, root, wallet, signer, network }: PaidRole, spends: boolean): Promise<{ accounts: ClientAccounts; close(): Promise<void> }> {
  const { settings, context: { clock }, out } = invocation;
  const book = await openPaymentBook(paymentFolder(settings, network));
  const maxNano = settings.ton('client.max_deposit') ?? 20n * NANO_PER_TON;
  const maxPerProxyNano = settings.ton('client.max_deposit_per_proxy') ?? maxNano;
  const inner = paidAccounts({
    access, root, wallet: spends ? wallet : unspent(wallet), book, clock, log: silentLog, secretKey: clientSecret(signer),
    rules: { depositNano: settings.ton('client.deposit') ?? null, maxPerProxyNano, maxTotalNano: maxNano },
  });
  const opened: ConnectionAccount[] = [];
  await out.detail(`paying from ${wallet.address.toString({ bounceable: false })}, at most ${formatTon(maxNano)} TON of deposits, ${formatTon(maxPerProxyNano)} with one proxy`);
  return {
    accounts: {
      ...inner,
      open: () => {
        const account = inner.open();
        opened.push(account);
        return account;
      },
    },
    close: async () => {
      await Promise.all(opened.map((account) => account.close()));
      await book.close();
    },
  };
}

/** The same wallet, which sends nothing. */
function unspent(wallet: PaidRole['wallet']): PaidRole['wallet'] {
  return {
    address: wallet.address,
    balanceNano: () => wallet.balanceNano(),
    send: async (_key, messages) => {
      throw new WouldDepositError(messages.reduce((sum, { valueNano }) => sum + valueNano, 0n));
    },
    forget: (key) => wallet.forget(key),
    close: () => wallet.close(),
  };
}

const SECRET_LABEL = 'cocoon client secret 1';

/**
 * The secret from which those for single proxies are derived, 32 bytes: the same for the same wallet on every machine. Ed25519
 * signatures are deterministic, and nobody is ever shown this one.
 */
export function clientSecret(signer: Signer): Uint8Array {
  const signature = signer.sign(createHash('sha256').update(SECRET_LABEL).digest());
  return new Uint8Array(createHash('sha256').update(signature).digest());
}

/** The models that the proxy lists, within the time that is left. */
export async function listModels({ session, address }: ConnectedProxy, leftMs: () => number, signal: AbortSignal): Promise<ModelListing[]> {
  const timeoutMs = leftMs();
  const late = (): NetworkError => new NetworkError('E_TIMEOUT', `proxy ${address} did not list its models within ${timeoutMs} ms`);
  return withDeadline((inner) => session.models(inner), { timeoutMs, signal, late });
}

/** The evidence of a proxy as commands show it. */
export function evidenceOf({ peer, address, session }: ConnectedProxy): { readonly proxy: JsonValue } {
  return {
    proxy: {
      address, evidence: peer.evidence, simulated: peer.evidence === 'simulated', imageHash: toHex(peer.imageHash), tlsPublicKey: toHex(peer.publicKey),
      protocolVersion: session.version, checks: (peer.checks ?? []).map((check) => ({ ...check })),
    },
  };
}
