// What looks after a node that runs, put together: its meter and journal before it starts, then its state document, control,
// metrics, alerts and reload. `cocoon node start` opens it; other commands reach it through admin.ts.
import { deferred } from '../core/deferred.ts';
import { asCocoonError, ConfigError } from '../core/errors.ts';
import { ownProcess } from '../core/process-identity.ts';
import { expose } from '../node/daemon/expose.ts';
import { watchGpus } from '../node/daemon/gpu.ts';
import { historyFile, keepHistory, readHistory } from '../node/daemon/history-file.ts';
import { keptFile, openKept } from '../node/daemon/kept.ts';
import { createMeter } from '../node/daemon/meter.ts';
import { createMetrics } from '../node/daemon/metrics.ts';
import { watchMoney } from '../node/daemon/money-watch.ts';
import { createMonitor } from '../node/daemon/monitor.ts';
import { openJournal } from '../node/earnings/journal.ts';
import { startAdmin } from './admin.ts';
import { recordPath } from './daemon.ts';
import { journalFolder } from './earnings.ts';
import { nodeActions, nodeAnswers } from './node-admin.ts';
import { openAlerting } from './node-alerting.ts';
import { lowGasNano } from './paid-role.ts';
import { settingChanges, settingsNow } from './reload.ts';
import { boundedSetting, listenAddress } from './values.ts';
import { showWallet } from './wallets.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { SettingKey, Settings } from '../core/settings.ts';
import type { Meter } from '../node/daemon/meter.ts';
import type { Reloaded } from '../node/daemon/control.ts';
import type { Engine } from '../node/engine.ts';
import type { NodeSealing } from '../node/sealed-keys.ts';
import type { RunningNode } from '../node/node.ts';
import type { OwnIdentity } from './attestation.ts';
import type { Invocation } from './command.ts';
import type { JoinedNetwork } from './network.ts';
import type { NodeMoney } from './node-money.ts';
import type { ServedModel } from './served-model.ts';

/** Thousandths, and least and most requests at once. */
const PRICES = [0, 999_999_999] as const;
const CAPACITIES = [1, 1_024] as const;
/** In force without a restart. */
const RELOADED: ReadonlySet<SettingKey> = new Set<SettingKey>(['node.price', 'node.capacity', 'node.alert_webhook', 'node.alert_secret', 'node.alert_offline', 'node.alert_payout']);

export interface NodeDaemon {
  readonly meter: Meter;
  /** For startNode. */
  readonly price: number;
  readonly draining: boolean;
  capacity(engine: Engine): number;
  /** Serves control, metrics and alerts. Throws ConfigError for settings that cannot be used. */
  serve(parts: { readonly node: RunningNode; readonly engine: Engine; readonly identity: OwnIdentity; readonly sealing: Pick<NodeSealing, 'keys'>; readonly money: NodeMoney | null }): Promise<ServedDaemon>;
  /** After the node has ended: writes down what it earned last. */
  close(): Promise<void>;
}

export interface ServedDaemon {
  /** As the node's, and null when it was told to stop. */
  readonly ended: Promise<CocoonError | null>;
  close(): Promise<void>;
}

