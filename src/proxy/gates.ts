// Who may connect to the proxy and what they get: the decisions that the wire sessions ask for. Clients need a
// certificate but no evidence; workers need evidence, an allowed image and an allowed model.
import { randomBytes } from 'node:crypto';
import { toHex } from '../core/bytes.ts';
import { NetworkError, RemoteError } from '../core/errors.ts';
import { baseName } from './nodes.ts';
import { relay } from './relay.ts';
import type { CocoonError } from '../core/errors.ts';
import type { WorkerAccount } from './accounts.ts';
import type { Node } from './nodes.ts';
import type { RelayDeps } from './relay.ts';
import type { AdmittedClient, ClientGate } from '../wire/client-acceptor.ts';
import type { AdmittedWorker, WorkerGate, WorkerLink } from '../wire/worker-acceptor.ts';

/** Between two looks whether a connection that is to be closed is idle. */
const IDLE_LOOK_MS = 200;

interface Idle {
  readonly runningRequests: number;
  readonly closed: Promise<unknown>;
  close(reason: CocoonError): void;
}

export function clientGate(deps: RelayDeps): ClientGate {
  return {
    checkOwner: (address) => deps.accounts.checkAddress(address),
    configVersion: () => deps.accounts.configVersion(),
    async admit(hello, link): Promise<AdmittedClient> {
      const account = await deps.accounts.client(hello.ownerAddress);
      return {
        proxy: deps.accounts.proxy,
        clientContractAddress: account.contractAddress,
        secretHash: account.secretHash,
        nonce: randomBytes(8).readBigUInt64LE(),
        signedPayment: account.status().signedPayment,
        async authorize(method, signal) {
          await account.authorize(method, signal);
          closeWhenInactive(deps, account, link);
          return account.status();
        },
        paymentStatus: () => account.status(),
        workerTypes: () => deps.nodes.types(),
        sealOffers: (model, limit) => deps.sealKeys.offers(deps, model, limit),
        sealKey: (keyId) => deps.sealKeys.find(keyId).key,
        run: (request, sink, signal) => relay(deps, account, link, request, sink, signal),
      };
    },
  };
}

/** Closes the connection of an account that takes no new work any more, as soon as nothing runs on it: its peer connects again to what serves now. */
function closeWhenInactive(deps: RelayDeps, account: { isActive(): boolean }, link: Idle): void {
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    clearTimeout(timer);
    if (account.isActive()) return;
    if (link.runningRequests === 0) link.close(new NetworkError('E_CLOSED', 'the contract of this connection takes no new work'));
    else timer = setTimeout(look, IDLE_LOOK_MS);
  };
  const stop = deps.accounts.onInactive(look);
  void link.closed.then(() => {
    clearTimeout(timer);
    stop();
  });
}

const NO_REQUEST = new Uint8Array(32);

/** A node hears of a new signature at once, also while none of its requests ends; one of another maker asks every 10 to 20 seconds. */
function tellSigned(account: WorkerAccount, link: WorkerLink): void {
  if (link.capabilities?.cancellation !== true) return;
  const stop = account.onSigned(() => {
    // A connection that ends asks again when it comes back.
    link.requestPayment({ requestId: NO_REQUEST, ...account.status(), requestTokens: 0n, clientOwner: '' }).catch(() => undefined);
  });
  void link.closed.then(stop);
}

/** What workers may run: decided by the network's registry of images and models. */
export interface WorkerRules {
  imageAllowed(imageHash: Uint8Array): boolean;
  /** Full name: `name@commit:verity`. */
  modelAllowed(model: string): boolean;
}

export function workerGate(deps: RelayDeps, rules: WorkerRules): WorkerGate {
  return {
    checkImage(peer) {
      // The TLS layer has checked the evidence already; the list may have changed since the connection was made.
      if (!rules.imageAllowed(peer.imageHash)) throw new RemoteError(621, `invalid worker image hash ${toHex(peer.imageHash)}`);
    },
    checkModel(model) {
      if (!rules.modelAllowed(model)) throw new RemoteError(621, `model ${model} is not allowed`);
    },
    async admit(hello, link): Promise<AdmittedWorker> {
      deps.accounts.checkAddress(hello.ownerAddress);
      const account = await deps.accounts.worker(hello.ownerAddress);
      const node = deps.nodes.add(hello, link, account);
      void link.closed.then((reason) => {
        deps.nodes.remove(node);
        deps.sealKeys.remove(node);
        deps.log.info('node gone', { node: node.id, model: node.model, reason: reason?.message ?? 'closed' });
      });
      return {
        proxy: deps.accounts.proxy,
        workerContractAddress: account.contractAddress,
        compareBalance: async (claim) => account.compare(claim),
        extendedCompare: (dbTokens, other) => account.extendedCompare(dbTokens, other),
        ready(disabled) {
          node.enabled = !disabled;
          closeWhenInactive(deps, account, link);
          tellSigned(account, link);
          deps.log.info('node ready', { node: node.id, model: node.model, capacity: node.capacity, coefficient: node.coefficient, evidence: link.peer.evidence, enabled: node.enabled });
        },
        enabled(disabled) {
          node.enabled = !disabled;
        },
        coefficient(coefficient) {
          node.coefficient = coefficient;
        },
        paymentStatus: () => account.status(),
        sealKey: (key) => deps.sealKeys.add(node, key, deps.clock.now() / 1000),
        explain: () => explanationFor(deps, node),
        roundTrip: (ms) => deps.chooser.observed({ kind: 'round-trip', node, nowMs: deps.clock.now(), ms }),
      };
    },
  };
}

/** What one node may know of why it was or was not chosen, with bigints as text. */
function explanationFor({ chooser, nodes, clock }: RelayDeps, node: Node): string {
  const view = chooser.viewFor(node, nodes.of(baseName(node.model)) ?? [], clock.now());
  return JSON.stringify(view, (_key, value: unknown) => typeof value === 'bigint' ? value.toString() : value);
}
