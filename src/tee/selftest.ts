// The tamper test of evidence: changes every field of evidence and collateral, one bit at a time, and judges the result.
// Genuine evidence with any bit changed must be refused; a change that passes is a hole in the verifier, and is reported.
import { AttestationError } from '../core/errors.ts';
import { toHex } from '../core/bytes.ts';
import { certificateFile } from './evidence-file.ts';
import type { CpuPart, EvidenceFile } from './evidence-file.ts';
import { judgeEvidence } from './evidence-file-judge.ts';
import type { FetchedCollateral, JudgeInput } from './evidence-file-judge.ts';
import { fieldsOfQuote, SNP_FIELDS } from './evidence-map.ts';
import type { ByteField } from './evidence-map.ts';

/** A part of the input that is changed on its own. */
interface Target {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Null: one field for all of it. */
  readonly fields: readonly ByteField[] | null;
  /** The same input with other bytes in this place. May throw AttestationError: then it is refused. */
  with(bytes: Uint8Array): Pick<JudgeInput, 'file' | 'fetched'>;
}

/** One changed bit and what became of it. */
export interface Mutation {
  readonly target: string;
  readonly field: string;
  readonly offset: number;
  readonly bit: number;
  readonly refused: boolean;
  /** Name of the check that refused it, or the message of the parser; null when it was accepted. */
  readonly by: string | null;
}

/** `fields`: up to eight bits spread over each field. `bytes`: one bit of every byte. */
export type Thoroughness = 'fields' | 'bytes';

const BITS_PER_FIELD = 8;

/** All mutations, one after the other: judging each takes milliseconds, so the caller decides when to let others run. */
export function* selftest(input: JudgeInput, thoroughness: Thoroughness): Generator<Mutation> {
  for (const target of targetsOf(input)) {
    for (const field of target.fields ?? [{ name: '', offset: 0, length: target.bytes.length }]) {
      for (const { offset, bit } of changes(field, thoroughness)) {
        const bytes = Uint8Array.from(target.bytes);
        bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
        const by = refusalBy(input, () => target.with(bytes));
        yield { target: target.name, field: field.name, offset, bit, refused: by !== null, by };
      }
    }
  }
}

/** First and last byte of a field always, with the lowest and the highest bit; others evenly between them. */
function changes({ offset, length }: ByteField, thoroughness: Thoroughness): { offset: number; bit: number }[] {
  const count = thoroughness === 'bytes' ? length : Math.min(length, BITS_PER_FIELD);
  const list = Array.from({ length: count }, (_, index) => {
    const at = offset + (count === 1 ? 0 : Math.round((index * (length - 1)) / (count - 1)));
    return { offset: at, bit: at % 8 };
  });
  const edges = [{ offset, bit: 0 }, { offset: offset + length - 1, bit: 7 }].filter((edge) => !list.some((one) => one.offset === edge.offset && one.bit === edge.bit));
  return thoroughness === 'bytes' || length === 0 ? list : [...list, ...edges];
}

function refusalBy(input: JudgeInput, change: () => Pick<JudgeInput, 'file' | 'fetched'>): string | null {
  try {
    const { overall, checks } = judgeEvidence({ ...input, ...change() });
    if (overall !== 'fail') return null;
    return checks.find(({ required, result }) => required && result === 'fail')?.name ?? 'verdict';
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    return error.message;
  }
}

function targetsOf({ file, fetched }: JudgeInput): Target[] {
  const targets: Target[] = [];
  if (file.certificate !== null) {
    targets.push({ name: 'certificate', bytes: file.certificate.der, fields: null, with: (bytes) => ({ file: certificateFile(bytes), fetched }) });
  }
  if (file.cpu !== null) targets.push(...cpuTargets(file, file.cpu, fetched));
  if (file.gpu !== null) targets.push(...jsonTargets('GPU bundle', file.gpu.bundle, (bundle) => ({ file: { ...file, gpu: { kind: 'nvidia', bundle: bundle as Record<string, unknown> } }, fetched })));
  if (file.gpu !== null && fetched.nvidia !== undefined) targets.push(...jsonTargets('GPU collateral', fetched.nvidia, (nvidia) => ({ file, fetched: { ...fetched, nvidia } })));
  const { collection } = file;
  if (collection !== null) {
    const names = { publicKey: 'TLS key', nonce: 'nonce', signature: 'freshness signature' } as const;
    for (const name of ['publicKey', 'nonce', 'signature'] as const) {
      targets.push({ name: names[name], bytes: collection[name], fields: null, with: (bytes) => ({ file: { ...file, collection: { ...collection, [name]: bytes } }, fetched }) });
    }
  }
  return targets;
}

function cpuTargets(file: EvidenceFile, cpu: CpuPart, fetched: FetchedCollateral): Target[] {
  const withCpu = (part: CpuPart) => ({ file: { ...file, cpu: part }, fetched });
  switch (cpu.kind) {
    case 'dcap': {
      const given = cpu.collateral ?? fetched.dcap;
      return [
        { name: 'quote', bytes: cpu.quote, fields: fieldsOfQuote(cpu.quote), with: (quote) => withCpu({ ...cpu, quote }) },
        // A copy of the chain in the quote that nobody reads.
        ...jsonTargets('collateral', without(given, 'pck_certificate_chain'), (collateral) => withCpu({ ...cpu, collateral })),
      ];
    }
    case 'sev-snp': {
      const collateral = cpu.collateral ?? fetched.snp ?? null;
      return [
        { name: 'report', bytes: cpu.report, fields: SNP_FIELDS, with: (report) => withCpu({ ...cpu, report }) },
        ...jsonTargets('collateral', collateral, (changed) => withCpu({ ...cpu, collateral: changed as typeof collateral })),
      ];
    }
    // Both are inside a certificate, whose every byte is changed.
    case 'simulated': case 'none': return [];
  }
}

function without(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name));
}

/** Names and statements of form, which say nothing about a machine. */
const UNSIGNED = new Set(['arch', 'id', 'cc_mode', 'dev_tools', 'nonce']);

/** Every text inside a JSON value: hexadecimal by its bytes, base64 by its bytes, other texts by their characters. */
function jsonTargets(name: string, value: unknown, rebuild: (value: unknown) => Pick<JudgeInput, 'file' | 'fetched'>): Target[] {
  if (typeof value === 'string') return [{ name, ...codecOf(value, rebuild), fields: null }];
  if (Array.isArray(value)) return value.flatMap((item: unknown, index) => jsonTargets(`${name}[${index}]`, item, (changed) => rebuild(value.with(index, changed))));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => (UNSIGNED.has(key) ? [] : jsonTargets(`${name}.${key}`, item, (changed) => rebuild({ ...value, [key]: changed }))));
}

function codecOf(text: string, rebuild: (value: unknown) => Pick<JudgeInput, 'file' | 'fetched'>): Pick<Target, 'bytes' | 'with'> {
  if (text.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(text)) return { bytes: Buffer.from(text, 'hex'), with: (bytes) => rebuild(toHex(bytes)) };
  const base64 = Buffer.from(text, 'base64');
  if (text.length > 64 && base64.toString('base64') === text) return { bytes: base64, with: (bytes) => rebuild(Buffer.from(bytes).toString('base64')) };
  return { bytes: Buffer.from(text, 'latin1'), with: (bytes) => rebuild(Buffer.from(bytes).toString('latin1')) };
}
