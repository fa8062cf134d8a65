// The nodes that are connected now: which model each serves, at what price, how many requests it takes and has. Which of them
// gets a request is decided in routing/.
import { RemoteError } from '../core/errors.ts';
import type { WorkerAccount } from './accounts.ts';
import type { Candidate } from './routing/chooser.ts';
import type { WorkerHello, WorkerLink } from '../wire/worker-acceptor.ts';
import type { WorkerType } from '../wire/peer-info.ts';

const NOT_READY = 651;
/** Model names ever seen, so that "unknown model" and "no workers" can be told apart. Names come from attested nodes only. */
const MAX_KNOWN_MODELS = 10_000;

/** One connection of a node; what the choice of a node sees of it. */
export interface Node extends Candidate {
  readonly link: WorkerLink;
  readonly account: WorkerAccount;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  coefficient: number;
  enabled: boolean;
  running: number;
}

/** The part of a model's name that clients use: before `@`. */
export const baseName = (model: string): string => model.split('@', 1)[0] ?? model;

export class NodeRegistry {
  readonly #byModel = new Map<string, Set<Node>>();
  readonly #byId = new Map<number, Node>();
  #nextId = 1;

  add(hello: WorkerHello, link: WorkerLink, account: WorkerAccount): Node {
    const node: Node = {
      id: this.#nextId,
      key: `${account.ownerAddress} ${hostOf(link.remoteAddress)} ${hello.model}`,
      owner: account.ownerAddress,
      link,
      account,
      model: hello.model,
      // A node that talks to several proxies gives each its share (WIRE.md section 10).
      capacity: Math.ceil(hello.maxActiveRequests / hello.proxyCount),
      coefficient: hello.coefficient,
      enabled: false,
      running: 0,
      get ready() {
        return link.state === 'ready' && account.isActive();
      },
      bondNano: () => account.bondNano(),
    };
    this.#nextId += 1;
    const name = baseName(hello.model);
    let nodes = this.#byModel.get(name);
    if (nodes === undefined) {
      if (this.#byModel.size >= MAX_KNOWN_MODELS) throw new RemoteError(NOT_READY, 'too many models');
      nodes = new Set();
      this.#byModel.set(name, nodes);
    }
    nodes.add(node);
    this.#byId.set(node.id, node);
    return node;
  }

  remove(node: Node): void {
    this.#byModel.get(baseName(node.model))?.delete(node);
    this.#byId.delete(node.id);
  }

  /** All connected nodes. */
  *all(): IterableIterator<Node> {
    for (const nodes of this.#byModel.values()) yield* nodes;
  }

  types(): WorkerType[] {
    return [...this.#byModel].map(([model, nodes]) => ({
      model,
      workers: [...nodes].filter((node) => node.enabled).map((node) => ({
        coefficient: node.coefficient, activeRequests: node.running, maxActiveRequests: node.capacity,
      })),
    }));
  }

  /** Connected nodes of a model by base name; null when none ever served it. */
  of(model: string): ReadonlySet<Node> | null {
    return this.#byModel.get(model) ?? null;
  }

  get(id: number): Node | null {
    return this.#byId.get(id) ?? null;
  }
}

/** "192.0.2.1" of "192.0.2.1:4711". */
const hostOf = (remoteAddress: string): string => remoteAddress.slice(0, Math.max(0, remoteAddress.lastIndexOf(':')));
