// Network: the clock, each TON endpoint with latency and lag, the proxies, and the services that give collateral. All at once, each
// with its own bound, so that the whole ends in seconds.
import { fail, info, pass, skip } from './check.ts';
import { asCocoonError } from '../../core/errors.ts';
import { isName } from './names.ts';
import type { Check, Examined, NamedOutcome, Outcome } from './check.ts';

const LIMIT_MS = 5_000;
const MAX_PROXIES = 16;
/** Chain time behind this machine's clock from which an endpoint is behind. Blocks come every few seconds. */
const MAX_LAG_S = 60;
/** Certificates and quotes are judged by time; peers refuse what is from the future. */
const MAX_CLOCK_ERROR_S = 60;

const bounded = ({ signal }: Examined): AbortSignal => AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]);
const reasonOf = (error: unknown): string => asCocoonError(error).message;

/** Every name that other checks ask something of; their lines say what each lacks. */
async function names({ chain, network, facts, role }: Examined): Promise<Outcome | null> {
  if (!chain.attested || chain.unusable !== null) return null;
  const urls = [...chain.endpoints.map(({ name }) => name), ...role === 'bare' ? [] : chain.services(facts.tee ?? facts.cpu.confidential?.tee ?? 'tdx', true).map(({ url }) => url)];
  const hosts = [...new Set(urls.map((url) => new URL(url).hostname))].filter(isName);
  if (hosts.length === 0) return null;
  const answers = await Promise.all(hosts.map((host) => network.resolve(host).then(() => null, reasonOf)));
  const reasons = answers.filter((reason) => reason !== null);
  if (reasons.length === 0) return pass(hosts.join(', '));
  if (reasons.length < hosts.length) return info(reasons.join('; '));
  return fail(reasons[0] ?? '', {
    wanted: 'an address of each host', cause: 'this machine has no connection to the outside, or its name servers do not answer',
    fix: ['look at the name servers: resolvectl status, or cat /etc/resolv.conf', ...facts.container === null ? [] : ['a container has those of its host unless told otherwise: docker run --dns ADDRESS']],
  });
}

async function endpoints(examined: Examined): Promise<NamedOutcome[]> {
  const { chain, nowMs } = examined;
  if (!chain.paid) return [];
  const answers = await Promise.all(chain.endpoints.map(async ({ name, ask }) => {
    try {
      return { name, block: await ask(bounded(examined)) };
    } catch (error) {
      return { name, reason: reasonOf(error) };
    }
  }));
  const best = Math.max(0, ...answers.map(({ block }) => block?.timeS ?? 0));
  const reached = answers.filter(({ block }) => block !== undefined).length;
  return answers.map(({ name, block, reason }): NamedOutcome => {
    if (block === undefined) {
      return { name, ...fail(reason ?? 'no answer', { wanted: 'an answer within 5 s', cause: reached === 0 ? 'no endpoint of the network can be reached from here' : 'this endpoint is down, overloaded, or wants an API key', fix: ['check the network of this machine: DNS, firewall, proxy', `use another one: cocoon network add ${chain.name} --endpoint URL --replace`, ...reached === 0 ? [] : ['an API key raises the limits of public endpoints']] }) };
    }
    const lag = Math.max(0, Math.round(Math.max(best, nowMs() / 1000) - block.timeS));
    const seen = `${block.tookMs} ms, block ${block.seqno}, ${lag} s behind`;
    return { name, ...(lag <= MAX_LAG_S ? pass(seen) : fail(seen, { wanted: `at most ${MAX_LAG_S} s behind`, cause: best - block.timeS > MAX_LAG_S ? 'this endpoint is behind the others' : 'the endpoint is behind, or the clock of this machine is ahead', fix: ['use another endpoint', 'check the clock: timedatectl'] })) };
  });
}

