// Mutation run over contracts/*.tolk: one check removed, one comparison turned, one save or send dropped at a time; each mutant
// is compiled in memory and must fail a vector, a rule scenario or a short model run. Survivors that are known and explained are
// in test/contracts/mutation-survivors.json; any other survivor makes the run fail.
// Arguments: --only NAME (a contract or common/FILE), --match TEXT (part of a mutation), --sample N (every N-th mutant), --list.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Cell } from '@ton/core';
import '../test/contracts/ts-hooks.mjs';
import { CONTRACTS, compileContract, contractNames } from './compile-contracts.mjs';

const { checkUnit, FLOWS, hardened, KINDS, replayFlow, unitCases } = await import('../test/contracts/vectors.ts');
const { builtCodes } = await import('../test/contracts/network.ts');
const { allScenarios } = await import('../test/contracts/rules.ts');
const { Episode } = await import('../test/contracts/model/episode.ts');
const { resetExecutor } = await import('../test/contracts/world.ts');

const argument = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined);

const FLIPS = [['>=', '>'], ['<=', '<'], ['==', '!='], ['!=', '=='], [' > ', ' >= '], [' < ', ' <= ']];
const DROPS = /^\s*(assert \(.*throw|contract\.setData|commitContract|reserveToncoins|sendExcess|sendPayout|sendInfo|sendMoney|st\.reserveAndSave|[a-z]+\.assertEnd\(\)|st\.[a-zA-Z]+ [-+|&]?= |self\.[a-zA-Z]+ [-+]?= |sets\.[a-zA-Z.]+(Set|Delete|announce).*\(|self\.proxies\.|self\.announce|sets\.announce|params\.[a-zA-Z]+ [-+]?= |st\.oweAgain|st\.charge)/;

/** All mutants of one source file: { file, line, what, text }. */
function mutantsOf(file) {
  const source = readFileSync(join(CONTRACTS, file), 'utf8');
  const lines = source.split('\n');
  const mutants = [];
  const add = (i, line, what) => mutants.push({ file, line: i + 1, what, text: [...lines.slice(0, i), line, ...lines.slice(i + 1)].join('\n') });
  for (const [i, line] of lines.entries()) {
    const code = line.replace(/\/\/.*$/, '');
    if (code.trim() === '' || /^\s*(import|const|tolk|struct|@|asm)/.test(code)) continue;
    // a statement that ends on its own line
    if (DROPS.test(code) && code.trimEnd().endsWith(';')) add(i, '', `dropped: ${code.trim()}`);
    if (/^\s*if \(.*\{ (return|send|st\.|self\.).*\}\s*$/.test(code)) add(i, '', `dropped: ${code.trim()}`);
    for (const [from, to] of FLIPS) {
      for (let at = code.indexOf(from); at >= 0; at = code.indexOf(from, at + from.length)) {
        if (from === '>=' && code[at - 1] === '-') continue;
        add(i, `${code.slice(0, at)}${to}${code.slice(at + from.length)}`, `${from.trim()} -> ${to.trim()}: ${code.trim()}`);
      }
    }
    for (const [from, to] of [['max(', 'min('], ['min(', 'max(']]) {
      for (let at = code.indexOf(from); at >= 0; at = code.indexOf(from, at + 4)) add(i, `${code.slice(0, at)}${to}${code.slice(at + 4)}`, `${from} -> ${to}: ${code.trim()}`);
    }
  }
  return mutants;
}

/** Contracts whose code a change of `file` can reach. */
function affected(file) {
  if (!file.startsWith('common/')) return [file.replace('.tolk', '')];
  const name = file.replace('.tolk', '');
  return contractNames().filter((contract) => readFileSync(join(CONTRACTS, `${contract}.tolk`), 'utf8').includes(`"${name}"`));
}

const flowContracts = { '11_wallet': ['wallet'], '12_root_admin': ['root'] };
const WORDS = { root: /H10|root|slash/, wallet: /H7|H8/, bond: /bond/, proxy: /H[1-69]\b|H1[0-2]/, client: /H[1-69]\b|H11|H12/, worker: /H[1-69]\b|H11|H12/ };

/** Runs all that can tell, cheapest first; the name of what failed, or undefined for a survivor. */
async function killer(names, codes) {
  for (const kind of KINDS.filter((k) => names.includes(k))) {
    for (const c of unitCases(kind)) if ((await checkUnit(kind, c, codes[kind])).length > 0) return c.id;
  }
  for (const scenario of allScenarios.filter((s) => names.some((name) => WORDS[name].test(s.name)))) {
    try {
      await scenario.run(codes);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) throw error;
      return scenario.name;
    }
  }
  for (const flow of FLOWS.filter((f) => names.some((n) => (flowContracts[f] ?? ['proxy', 'client', 'worker']).includes(n)))) {
    const differences = [...(await replayFlow(flow, codes)).keys()];
    const listed = Object.keys(hardened.flows).filter((id) => id.startsWith(`flow_${flow}/`)).map((id) => id.slice(flow.length + 6));
    if (JSON.stringify(differences) !== JSON.stringify(listed)) return `flow ${flow}`;
  }
  for (const seed of [1, 2, 3]) {
    try {
      await Episode.run({ codes, seed, prices: 'dear', steps: 150, honestKey: seed !== 3 });
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) throw error;
      return `model seed ${seed}`;
    }
  }
  return undefined;
}

async function judge(mutant) {
  const read = (path) => (path === mutant.file ? mutant.text : readFileSync(join(CONTRACTS, path), 'utf8'));
  const names = affected(mutant.file);
  const codes = builtCodes();
  let same = true;
  try {
    for (const name of names) {
      const code = Cell.fromBase64((await compileContract(name, read)).code);
      same &&= code.equals(codes[name]);
      codes[name] = code;
    }
  } catch {
    return 'does not compile';
  }
  if (same) return 'same code';
  try {
    return await killer(names, codes);
  } catch {
    resetExecutor();
    return 'the executor aborted';
  }
}

const files = [...contractNames().map((name) => `${name}.tolk`), ...readdirSync(join(CONTRACTS, 'common')).map((f) => `common/${f}`)];
const only = argument('--only');
const match = argument('--match') ?? '';
const every = Number(argument('--sample') ?? 1);
const mutants = files.filter((f) => only === undefined || f === `${only}.tolk`).flatMap(mutantsOf).filter((m) => m.what.includes(match)).filter((_, i) => i % every === 0);
const explained = JSON.parse(readFileSync(new URL('../test/contracts/mutation-survivors.json', import.meta.url), 'utf8'));
const isExplained = (m) => explained.some((e) => e.file === m.file && e.mutation === m.what);
let killed = 0;
let counted = 0;
const survivors = [];
const mute = console.error;
console.error = () => {};
for (const mutant of mutants) {
  if (process.argv.includes('--list')) {
    process.stdout.write(`${mutant.file}:${mutant.line} ${mutant.what}\n`);
    continue;
  }
  const by = await judge(mutant);
  if (by === 'does not compile' || by === 'same code') continue;
  counted += 1;
  if (by !== undefined) killed += 1;
  else survivors.push(mutant);
  process.stdout.write(`${by === undefined ? (isExplained(mutant) ? 'explained' : 'SURVIVED') : 'killed'} ${mutant.file}:${mutant.line} ${mutant.what}${by === undefined ? '' : ` | ${by}`}\n`);
}
console.error = mute;
if (counted > 0) {
  const unexplained = survivors.filter((m) => !isExplained(m));
  process.stdout.write(`${killed} of ${counted} mutants killed (${((killed / counted) * 100).toFixed(1)} %), ${survivors.length} survived, ${unexplained.length} of them unexplained\n`);
  if (unexplained.length > 0 || killed / counted < 0.95) process.exitCode = 1;
}
