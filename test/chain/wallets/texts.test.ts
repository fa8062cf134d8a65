import { Address, beginCell, Cell, comment, SendMode } from '@ton/core';
import { describe, expect, it } from '@jest/globals';
import { formatAddress, parseAddress } from '../../../src/chain/wallets/address-text.ts';
import { MAINNET, TESTNET } from '../../../src/chain/wallets/network.ts';
import { checkFunds, summaryOf, transferOf } from '../../../src/chain/wallets/transfer.ts';
import { parseUnsigned, transferLink, unsignedTransaction } from '../../../src/chain/wallets/unsigned.ts';

const LOCAL = { name: 'local', globalId: 4711, testOnly: false };
const address = new Address(0, Buffer.alloc(32, 0x5a));
const TON = 10n ** 9n;
/** Objects with addresses as text: two Address objects are never deeply equal. */
const plain = (value: object): object => Object.fromEntries(Object.entries(value).map(([key, each]) => [key, Address.isAddress(each) ? each.toRawString() : each as unknown]));
const raw = address.toRawString();

describe('parseAddress', () => {
  it('takes raw addresses everywhere, without an opinion on bouncing', () => {
    for (const network of [MAINNET, TESTNET, LOCAL]) {
      expect(plain(parseAddress(raw, network))).toEqual({ address: raw, bounceable: null });
      expect(parseAddress(`-1:${'AB'.repeat(32)}`, network).address.workChain).toBe(-1);
    }
  });

  it.each([[true, true], [true, false], [false, true], [false, false]])('takes friendly ones: urlSafe %s, bounceable %s', (urlSafe, bounceable) => {
    expect(plain(parseAddress(address.toString({ urlSafe, bounceable }), MAINNET))).toEqual({ address: raw, bounceable });
    expect(plain(parseAddress(address.toString({ urlSafe, bounceable, testOnly: true }), TESTNET))).toEqual({ address: raw, bounceable });
    for (const testOnly of [true, false]) expect(plain(parseAddress(address.toString({ urlSafe, bounceable, testOnly }), LOCAL))).toEqual({ address: raw, bounceable });
  });

  it('refuses an address of the other public network, in words', () => {
    expect(() => parseAddress(address.toString(), TESTNET)).toThrow(expect.objectContaining({
      code: 'E_WRONG_NETWORK', exitCode: 2, message: expect.stringMatching(/is an address of mainnet, the network in use is testnet/), hint: expect.stringContaining(address.toRawString()),
    }));
    expect(() => parseAddress(address.toString({ testOnly: true }), MAINNET)).toThrow(expect.objectContaining({
      code: 'E_WRONG_NETWORK', message: expect.stringMatching(/is a testnet address, the network in use is mainnet/),
    }));
  });

  it('refuses every single changed character', () => {
    const text = address.toString();
    for (let at = 0; at < text.length; at += 1) {
      const other = text[at] === 'A' ? 'B' : 'A';
      expect(() => parseAddress(text.slice(0, at) + other + text.slice(at + 1), MAINNET)).toThrow(expect.objectContaining({ exitCode: 2 }));
    }
  });

  it.each(['', 'me', `1:${'ab'.repeat(32)}`, `0:${'ab'.repeat(31)}`, `0:${'ab'.repeat(32)} `, 'E'.repeat(48), `${'E'.repeat(47)}\u00e9`, 'x'.repeat(10_000)])('refuses %j', (text) => {
    expect(() => parseAddress(text, MAINNET)).toThrow(expect.objectContaining({ code: 'E_ADDRESS', exitCode: 2 }));
    try {
      parseAddress(text, MAINNET);
    } catch (error) {
      expect((error as Error).message.length).toBeLessThan(150);
    }
  });

  it('refuses a workchain that does not exist, with a checksum that fits', () => {
    expect(() => parseAddress(new Address(5, address.hash).toString(), MAINNET)).toThrow(expect.objectContaining({ code: 'E_ADDRESS', message: expect.stringContaining('workchain 5') }));
  });
});

describe('formatAddress', () => {
  it('marks testnet addresses, and reads back', () => {
    expect(formatAddress(address, MAINNET, false).slice(0, 1)).toBe('U');
    expect(formatAddress(address, MAINNET, true).slice(0, 1)).toBe('E');
    expect(formatAddress(address, TESTNET, true).slice(0, 1)).toBe('k');
    expect(plain(parseAddress(formatAddress(address, TESTNET, false), TESTNET))).toEqual({ address: raw, bounceable: false });
  });
});

describe('transferOf', () => {
  it('carries value, bounce flag and comment', () => {
    const message = transferOf({ to: address, valueNano: 5n, bounce: true, body: 'thanks' });
    expect(plain(summaryOf(message))).toEqual({ to: raw, valueNano: 5n, all: false });
    expect(message.mode).toBe(SendMode.PAY_GAS_SEPARATELY);
    const all = transferOf({ to: address, valueNano: 'all', bounce: false });
    expect([plain(summaryOf(all)), all.mode]).toEqual([{ to: raw, valueNano: 0n, all: true }, SendMode.CARRY_ALL_REMAINING_BALANCE]);
  });

  it('refuses nothing, less than nothing and long comments', () => {
    for (const valueNano of [0n, -1n]) expect(() => transferOf({ to: address, valueNano, bounce: false })).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    expect(() => transferOf({ to: address, valueNano: 1n, bounce: false, body: '\u00fc'.repeat(257) })).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    transferOf({ to: address, valueNano: 1n, bounce: false, body: '\u00fc'.repeat(256) });
  });
});

