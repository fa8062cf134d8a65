// Compares two policies field by field and says of each difference whether the second policy is weaker or stronger there.
// What is neither (a list with entries gone and others come, another pinned value) is called other.
import { POLICY_SECTIONS } from './policy-fields.ts';
import type { FieldRule, PolicyDocument } from './policy-fields.ts';

export type DiffEffect = 'weaker' | 'stronger' | 'other';

export interface PolicyDifference {
  /** With its section: `tdx.allow_debug`. */
  readonly field: string;
  readonly before: unknown;
  readonly after: unknown;
  /** What the second policy is, compared with the first. */
  readonly effect: DiffEffect;
}

/** Differences in the order of the file; empty when both mean the same. */
export function diffPolicies(before: PolicyDocument, after: PolicyDocument): PolicyDifference[] {
  return POLICY_SECTIONS.flatMap(([section, , fields]) => {
    const valuesOf = (document: PolicyDocument): Readonly<Record<string, unknown>> => (section === '' ? document : document[section]);
    const [first, second] = [valuesOf(before), valuesOf(after)];
    return Object.entries(fields).flatMap(([name, { rule }]): PolicyDifference[] => {
      const [from, to] = [first[name] ?? null, second[name] ?? null];
      const effect = JSON.stringify(from) === JSON.stringify(to) ? null : effectOf(rule, meant(section, name, first), meant(section, name, second));
      return effect === null ? [] : [{ field: section === '' ? name : `${section}.${name}`, before: from, after: to, effect }];
    });
  });
}

/** The two lists of images of a family, where it has both. */
const OTHER_LIST = new Map([['measurements', 'image_hashes'], ['image_hashes', 'measurements']]);

const isEmpty = (list: unknown): boolean => Array.isArray(list) && list.length === 0;

/**
 * The value as it is compared. An empty list of images lets nothing pass, unless images are not judged at all; and of SEV-SNP's two
 * lists, both of which must match where both are given, an empty one leaves it to the other: then it stands for everything.
 */
function meant(section: string, name: string, values: Readonly<Record<string, unknown>>): unknown {
  const value = values[name] ?? null;
  const other = OTHER_LIST.get(name);
  if (other === undefined || !isEmpty(value)) return value;
  const leaves = section === 'sev-snp' && !isEmpty(values[other]);
  return leaves || values['any_measurement'] === true ? null : value;
}

/** Null when both values mean the same. */
function effectOf(rule: FieldRule, from: unknown, to: unknown): DiffEffect | null {
  switch (rule) {
    case 'allow': return ofSets(setOf(from), setOf(to), 'weaker');
    case 'require': return ofSets(setOf(from), setOf(to), 'stronger');
    case 'permit': return ofNumbers(Number(from), Number(to), 'weaker');
    case 'demand': return ofNumbers(Number(from), Number(to), 'stronger');
    case 'maximum': return ofNumbers(from === null ? Infinity : Number(from), to === null ? Infinity : Number(to), 'weaker');
    case 'minimum': return ofMinimum(from, to);
    case 'permitBits': return ofSets(bitsOf(from), bitsOf(to), 'weaker');
    case 'demandBits': return ofSets(bitsOf(from), bitsOf(to), 'stronger');
    case 'pin': {
      if (from === to) return null;
      return from === null ? 'stronger' : to === null ? 'weaker' : 'other';
    }
    case 'required': return from === to ? null : to === 'required' ? 'stronger' : 'weaker';
    case 'exact': return from === to ? null : 'other';
  }
}

const opposite = (effect: 'weaker' | 'stronger'): DiffEffect => (effect === 'weaker' ? 'stronger' : 'weaker');

/** Null stands for everything. */
type Entries = ReadonlySet<string> | null;

const setOf = (value: unknown): Entries => (Array.isArray(value) ? new Set(value.map((item) => JSON.stringify(item))) : null);
function bitsOf(value: unknown): Entries {
  const text = BigInt(String(value)).toString(2);
  return new Set([...text].flatMap((digit, index) => (digit === '1' ? [String(text.length - index)] : [])));
}

function ofSets(from: Entries, to: Entries, whenMore: 'weaker' | 'stronger'): DiffEffect | null {
  if (from === null || to === null) return from === to ? null : to === null ? whenMore : opposite(whenMore);
  const gained = [...to].some((entry) => !from.has(entry));
  const lost = [...from].some((entry) => !to.has(entry));
  if (gained && lost) return 'other';
  return gained ? whenMore : lost ? opposite(whenMore) : null;
}

function ofNumbers(from: number, to: number, whenMore: 'weaker' | 'stronger'): DiffEffect | null {
  return from === to ? null : to > from ? whenMore : opposite(whenMore);
}

/** Numbers, versions such as 1.55.40, and tables of numbers: by their parts, where an absent part demands nothing. */
function ofMinimum(from: unknown, to: unknown): DiffEffect | null {
  if (typeof from === 'string' || typeof to === 'string') return ofNumbers(versionNumber(from), versionNumber(to), 'stronger');
  const [first, second] = [partsOf(from), partsOf(to)];
  const effects = new Set([...new Set([...first.keys(), ...second.keys()])].map((part) => ofNumbers(first.get(part) ?? -1, second.get(part) ?? -1, 'stronger')));
  effects.delete(null);
  const [only, ...more] = effects;
  return only === undefined ? null : more.length > 0 ? 'other' : only;
}

const versionNumber = (version: unknown): number => (typeof version === 'string' ? version.split('.').reduce((value, part) => value * 256 + Number(part), 0) : -1);

function partsOf(value: unknown, prefix = ''): Map<string, number> {
  if (typeof value === 'number') return new Map([[prefix, value]]);
  if (typeof value !== 'object' || value === null) return new Map();
  return new Map(Object.entries(value).flatMap(([name, part]) => [...partsOf(part, `${prefix}.${name}`)]));
}
