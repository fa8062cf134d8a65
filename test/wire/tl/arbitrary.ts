// Arbitrary TL objects of the schema, for property tests: every field by its type, flags that agree with what is present.
import fc from 'fast-check';
import { DECLARATIONS } from '../../../src/wire/tl/codec.ts';
import type { TlDeclaration, TlField, TlType } from '../../../src/wire/tl/declarations.ts';
import type { TlFunction, TlObject } from '../../../src/wire/tl/types.ts';

const byName = new Map(DECLARATIONS.map((declaration) => [declaration.name, declaration]));
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
/** Lengths on both sides of the short length form, and small ones. */
const byteLength = fc.oneof({ weight: 9, arbitrary: fc.nat(40) }, { weight: 1, arbitrary: fc.integer({ min: 250, max: 260 }) });
const fixed = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

function ofType(type: TlType): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case '#': return fc.nat(2 ** 31 - 1);
    case 'int': return int32;
    case 'long': return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    // A NaN keeps its meaning but not its payload bits.
    case 'double': return fc.double({ noNaN: true });
    case 'int128': return fixed(16);
    case 'int256': return fixed(32);
    case 'string': return fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), byteLength.map((length) => 'x'.repeat(length)));
    case 'bytes': return byteLength.chain(fixed);
    case 'Bool': return fc.boolean();
    case 'vector': return fc.array(ofType(type.item), { maxLength: 4 });
    case 'bare': return ofDeclaration(byName.get(type.constructor)!);
    case 'boxed': return fc.oneof(...DECLARATIONS.filter((one) => one.type === type.type && !one.isFunction).map(ofDeclaration));
  }
}

function ofDeclaration({ name, fields }: TlDeclaration): fc.Arbitrary<Record<string, unknown>> {
  const all = fc.record(Object.fromEntries(fields.map((field) => [field.name, ofType(field.type)])), { noNullPrototype: true });
  return all.map((values) => {
    const object: Record<string, unknown> = { _: name };
    for (const field of fields) if (isPresent(field, values)) object[field.name] = values[field.name];
    return object;
  });
}

const isPresent = ({ condition }: TlField, values: Record<string, unknown>): boolean =>
  condition === null || ((values[condition.flags] as number) & (1 << condition.bit)) !== 0;

export const tlObject: fc.Arbitrary<TlObject | TlFunction> =
  fc.oneof(...DECLARATIONS.map(ofDeclaration)) as fc.Arbitrary<unknown> as fc.Arbitrary<TlObject | TlFunction>;
