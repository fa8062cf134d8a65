// Chain: would the network accept this image and this model, is there gas in the hot wallet, is the cold owner known, what do
// proxies owe, what is at stake. Asked with the same code as `node start`, in seconds instead of after a boot.
import { formatTon } from '../../core/units.ts';
import { NetworkError } from '../../core/errors.ts';
import { fail, info, pass, skip } from './check.ts';
import type { Check, Examined, Outcome } from './check.ts';

const ZERO = 0n;

async function root({ chain, signal }: Examined): Promise<Outcome> {
  if (chain.unusable !== null) {
    const others = chain.attested ? [] : ['or look at this machine for the real network: cocoon node doctor --network mainnet'];
    return fail(chain.unusable.reason, { wanted: `network ${chain.name}`, cause: 'nothing can be asked of this network', fix: [chain.unusable.fix, ...others] });
  }
  try {
    const { version, proxies } = await chain.root(signal);
    return pass(`${chain.name}, ${chain.paid ? `root contract version ${version}` : 'without contracts'}, ${proxies.length} ${proxies.length === 1 ? 'proxy' : 'proxies'}`);
  } catch (error) {
    if (signal.aborted || !(error instanceof NetworkError)) throw error;
    return skip(error.message, ['mend what the lines on name servers and TON endpoints say first']);
  }
}

async function image(examined: Examined): Promise<Outcome | null> {
  const { chain, signal } = examined;
  if (!chain.paid) return null;
  let imageHash: string;
  try {
    ({ imageHash } = await chain.evidence(signal));
  } catch (error) {
    if (signal.aborted) throw error;
    return skip('it is in the evidence of this guest, and there is none');
  }
  const { workerImages } = await chain.root(signal);
  if (workerImages.includes(imageHash)) return pass(imageHash);
  return fail(imageHash, { wanted: `one of the ${workerImages.length} images that network ${chain.name} allows for workers`, cause: 'proxies refuse nodes that run another image', fix: [`send the hash and how to reproduce the image to the owner of the network, who runs: cocoon network allow worker ${imageHash} --network ${chain.name}`, 'or boot an image that is listed: cocoon network show'] });
}

async function model({ chain, signal }: Examined): Promise<Outcome | null> {
  if (!chain.paid) return null;
  const chosen = await chain.model(signal);
  if (chosen === null) return info('none was named (--model)');
  const { modelHashes } = await chain.root(signal);
  if (modelHashes.includes(chosen.hash)) return pass(chosen.fullName);
  return fail(chosen.fullName, { wanted: `one of the ${modelHashes.length} models that network ${chain.name} lists`, cause: 'proxies refuse nodes that serve another model', fix: [`send the full name to the owner of the network, who runs: cocoon network allow model ${chosen.hash} --network ${chain.name}`] });
}

async function wallet({ chain, signal }: Examined): Promise<Outcome | null> {
  if (!chain.paid) return null;
  const { label, balanceNano, neededNano, fill } = await chain.wallet(signal);
  const seen = `${label} holds ${formatTon(balanceNano)} TON`;
  return balanceNano >= neededNano ? pass(seen) : fail(seen, { wanted: `at least ${formatTon(neededNano)} TON`, cause: `fees cannot be paid; ${formatTon(neededNano - balanceNano)} TON are missing`, fix: [fill] });
}

async function owner({ chain, signal }: Examined): Promise<Outcome | null> {
  return chain.paid ? pass(await chain.owner(signal)) : null;
}

async function contracts({ chain, signal }: Examined): Promise<Outcome | null> {
  if (!chain.paid) return null;
  const owed = await chain.owed(signal);
  if (owed === null) return info('none yet: a worker contract is made when a proxy has signed enough');
  const seen = `${owed.proxies} ${owed.proxies === 1 ? 'proxy has' : 'proxies have'} signed, ${formatTon(owed.unclaimedNano)} TON not claimed`;
  return info(owed.unclaimedNano > ZERO ? `${seen}: cocoon wallet claim` : seen);
}

async function stake({ chain, signal }: Examined): Promise<Outcome | null> {
  if (!chain.paid) return null;
  const nano = await chain.stake(signal);
  return info(nano === null ? 'none: proxies may prefer operators that have one (cocoon stake add)' : `${formatTon(nano)} TON`);
}

async function running({ chain }: Examined): Promise<Outcome> {
  const state = await chain.running();
  return info(state ?? 'no node of this home directory runs');
}

export const CHAIN: readonly Check[] = [
  { id: 'root', title: 'network', run: root },
  { id: 'image', title: 'image', roles: ['guest'], attestationOnly: true, run: image },
  { id: 'model', title: 'model', roles: ['guest', 'bare'], run: model },
  { id: 'wallet', title: 'hot wallet', roles: ['guest', 'bare'], run: wallet },
  { id: 'owner', title: 'owner', roles: ['guest', 'bare'], run: owner },
  { id: 'payments', title: 'worker contracts', roles: ['guest', 'bare'], required: false, run: contracts },
  { id: 'stake', title: 'stake', roles: ['guest', 'bare'], required: false, run: stake },
  { id: 'running', title: 'node', required: false, run: running },
];