async function proxies(examined: Examined): Promise<Outcome | NamedOutcome[] | null> {
  const { chain, network, signal } = examined;
  if (chain.unusable !== null) return null;
  let all: Awaited<ReturnType<typeof chain.root>>['proxies'];
  try {
    ({ proxies: all } = await chain.root(signal));
  } catch (error) {
    if (signal.aborted) throw error;
    return skip('the list of proxies, which is in the root contract, could not be read');
  }
  const list = all.slice(0, MAX_PROXIES);
  if (list.length === 0) return fail('the network lists no proxy', { wanted: 'at least one', cause: 'nobody would send work here', fix: ['ask the owner of the network: cocoon network register-proxy'] });
  const tried = await Promise.all(list.map(async ({ host, port }): Promise<NamedOutcome & { readonly reached: boolean }> => {
    const name = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    try {
      return { name, reached: true, ...pass(`${await network.reach(host, port, bounded(examined))} ms`) };
    } catch (error) {
      return { name, reached: false, ...fail(reasonOf(error), { wanted: 'a connection', cause: 'the proxy is down, or this machine may not connect to it', fix: ['allow outgoing TCP to this address', 'nodes connect out: no port has to be opened here'] }) };
    }
  }));
  const any = tried.some(({ reached }) => reached);
  // One proxy is enough to serve: the others are told, not held against this machine.
  return tried.map(({ reached, ...outcome }) => (reached || !any ? outcome : { ...outcome, status: 'INFO' }));
}

async function services(examined: Examined): Promise<NamedOutcome[]> {
  const { chain, network, facts, role } = examined;
  const tee = facts.tee ?? facts.cpu.confidential?.tee;
  if (tee === undefined || role === 'bare') return [];
  return Promise.all(chain.services(tee, facts.driverGpus.length > 0 || facts.gpus.length > 0).map(async ({ what, url, setting }): Promise<NamedOutcome> => {
    try {
      const { status, tookMs } = await network.ask(url, bounded(examined));
      return { name: what, ...(status < 500 ? pass(`${new URL(url).host} answers in ${tookMs} ms`) : fail(`HTTP status ${status} from ${new URL(url).host}`, { wanted: 'an answer', cause: 'the service is down', fix: ['try again later'] })) };
    } catch (error) {
      return { name: what, ...fail(reasonOf(error), { wanted: 'an answer within 5 s', cause: 'peers cannot be judged, and evidence cannot be completed, without what this service gives', fix: [`allow outgoing HTTPS to ${new URL(url).host}`, `or name another: cocoon config set ${setting} URL`] }) };
    }
  }));
}

async function clock(examined: Examined): Promise<Outcome> {
  const { chain, network, nowMs, facts, role } = examined;
  if (!chain.attested) return info('not compared: a local network needs no clock');
  const asked = [...chain.endpoints.map(({ name }) => name), ...chain.services(facts.tee ?? 'tdx', role !== 'bare').map(({ url }) => url)];
  const errors = (await Promise.allSettled(asked.map(async (url) => {
    const began = nowMs();
    const { dateMs } = await network.ask(url, bounded(examined));
    if (dateMs === null) throw new Error('no date');
    // The header has whole seconds: the middle of it, against the middle of the request.
    return Math.round((began + (nowMs() - began) / 2 - (dateMs + 500)) / 1000);
  }))).flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])).sort((a, b) => a - b);
  const error = errors[Math.floor(errors.length / 2)];
  if (error === undefined) return skip('no service told the time', ['timedatectl says whether it is synchronized']);
  const seen = error === 0 ? 'right to the second' : `${Math.abs(error)} s ${error > 0 ? 'ahead' : 'behind'}`;
  return Math.abs(error) <= MAX_CLOCK_ERROR_S ? pass(seen) : fail(seen, { wanted: `within ${MAX_CLOCK_ERROR_S} s`, cause: 'certificates, collateral and signatures are judged by time', fix: ['timedatectl set-ntp true'] });
}

export const NETWORK: readonly Check[] = [
  { id: 'names', title: 'name servers', run: names },
  { id: 'clock', title: 'clock', run: clock },
  { id: 'endpoint', title: 'TON endpoint', run: endpoints },
  { id: 'proxy', title: 'proxy', roles: ['guest', 'bare'], run: proxies },
  { id: 'service', title: 'collateral', attestationOnly: true, run: services },
];
