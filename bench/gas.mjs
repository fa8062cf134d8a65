// Gas and TON of every operation of our contracts under both price sets, beside the columns of ONCHAIN-GAS.md (FunC build, Tolk port).
// Where an operation takes more than the port, the rules of ONCHAIN.md section 13 that add work are measured one by one: the
// operation runs again on code compiled without that rule's lines (`other`: what is left, mostly the order in which operations
// are told apart). Exits 1 when an operation is above the FunC build, or above the port without a rule that adds work.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Address, Cell } from '@ton/core';
import '../test/contracts/ts-hooks.mjs';
import { CONTRACTS, compileContract } from '../scripts/compile-contracts.mjs';

const { World } = await import('../test/contracts/world.ts');
const { unitCases } = await import('../test/contracts/vectors.ts');
const { readProxy, writeProxy } = await import('../test/contracts/storage.ts');
const { builtCodes } = await import('../test/contracts/network.ts');

/** operation, vector case, FunC gas, Tolk gas; `due`: announced a day before (rule H10), and measured when it is made. */
const OPERATIONS = {
  root: [
    ['add hash (new)', 'add_model_new', 8643, 8889], ['delete hash', 'del_model_existing', 7365, 7583], ['register proxy', 'register_proxy', 9519, 9657],
    ['unregister proxy', 'unregister_proxy', 8207, 8269], ['update proxy', 'update_proxy', 10028, 9222], ['change price', 'change_price', 11670, 8373, 'due'],
    ['change params', 'change_params', 11780, 8705, 'due'], ['replace child codes', 'upgrade_contracts', 11912, 8705, 'due'],
    ['replace root code', 'upgrade_code', 9271, 4896, 'due'], ['replace data and code', 'upgrade_full', 7555, 6427, 'due'], ['reset', 'reset', 9095, 9286],
    ['change owner', 'change_owner', 9312, 9546],
  ],
  proxy: [
    ['worker payout', 'worker_payout', 13149, 10511], ['client top up', 'client_top_up', 13164, 9957], ['refund granted', 'client_refund_granted', 14885, 11506],
    ['refund forced', 'client_refund_force', 15043, 11615], ['payout request', 'payout_request_anyone', 7535, 6845], ['increase stake', 'increase_stake', 6438, 5652],
    ['close (owner)', 'owner_close', 8866, 7361], ['close (signed)', 'close_signed', 10076, 8002], ['close (text)', 'text_c', 9273, 6589],
    ['complete close', 'close_complete_at_unlock', 8960, 7440], ['withdraw (text)', 'text_w', 6920, 5028], ['save state (ignored)', 'do_not_process_save_state', 1221, 1059],
  ],
  client: [
    ['top up', 'top_up_anyone', 8853, 7912], ['hash + top up', 'hash_top_up', 9151, 8274], ['register', 'register', 11318, 9417], ['change hash', 'change_hash', 11603, 9117],
    ['raise stake', 'increase_stake', 11857, 9293], ['withdraw', 'withdraw', 10577, 9016], ['request refund', 'request_refund', 12537, 10077],
    ['request refund (info)', 'request_refund_balance_le_stake', 13792, 10712], ['forced claim', 'forced_claim', 11142, 8962], ['charge', 'charge', 15937, 11549],
    ['grant refund', 'grant_refund', 15266, 11288],
  ],
  worker: [['payout', 'payout', 9401, 7471], ['last payout', 'last_payout', 9460, 7536], ['register', 'register', 6486, 5187]],
  wallet: [
    ['external, 1 message', 'ext_one', 3445, 3467], ['external, 4 messages', 'ext_four', 5371, 5579], ['owner message', 'owner_send', 2513, 2069],
    ['block', 'block_owner', 3306, 2520], ['withdraw', 'withdraw_owner', 4400, 3530],
  ],
};

