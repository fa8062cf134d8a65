// `cocoon models list`: the models that nodes serve now, with price and load, as the proxy lists them; with --local those of this
// machine, with what holds them.
import { bytesText } from '../node/doctor/check.ts';
import { openRegistry } from '../node/models/registry.ts';
import { connectAsClient, evidenceOf, listModels, timeBudget } from './client.ts';
import { entryData, sizeOf } from './models.ts';
import { declarePaying } from './paying.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declarePaying(command);
  command.option('--local', 'the models of this machine instead');
}

export async function run(invocation: Invocation): Promise<void> {
  if (invocation.options['local'] === true) return listLocal(invocation);
  const { context, settings, out } = invocation;
  const leftMs = timeBudget(settings);
  const proxy = await connectAsClient(invocation, leftMs);
  try {
    const models = await listModels(proxy, leftMs, context.signal);
    const rows = models.map(({ model, activeWorkers, minCoefficient, workers }) => ({
      model, nodes: activeWorkers, price: minCoefficient,
      running: workers?.reduce((sum, worker) => sum + worker.activeRequests, 0) ?? null,
      capacity: workers?.reduce((sum, worker) => sum + worker.maxActiveRequests, 0) ?? null,
    }));
    out.result({ models: rows, ...evidenceOf(proxy) as object });
    await out.text(await renderTable(['MODEL', 'NODES', 'FROM PRICE', 'RUNNING', 'CAPACITY'], rows.map((row) =>
      [row.model, row.nodes, row.price === null ? '-' : `×${row.price / 1000}`, row.running ?? '-', row.capacity ?? '-'].map(String))));
  } finally {
    await proxy.end();
  }
}

async function listLocal({ settings, out }: Invocation): Promise<void> {
  const registry = openRegistry(settings.home);
  const models = await Promise.all((await registry.list()).map(async (entry) => ({ entry, users: await registry.users(entry) })));
  out.result({ models: models.map(({ entry, users }) => ({ ...entryData(entry), usedBy: users })) });
  await out.text(await renderTable(['MODEL', 'SIZE', 'IN USE BY', 'FULL NAME', 'FROM'], models.map(({ entry, users }) =>
    [entry.name, bytesText(sizeOf(entry)), users.length === 0 ? '-' : users.join(' '), entry.fullName, entry.source])));
}
