// `cocoon models list`: the models that nodes serve now, with price and load, as the proxy lists them.
import { connectAsClient, evidenceOf, listModels, timeBudget } from './client.ts';
import { declarePaying } from './paying.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declarePaying(command);
}

export async function run(invocation: Invocation): Promise<void> {
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
