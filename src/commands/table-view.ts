// Plain tables for people: aligned columns without borders, so that grep and awk work on them too.
import { printable } from './output.ts';

export async function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const none = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' };
  const table = new Table({ head: [...header], chars: none, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } });
  table.push(...rows.map((row) => row.map(printable)));
  return `${table.toString().split('\n').map((line) => line.trimEnd()).join('\n')}\n`;
}
