// Stacks of get methods over HTTP: what goes in and comes out through TonClient, with a contract compiled for it (stack.ts).
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { beginCell, Cell, contractAddress, external, storeMessage } from '@ton/core';
import type { Address } from '@ton/core';
import { runTolkCompiler } from '@ton/tolk-js';
import { ask, cleanUp, START, start, TON } from './harness.ts';
import type { Started } from './harness.ts';

const SOURCE = `
import "@stdlib/gas-payments"
fun onInternalMessage() {}
fun onExternalMessage() { acceptExternalMessage(); }
get fun echo(n: int, c: cell, s: slice): (int, cell, slice) { return (n, c, s); }
get fun nested(): [int, [int, cell], slice] { return [7, [-8, beginCell().storeUint(9, 8).endCell()], beginCell().storeUint(10, 8).endCell().beginParse()]; }
get fun nothing(): cell? { return null; }
get fun clock(): int { return blockchain.now(); }
get fun endless(): int { var i: int = 0; while (true) { i += 1; } return i; }
get fun fails(): int { throw 777; }
fun nan(): int asm "PUSHNAN"
get fun notANumber(): int { return nan(); }
`;

let chain: Started;
let address: Address;

beforeAll(async () => {
  chain = await start();
  const compiled = await runTolkCompiler({ entrypointFileName: 'echo.tolk', fsReadCallback: () => SOURCE });
  if (compiled.status === 'error') throw new Error(compiled.message);
  const init = { code: Cell.fromBase64(compiled.codeBoc64), data: Cell.EMPTY };
  address = contractAddress(0, init);
  await chain.admin.faucet(address, TON);
  await chain.client.sendFile(beginCell().store(storeMessage(external({ to: address, init, body: Cell.EMPTY }))).endCell().toBoc());
  await chain.admin.tick();
});
afterAll(cleanUp);

describe('runGetMethod', () => {
  it('takes and gives ints of 257 bits, cells and slices', async () => {
    const cell = beginCell().storeUint(1, 1).storeRef(beginCell().storeUint(2, 300).endCell()).endCell();
    const slice = beginCell().storeAddress(address).endCell();
    for (const value of [0n, -1n, 2n ** 256n - 1n, -(2n ** 256n)]) {
      const { stack, gas_used: gas } = await chain.client.runMethod(address, 'echo', [{ type: 'int', value }, { type: 'cell', cell }, { type: 'slice', cell: slice }]);
      expect(stack.readBigNumber()).toBe(value);
      expect(stack.readCell().equals(cell)).toBe(true);
      expect(stack.readAddress().equals(address)).toBe(true);
      expect(gas).toBeGreaterThan(0);
    }
  });

  it('gives tuples in tuples, in the form that TonClient reads', async () => {
    // TonClient gives the items of a tuple bare, not as stack items.
    const item = (await chain.client.runMethod(address, 'nested')).stack.pop();
    expect(item.type).toBe('tuple');
    const [first, [inner, cell], slice] = (item as unknown as { items: [bigint, [bigint, Cell], Cell] }).items;
    expect([first, inner]).toEqual([7n, -8n]);
    expect(cell.beginParse().loadUint(8)).toBe(9);
    expect(slice.beginParse().loadUint(8)).toBe(10);
  });

  it('gives null, and the time of the newest block', async () => {
    expect((await chain.client.runMethod(address, 'nothing')).stack.readCellOpt()).toBeNull();
    expect((await chain.client.runMethod(address, 'clock')).stack.readNumber()).toBe(START);
  });

  it('ends a method without end, and reports thrown codes', async () => {
    const endless = await chain.client.runMethodWithError(address, 'endless');
    expect(endless.exit_code).toBe(-14);
    expect(endless.gas_used).toBeGreaterThan(999_000);
    expect((await chain.client.runMethodWithError(address, 'fails')).exit_code).toBe(777);
  });

  it('refuses results without a form and arguments that are none', async () => {
    await expect(ask(chain.endpoint, 'runGetMethod', { address: address.toString(), method: 'notANumber', stack: [] })).rejects.toThrow('500');
    for (const stack of [[['num', 'x']], [['num', `0x1${'0'.repeat(64)}`]], [['tvm.Cell', 'AAAA']], [['tvm.Continuation', '']], [['num']], 'stack', [['num', 1.5]], [['tvm.Cell', 5]]]) {
      await expect(ask(chain.endpoint, 'runGetMethod', { address: address.toString(), method: 'echo', stack })).rejects.toThrow('422');
    }
    expect(await ask(chain.endpoint, 'runGetMethod', { address: address.toString(), method: 'echo', stack: [['num', '-0xff'], ['cell', Cell.EMPTY.toBoc().toString('base64')], ['slice', Cell.EMPTY.toBoc().toString('base64')]] })).toMatchObject({ exit_code: 0, stack: [['num', '-0xff'], ['cell', {}], ['slice', {}]] });
  });
});