/** Sources without the lines of one rule; each replacement must apply. */
const WITHOUT = {
  H3: { 'common/messages.tolk': [['    val workchain = target.getWorkchain();\n    assert (workchain * (workchain + 1) == 0) throw ERR_EXCESS_ADDRESS;\n', '']] },
  H4: { 'worker.tolk': [[/    if \(last & \(had > SPARE_MIN\)\).*\n/, '']] },
  H6: { 'proxy.tolk': [[/ {4}sendPayout\(st\.owner, queryId, paid, SEND_MODE_PAY_FEES_SEPARATELY\);\n {4}sendExcess\(excesses, queryId\);\n\}/, '    sendPayout(st.owner, queryId, 0, SEND_MODE_CARRY_ALL_BALANCE);\n}']] },
  H9: { 'proxy.tolk': [[/ {4}if \(!self\.rest\.isEndOfBits\(\)\) \{[\s\S]*?\n {4}\}\n/, ''], [/\n {8}\.storeCoins\(max\(keep - self\.balance - self\.stake, 0\)\)/, '']] },
  H10: { 'root.tolk': [[/sets\.isDue\(digest\)/g, 'true'], [/ {4}if \(sets\.isDue/g, '    if (true'], ['        sets.announce(digest, 0);\n        changed = false;', '        changed = true;']] },
  H11: { 'worker.tolk': [[/ {4}assert \(last \| \(contract.*\n/, ''], [/ {4}assert \(contract\.getOriginalBalance\(\) >= COMMISSION \+ keep\).*\n/, '']] },
  H12: { 'worker.tolk': [['(op == OP_DO_NOT_PROCESS) | (op == OP_EXCESSES) | (op == OP_PAYOUT)', 'op == OP_DO_NOT_PROCESS']],
    'client.tolk': [['(op == OP_DO_NOT_PROCESS) | (op == OP_EXCESSES) | (op == OP_PAYOUT)', 'op == OP_DO_NOT_PROCESS']] },
};

/** Work that the port leaves out and sections 7 and 8 ask for; its gas cannot be told from a variant of ours. */
const PORT_LEAVES_OUT = {
  'root replace root code': 'the port neither saves nor returns the excess',
};

const variants = new Map();

/** Code of a contract without one rule, or undefined where the rule has no line there. */
async function without(rule, contract) {
  const name = `${rule} ${contract}`;
  if (variants.has(name)) return variants.get(name);
  let touched = false;
  const read = (path) => {
    let source = readFileSync(join(CONTRACTS, path), 'utf8');
    for (const [from, to] of WITHOUT[rule][path] ?? []) {
      const next = source.replace(from, to);
      touched ||= next !== source;
      source = next;
    }
    return source;
  };
  const code = Cell.fromBase64((await compileContract(contract, read)).code);
  variants.set(name, touched ? code : undefined);
  return variants.get(name);
}

/** Runs an operation once: gas used, gas fee and forwarding fees in nanoTON. */
async function measure(contract, code, id, prices, due) {
  const c = unitCases(contract).find((candidate) => candidate.id === `${contract}/${id}`);
  const world = await World.create(prices, c.now);
  const address = Address.parseRaw(c.address);
  let data = Cell.fromHex(c.data_boc);
  if (contract === 'proxy') {
    // as in use: a pool on record, and a little rent to book
    const p = readProxy(data);
    const total = BigInt(c.balance) - p.balance - p.stake;
    data = writeProxy({ ...p, pool: (total > 0n ? total : 0n) + 1000n });
  }
  world.install(address, code, data, BigInt(c.balance));
  const body = Cell.fromHex(c.message.body_boc);
  const run = async () => {
    if (c.message.from === undefined) return (await world.external(address, body)).tx;
    return world.deliver(world.message({ from: Address.parseRaw(c.message.from), to: address, value: BigInt(c.message.value), body }));
  };
  let tx = await run();
  if (due) {
    world.now += 86_400;
    tx = await run();
  }
  if (tx.exit !== 0) throw new Error(`${c.id} ended with exit code ${tx.exit}`);
  return { gas: Number(tx.gas), fee: tx.raw.description.computePhase.gasFees, fwd: tx.fwdFees };
}

const ton = (nano) => (Number(nano) / 1e9).toFixed(6);
const codes = builtCodes();
const rows = [];
let failed = false;
for (const [contract, operations] of Object.entries(OPERATIONS)) {
  for (const [name, id, func, tolk, when] of operations) {
    const dear = await measure(contract, codes[contract], id, 'dear', when === 'due');
    const cheap = await measure(contract, codes[contract], id, 'cheap', when === 'due');
    const items = [];
    let explained = 0;
    if (dear.gas > tolk) {
      for (const rule of Object.keys(WITHOUT)) {
        const code = await without(rule, contract);
        if (code === undefined) continue;
        const bare = await measure(contract, code, id, 'dear', when === 'due' && rule !== 'H10');
        if (dear.gas > bare.gas) items.push(`${rule} ${dear.gas - bare.gas}`);
        explained += Math.max(dear.gas - bare.gas, 0);
      }
    }
    const omitted = PORT_LEAVES_OUT[`${contract} ${name}`];
    if (omitted !== undefined) items.push(omitted);
    const bad = dear.gas > func ? 'ABOVE FUNC' : dear.gas > tolk && items.length === 0 ? 'ABOVE THE PORT' : '';
    if (dear.gas - explained > tolk && omitted === undefined) items.push(`other ${dear.gas - explained - tolk}`);
    if (bad !== '') failed = true;
    rows.push([contract, name, dear.gas, func, tolk, ton(dear.fee + dear.fwd), ton(cheap.fee + cheap.fwd), [items.join(', '), bad].filter((s) => s !== '').join('  ')]);
  }
}
const header = ['contract', 'operation', 'gas', 'FunC', 'Tolk', 'TON at 400', 'TON at 66.67', 'above the port: gas by rule'];
const widths = header.map((h, i) => Math.max(h.length, ...rows.map((row) => String(row[i]).length)));
const line = (row) => `${row.map((cell, i) => (i < 2 || i === 7 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join('  ').trimEnd()}\n`;
process.stdout.write(line(header));
for (const row of rows) process.stdout.write(line(row));
if (failed) process.exitCode = 1;
