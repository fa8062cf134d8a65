// `cocoon infer --dry-run`: what questions would cost, and who would answer, without sending any of them. A proxy is verified and
// asked for its nodes; nothing is deposited for that.
import { mostCostNano } from '../client/spending.ts';
import { adjustTokens } from '../openai/token-price.ts';
import { toHex } from '../core/bytes.ts';
import { CapacityError, NotFoundError, PolicyError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import { openAsking } from './asking.ts';
import { evidenceOf, listModels, timeBudget, WouldDepositError } from './client.ts';
import { renderTable } from './table-view.ts';
import type { Question } from '../client/chat.ts';
import type { ConnectedProxy } from '../client/connect.ts';
import type { TokenPrice } from '../client/spending.ts';
import type { ModelListing } from '../wire/client-session.ts';
import type { SealTarget } from '../wire/sealed.ts';
import type { Asking, AskingOptions } from './asking.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

/** Bytes of usual text to a token, for the estimate; the bound takes every byte for one. */
const BYTES_PER_TOKEN = 4;

export async function runDryRun(invocation: Invocation, options: AskingOptions, questionsOf: (model: string) => readonly Question[]): Promise<void> {
  const { settings, context: { signal }, out } = invocation;
  const leftMs = timeBudget(settings);
  const asking = await openAsking(invocation, options, { spends: false });
  try {
    const connected = await connect(asking, leftMs, signal);
    const model = connected instanceof WouldDepositError ? options.model ?? settings.text('model') ?? null : await asking.model(leftMs, signal);
    const questions = questionsOf(model ?? 'unknown');
    const plan = planOf(asking, questions);
    if (connected instanceof WouldDepositError) {
      out.result({ model, ...planData(plan), deposit: { amountNano: connected.amountNano.toString() }, proxy: null, nodes: null });
      await out.text(await renderTable(['WHAT', 'VALUE'], [...planRows(plan), ['deposit first', `${formatTon(connected.amountNano)} TON`]]));
      await out.note('nothing was sent. No proxy names its nodes to a client without a deposit; the first question makes it');
    } else {
      const listed = (await listModels(connected, leftMs, signal)).find((each) => each.model === model);
      if (model === null || listed === undefined) throw new NotFoundError('E_NOT_FOUND', `unknown model ${model}`, { hint: 'run `cocoon models list` for the models that are served now' });
      const targets = candidates(await connected.session.sealTargets(model, signal), asking);
      if (listed.activeWorkers === 0 || (asking.target !== undefined && targets.length === 0)) throw new CapacityError('E_NO_NODE', `no node that may answer serves ${model} now`);
      out.result({ model, ...planData(plan), deposit: null, ...evidenceOf(connected), nodes: nodesData(listed, targets) });
      await out.text(await renderTable(['WHAT', 'VALUE'], [['model', model], ...planRows(plan), ['proxy', `${connected.address}, ${connected.peer.evidence} evidence`]]));
      await out.text(await renderTable(['NODE', 'EVIDENCE', 'IMAGE', 'PRICE', 'RUNNING', 'SEALED WITH'], nodeRows(listed, targets)));
      await out.note('nothing was sent');
    }
    if (options.maxSpend !== undefined && plan.mostNano !== null && plan.mostNano > options.maxSpend) {
      throw new PolicyError('E_MAX_SPEND', `this may cost ${formatTon(plan.mostNano)} TON, more than --max-spend ${formatTon(options.maxSpend)} TON`, { hint: 'raise --max-spend, or lower --max-tokens or --max-price' });
    }
  } finally {
    await asking.end();
  }
}

async function connect(asking: Asking, leftMs: () => number, signal: AbortSignal): Promise<ConnectedProxy | WouldDepositError> {
  try {
    return await asking.connect(leftMs(), signal);
  } catch (error) {
    if (error instanceof WouldDepositError) return error;
    throw error;
  }
}

interface Plan {
  readonly questions: number;
  readonly promptTokens: number;
  readonly maxTokens: number;
  /** nanoTON at the network's own price and at the highest that is accepted; null where nobody pays. */
  readonly likelyNano: bigint | null;
  readonly mostNano: bigint | null;
}

function planOf(asking: Asking, questions: readonly Question[]): Plan {
  const price: TokenPrice | null = asking.price();
  let [promptTokens, maxTokens, likely, mostNano] = [0, 0, 0n, 0n];
  for (const question of questions) {
    const bounds = asking.bounds(question);
    const tokens = Math.ceil(textBytes(question) / BYTES_PER_TOKEN);
    promptTokens += tokens;
    maxTokens += question.maxTokens;
    if (price === null) continue;
    likely += adjustTokens(tokens, 1_000, price.multipliers.prompt) + adjustTokens(question.maxTokens, 1_000, price.multipliers.completion);
    mostNano += mostCostNano(bounds, price);
  }
  return { questions: questions.length, promptTokens, maxTokens, likelyNano: price === null ? null : likely * price.perTokenNano, mostNano: price === null ? null : mostNano };
}

const textBytes = ({ prompt, system = '', history = [] }: Question): number => [prompt, system, ...history.map(({ content }) => content)].reduce((sum, text) => sum + Buffer.byteLength(text), 0);

const planData = ({ questions, promptTokens, maxTokens, likelyNano, mostNano }: Plan): { readonly [key: string]: JsonValue } => ({
  questions, estimatedPromptTokens: promptTokens, maxTokens, estimatedCostNano: likelyNano?.toString() ?? null, mostCostNano: mostNano?.toString() ?? null,
});

const planRows = ({ questions, promptTokens, maxTokens, likelyNano, mostNano }: Plan): string[][] => [
  ['questions', String(questions)], ['prompt', `about ${promptTokens} tokens`], ['answer', `at most ${maxTokens} tokens`],
  ...(likelyNano === null || mostNano === null ? [['cost', 'nobody pays on this network']] : [['cost, estimated', `${formatTon(likelyNano)} TON for answers of that length`], ['cost, at most', `${formatTon(mostNano)} TON`]]),
];

/** Those that may be asked, in the proxy's order. */
const candidates = (targets: readonly SealTarget[], { target, maxCoefficient }: Asking): readonly SealTarget[] => targets.filter(({ node, coefficient }) => {
  const isNamed = target?.node === undefined || toHex(node.tlsPublicKey).startsWith(target.node) || toHex(node.imageHash).startsWith(target.node);
  const kind = node.evidence === 'sev-snp' ? 'snp' : node.evidence;
  const isKind = target?.tee === undefined || (target.tee === 'any-tee' ? kind === 'tdx' || kind === 'snp' : kind === target.tee);
  return isNamed && isKind && coefficient <= maxCoefficient;
});

/** `verified`: by this machine. A proxy's own nodes, without sealing, are the proxy's word. */
function nodesData({ workers }: ModelListing, targets: readonly SealTarget[]): JsonValue {
  if (targets.length === 0) return (workers ?? []).map(({ coefficient, activeRequests, maxActiveRequests }) => ({ verified: false, price: coefficient, running: activeRequests, capacity: maxActiveRequests }));
  return targets.map(({ node, model, suite, coefficient, running, capacity }, index) => ({
    verified: true, chosen: index === 0, tlsPublicKey: toHex(node.tlsPublicKey), imageHash: toHex(node.imageHash), evidence: node.evidence, model, suite, price: coefficient, running, capacity,
  }));
}

function nodeRows({ workers }: ModelListing, targets: readonly SealTarget[]): string[][] {
  if (targets.length === 0) return (workers ?? []).map(({ coefficient, activeRequests, maxActiveRequests }) => ['chosen by the proxy', 'by the proxy', '-', `×${coefficient / 1000}`, `${activeRequests} of ${maxActiveRequests}`, '-']);
  return targets.map(({ node, suite, coefficient, running, capacity }, index) => [
    `${toHex(node.tlsPublicKey).slice(0, 16)}…${index === 0 ? ' (first)' : ''}`, node.evidence, `${toHex(node.imageHash).slice(0, 16)}…`, `×${coefficient / 1000}`, `${running} of ${capacity}`, suite,
  ]);
}