describe('checkFunds', () => {
  const messages = [transferOf({ to: address, valueNano: TON, bounce: false }), transferOf({ to: address, valueNano: 2n * TON, bounce: false })];
  const base = { feesNano: TON / 100n, minBalanceNano: 0n, messages };

  it('passes at exactly enough and names what is missing at one nanoTON less', () => {
    checkFunds({ ...base, balanceNano: 3_010_000_000n });
    expect(() => checkFunds({ ...base, balanceNano: 3_009_999_999n })).toThrow(expect.objectContaining({ code: 'E_FUNDS', exitCode: 8, message: expect.stringContaining('0.000000001 TON are missing') }));
  });

  it('asks only for fees when everything is sent', () => {
    const all = [transferOf({ to: address, valueNano: 'all', bounce: false })];
    checkFunds({ ...base, messages: all, balanceNano: TON / 100n });
    expect(() => checkFunds({ ...base, messages: all, balanceNano: TON / 100n - 1n })).toThrow(expect.objectContaining({ code: 'E_FUNDS' }));
  });

  it('keeps the minimum of the Cocoon wallet: exactly 2 TON and fees are not enough', () => {
    const one = [transferOf({ to: address, valueNano: 1n, bounce: false })];
    const cocoon = { ...base, messages: one, minBalanceNano: 2n * TON };
    checkFunds({ ...cocoon, balanceNano: 2_010_000_001n });
    expect(() => checkFunds({ ...cocoon, balanceNano: 2_010_000_000n })).toThrow(expect.objectContaining({ code: 'E_FUNDS', message: expect.stringMatching(/more than 2 TON and fees: 0\.000000001 TON are missing/) }));
  });
});

describe('unsignedTransaction', () => {
  const code = beginCell().storeUint(1, 8).endCell();
  const messages = [
    transferOf({ to: address, valueNano: TON, bounce: true, body: 'hello' }),
    transferOf({ to: address, valueNano: 2n * TON, bounce: false, init: { code, data: code } }),
  ];
  const unsigned = unsignedTransaction({ from: address, network: TESTNET, validUntil: 1_800_000_000, messages });

  it('reads back to the same messages', () => {
    const parsed = parseUnsigned(JSON.stringify(unsigned), TESTNET);
    expect(parsed.from.equals(address)).toBe(true);
    expect(parsed.validUntil).toBe(1_800_000_000);
    expect(parsed.messages.map(({ mode, message }) => [mode, message.hash().toString('hex')])).toEqual(messages.map(({ mode, message }) => [mode, message.hash().toString('hex')]));
  });

  it('shows what the messages say', () => {
    expect(unsigned.messages.map(({ to, amountNano, body, stateInit }) => [to.slice(0, 1), amountNano, body === null, stateInit === null])).toEqual([
      ['k', '1000000000', false, true], ['0', '2000000000', true, false],
    ]);
    expect(Cell.fromBase64(unsigned.messages[0]?.body ?? '').equals(comment('hello'))).toBe(true);
  });

  it('refuses a file whose fields say something else than the message', () => {
    for (const change of [{ amountNano: '1' }, { to: formatAddress(new Address(0, Buffer.alloc(32, 1)), TESTNET, true) }, { body: null }, { mode: 128 }]) {
      const forged = { ...unsigned, messages: [{ ...unsigned.messages[0], ...change }] };
      const parse = (): unknown => parseUnsigned(JSON.stringify(forged), TESTNET);
      if ('mode' in change) expect(parse()).toMatchObject({ messages: [{ mode: 128 }] });
      else expect(parse).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    }
  });

  it('refuses another network, another schema and rubbish', () => {
    expect(() => parseUnsigned(JSON.stringify(unsigned), MAINNET)).toThrow(expect.objectContaining({ code: 'E_WRONG_NETWORK' }));
    for (const text of ['', '{}', '[]', JSON.stringify({ ...unsigned, schema: 'x' }), JSON.stringify({ ...unsigned, more: 1 })]) {
      expect(() => parseUnsigned(text, TESTNET)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    }
  });

  it('transferLink: carries one payment', () => {
    const one = unsignedTransaction({ from: address, network: MAINNET, validUntil: 1_800_000_000, messages: messages.slice(0, 1) });
    const link = new URL(transferLink(one));
    expect(link.protocol).toBe('ton:');
    expect(link.pathname.endsWith(address.toString())).toBe(true);
    expect([link.searchParams.get('amount'), link.searchParams.get('exp')]).toEqual(['1000000000', '1800000000']);
    expect(Cell.fromBoc(Buffer.from(link.searchParams.get('bin') ?? '', 'base64url'))[0]?.equals(comment('hello'))).toBe(true);
  });

  it('transferLink: refuses what it cannot say', () => {
    expect(() => transferLink(unsigned)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    const all = unsignedTransaction({ from: address, network: MAINNET, validUntil: 1, messages: [transferOf({ to: address, valueNano: 'all', bounce: false })] });
    expect(() => transferLink(all)).toThrow(expect.objectContaining({ code: 'E_USAGE', message: expect.stringContaining('send mode 128') }));
  });
});
