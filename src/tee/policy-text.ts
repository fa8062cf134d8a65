// Writes a policy as a TOML file with a comment above each field. What it writes is read back by policy-file.ts as the same
// policy; comments of a file that it replaces are lost.
import { POLICY_SECTIONS } from './policy-fields.ts';
import type { PolicyDocument } from './policy-fields.ts';

const HEADER = `# What cocoon demands of attestation evidence. Every field below has its strict value unless you change it;
# a field that is removed has it, too, and an unknown field is an error.
version = 1
`;

/** The text of a policy file. Fields without a value (null) are written as comments. */
export function policyToml(document: PolicyDocument): string {
  const parts = POLICY_SECTIONS.map(([section, about, fields]) => {
    const values: Readonly<Record<string, unknown>> = section === '' ? document : document[section];
    const lines = Object.entries(fields).map(([name, { comment }]) => {
      const value = values[name];
      return `# ${comment}\n${value === null ? `# ${name} = (not set)` : `${name} = ${tomlValue(value)}`}\n`;
    });
    return `${section === '' ? '' : `# ${about}\n[${section}]\n\n`}${lines.join('\n')}`;
  });
  return `${HEADER}\n${parts.join('\n')}`;
}

/** Values of a document: texts, numbers, flags, lists and tables without null inside. */
function tomlValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return listValue(value.map(tomlValue));
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== null && member !== undefined);
    return members.length === 0 ? '{}' : `{ ${members.map(([name, member]) => `${name} = ${tomlValue(member)}`).join(', ')} }`;
  }
  throw new TypeError(`expected a value of a policy, got ${typeof value}`);
}

const ONE_LINE = 100;

function listValue(items: readonly string[]): string {
  const line = `[${items.join(', ')}]`;
  return line.length <= ONE_LINE ? line : `[\n${items.map((item) => `  ${item},\n`).join('')}]`;
}