/** Opened before the node starts. `price` and `capacity` as given by flags. Throws ConfigError. */
export async function openNodeDaemon(invocation: Invocation, network: JoinedNetwork, model: ServedModel, flags: { readonly price?: number | undefined }, log: Log): Promise<NodeDaemon> {
  const { settings, context: { clock } } = invocation;
  const { paid } = network;
  const terms = termsOf(settings, flags);
  const kept = await openKept(keptFile(recordPath(invocation, 'node')), clock.now(), log);
  if (kept.drainedSinceMs !== null) log.warn('it takes no work, as it was told', { sinceMs: kept.drainedSinceMs });
  const feeNano = feeOf(network);
  const journal = openJournal({ folder: journalFolder(settings, paid?.network ?? null), model: model.name, clock, log, feeNano });
  const metrics = await createMetrics();
  const meter = createMeter(clock, { ...metrics.listeners, delivered: (proxy, tokens, usage) => journal.delivered(proxy, tokens, usage) });
  const capacity = (engine: Engine): number => Math.min(terms.capacity ?? Infinity, engine.info().sequences);
  return {
    meter, price: terms.price, draining: kept.drainedSinceMs !== null, capacity,
    close: () => journal.close(),
    async serve({ node, engine, identity, sealing, money }) {
      const opened: (() => unknown)[] = [];
      const close = async (): Promise<void> => {
        for (const part of opened.splice(0).reverse()) await part();
      };
      try {
        let inForce = { ...terms, draining: kept.drainedSinceMs !== null };
        const gpus = watchGpus();
        opened.push(() => gpus.close());
        const moneyWatch = paid === null || money === null ? null : watchMoney({
          owner: money.facts['owner'] ?? '', walletAddress: showWallet(paid.wallet.address, paid.network), neededNano: lowGasNano(paid.walletKind), feeNano,
          balance: async (signal) => (await paid.access.account(paid.wallet.address, { signal })).balanceNano, money: () => money.accounts.money(),
        }, clock);
        opened.push(() => moneyWatch?.close());
        const drawn = historyFile(recordPath(invocation, 'node'));
        const monitor = createMonitor({
          version: invocation.context.version, pid: ownProcess().pid, network: settings.text('network') ?? 'local', model: model.fullName, node, engine: () => engine.info(), meter,
          terms: () => ({ price: inForce.price, capacity: capacity(engine) }), identity, sealing: () => sealing.keys(), kept, isDraining: () => inForce.draining, money: moneyWatch, gpus, clock,
          listing: () => listingOf(network, identity, model), earlier: await readHistory(drawn),
        });
        opened.push(() => monitor.close());
        opened.push(keepHistory(drawn, monitor, log));
        const alerting = await openAlerting(settings, invocation, monitor, log);
        opened.push(() => alerting.close());
        const stopped = deferred<null>();
        const control = {
          state: () => monitor.state(), history: () => monitor.history(), stop: () => stopped.resolve(null),
          drain: async ({ keep }: { keep: boolean }) => {
            if (keep) await kept.setDrained(kept.drainedSinceMs ?? clock.now());
            inForce.draining = true;
            node.setDraining(true);
            log.info('drain: it takes nothing new', { running: node.running });
          },
          resume: async () => {
            await kept.setDrained(null);
            inForce.draining = false;
            node.setDraining(false);
            log.info('resume: it takes work again');
          },
          reload: async (): Promise<Reloaded> => {
            const [now, before] = [await settingsNow(invocation), alerting.settings()];
            const next = termsOf(now, flags);
            await alerting.configure(now);
            const all = settingChanges(before, now);
            terms.capacity = next.capacity;
            inForce = { ...inForce, ...next };
            node.setPrice(next.price);
            node.setCapacity(capacity(engine));
            const overruled = flags.price !== undefined && all.some(({ key }) => key === 'node.price') ? ['node.price'] : [];
            const changed = all.filter(({ key }) => RELOADED.has(key) && !overruled.includes(key)).map(({ key, before: was, after }) => (isPrivate(key) ? { key, before: 'hidden', after: 'hidden' } : { key, before: was, after }));
            log.info('settings read anew', { changed: changed.map(({ key }) => key), price: next.price, capacity: capacity(engine) });
            return { changed, overruled, needRestart: all.filter(({ key }) => !RELOADED.has(key)).map(({ key }) => key) };
          },
        };
        const unlisten = invocation.context.onHangup?.(() => {
          control.reload().catch((error: unknown) => log.error('settings could not be read anew, the old ones stay', { reason: asCocoonError(error).message }));
        });
        opened.push(() => unlisten?.());
        const shown = settings.text('node.metrics');
        if (shown !== undefined) {
          const server = await expose(metricsAddress(shown), () => monitor.state(), metrics, log);
          opened.push(() => server.close());
        }
        const admin = await startAdmin(invocation, 'node', { ...nodeAnswers(() => node.states(), control), '/metrics': () => metrics.text(monitor.state()) }, log, nodeActions(control));
        opened.push(() => admin.close());
        if (paid !== null) opened.push(paid.root.onChange(() => warnOfListing(listingOf(network, identity, model), log)));
        const ended = Promise.race([node.ended, stopped.promise]).then((error) => {
          if (error !== null) alerting.tellStopped(error);
          return error;
        });
        return { ended, close };
      } catch (error) {
        await close();
        throw error;
      }
    },
  };
}

const isPrivate = (key: SettingKey): boolean => key === 'node.alert_webhook' || key === 'node.alert_secret';

function termsOf(settings: Settings, flags: { readonly price?: number | undefined }): { price: number; capacity: number | undefined } {
  return { price: flags.price ?? boundedSetting(settings, 'node.price', ...PRICES) ?? 1_000, capacity: boundedSetting(settings, 'node.capacity', ...CAPACITIES) };
}

/** The fee of now; what was known last where the root contract cannot be read. Nothing on a network without contracts. */
function feeOf({ paid }: JoinedNetwork): () => bigint | null {
  let known: bigint | null = paid === null ? 0n : null;
  return () => {
    try {
      if (paid !== null) known = paid.root.current().config.params.workerFeePerTokenNano;
    } catch {
      // Too old to act on; good enough to show.
    }
    return known;
  };
}

type Listing = ReturnType<Parameters<typeof createMonitor>[0]['listing']>;

function listingOf({ paid }: JoinedNetwork, { imageHash }: OwnIdentity, { fullName }: ServedModel): Listing {
  if (paid === null) return { image: 'unknown', model: 'unknown' };
  try {
    const said = (is: boolean): 'listed' | 'not listed' => (is ? 'listed' : 'not listed');
    return {
      image: imageHash === null ? 'unknown' : said(paid.root.current().config.workerHashes.has(Buffer.from(imageHash).toString('hex'))),
      model: said(paid.modelAllowed(fullName)),
    };
  } catch {
    return { image: 'unknown', model: 'unknown' };
  }
}

function warnOfListing({ image, model }: Listing, log: Log): void {
  if (image === 'not listed') log.warn('the root contract does not list this image any more: proxies refuse it from now on');
  if (model === 'not listed') log.warn('the root contract does not list this model any more: nobody will ask for it');
}

function metricsAddress(text: string): { host: string; port: number } {
  try {
    return listenAddress(text);
  } catch (cause) {
    throw new ConfigError('E_CONFIG', `cannot use node.metrics = ${JSON.stringify(text)}: expected HOST:PORT`, { cause, hint: 'run `cocoon config set node.metrics 127.0.0.1:9464`' });
  }
}
