// `cocoon config list`: every setting with its value and where the value comes from.
import { SETTINGS, variableOf } from '../core/settings.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

export async function run({ settings, out }: Invocation): Promise<void> {
  const rows = settings.all().map(({ key, value, source }) => ({ key, value, source, variable: variableOf(key), summary: SETTINGS[key].summary }));
  out.result({ file: settings.file, settings: rows });
  await out.text(await renderTable(['SETTING', 'VALUE', 'SOURCE', 'MEANING'], rows.map((row) => [row.key, row.value ?? '-', row.source, row.summary])));
}
