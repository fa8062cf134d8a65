// The nodes that are connected now: which model each serves, at what price, how many requests it takes and has.
import { RemoteError } from '../core/errors.ts';
import type { WorkerAccount } from './accounts.ts';
import type { WorkerHello, WorkerLink } from '../wire/worker-acceptor.ts';
import type { WorkerType } from '../wire/peer-info.ts';

const NOT_READY = 651;
const UNKNOWN_MODEL = 621;
/** Model names ever seen, so that "unknown model" and "no workers" can be told apart. Names come from attested nodes only. */
const MAX_KNOWN_MODELS = 10_000;

export interface Node {
  /** Counts up in the order in which nodes connected. */
  readonly id: number;
  readonly link: WorkerLink;
  readonly account: WorkerAccount;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  /** Requests that this proxy may have at the node at the same time. */
  readonly capacity: number;
  /** Price in thousandths. */
  coefficient: number;
  enabled: boolean;
  running: number;
  /** Value of a counter that grows with each choice; breaks ties in favour of the node that has waited longest. */
  lastChosen: number;
}

/** The part of a model's name that clients use: before `@`. */
export const baseName = (model: string): string => model.split('@', 1)[0] ?? model;

export class NodeRegistry {
  readonly #byModel = new Map<string, Set<Node>>();
  #nextId = 1;
  #choices = 0;

  add(hello: WorkerHello, link: WorkerLink, account: WorkerAccount): Node {
    const node: Node = {
      id: this.#nextId,
      link,
      account,
      model: hello.model,
      // A node that talks to several proxies gives each its share (WIRE.md section 10).
      capacity: Math.ceil(hello.maxActiveRequests / hello.proxyCount),
      coefficient: hello.coefficient,
      enabled: false,
      running: 0,
      lastChosen: 0,
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
    return node;
  }

  remove(node: Node): void {
    this.#byModel.get(baseName(node.model))?.delete(node);
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

  /**
   * The least loaded node that serves `model` (base name) for at most `maxCoefficient`; of equals the one that was chosen
   * longest ago. Throws RemoteError with the texts of WIRE.md section 11 step 3.
   */
  choose(model: string, maxCoefficient: number): Node {
    const nodes = this.#byModel.get(model);
    if (nodes === undefined) throw new RemoteError(UNKNOWN_MODEL, `unknown model ${model}`);
    if (nodes.size === 0) throw new RemoteError(NOT_READY, `no workers for model ${model}`);
    let best: Node | undefined;
    let cheapest: number | undefined;
    for (const node of nodes) {
      if (!node.enabled || node.running >= node.capacity || node.link.state !== 'ready') continue;
      cheapest = Math.min(cheapest ?? node.coefficient, node.coefficient);
      if (node.coefficient <= maxCoefficient && (best === undefined || isBetter(node, best))) best = node;
    }
    if (best !== undefined) {
      this.#choices += 1;
      best.lastChosen = this.#choices;
      return best;
    }
    if (cheapest !== undefined) throw new RemoteError(NOT_READY, `can run this query with coefficient=${cheapest}`);
    throw new RemoteError(NOT_READY, `no ready workers for model ${model}`);
  }
}

function isBetter(a: Node, b: Node): boolean {
  // Compared as a.running / a.capacity < b.running / b.capacity without division.
  const difference = a.running * b.capacity - b.running * a.capacity;
  return difference === 0 ? a.lastChosen < b.lastChosen : difference < 0;
}
