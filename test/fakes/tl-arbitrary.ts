// Random well-formed TL objects of the whole schema, for property tests. Ids are drawn from a few, so that they meet.
import fc from 'fast-check';
import type { TlPacket } from '../../src/wire/connection.ts';
import { DECLARATIONS, encodeBoxed } from '../../src/wire/tl/codec.ts';
import type { TlDeclaration, TlField, TlType } from '../../src/wire/tl/declarations.ts';

const HTTP_RESPONSE = encodeBoxed({ _: 'http.response', http_version: 'HTTP/1.1', status_code: 200, reason: 'OK', headers: [], payload: new Uint8Array(3) });

const declarations = DECLARATIONS.filter(({ name }) => !name.includes('@'));
const byName = new Map(declarations.map((one) => [one.name, one]));

function valueOf(type: TlType): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case '#': return fc.integer({ min: 0, max: 7 });
    case 'int': return fc.oneof(fc.integer({ min: -2, max: 5 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
    case 'long': return fc.oneof(fc.bigInt({ min: -2n, max: 5n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
    case 'double': return fc.double();
    case 'int128': return fc.uint8Array({ minLength: 16, maxLength: 16 });
    case 'int256': return fc.integer({ min: 0, max: 4 }).map((byte) => new Uint8Array(32).fill(byte));
    case 'string': return fc.string({ maxLength: 20 });
    case 'bytes': return fc.oneof(fc.constant(HTTP_RESPONSE), fc.uint8Array({ maxLength: 40 }));
    case 'Bool': return fc.boolean();
    case 'vector': return fc.array(valueOf(type.item), { maxLength: 3 });
    case 'bare': {
      const declaration = byName.get(type.constructor);
      return declaration === undefined ? fc.constant(null) : objectOf(declaration);
    }
    case 'boxed': return fc.oneof(...declarations.filter((one) => !one.isFunction && one.type === type.type).map(objectOf));
  }
}

/** Flags decide which of the conditional fields are there. */
function objectOf({ name, fields }: TlDeclaration): fc.Arbitrary<Record<string, unknown>> {
  const values = Object.fromEntries(fields.map((field: TlField) => [field.name, valueOf(field.type)]));
  return fc.record(values).map((object) => Object.fromEntries([['_', name], ...fields
    .filter(({ condition }) => condition === null || ((object[condition.flags] as number) & (1 << condition.bit)) !== 0)
    .map((field) => [field.name, object[field.name]])]));
}

const RELEVANT = /^(client|worker|proxy|http|test)\./;
const chosen = (isFunction: boolean) => declarations.filter((one) => one.isFunction === isFunction && RELEVANT.test(one.name)).map(objectOf);

/** Anything that may come in a `tcp.packet`. */
export const anyPacket = fc.oneof(...chosen(false), ...chosen(true)) as unknown as fc.Arbitrary<TlPacket>;
/** Anything that may come in a `tcp.query`. */
export const anyFunction = fc.oneof(...chosen(true)) as unknown as fc.Arbitrary<TlPacket>;
