// A conversation at a terminal: typed, pasted, interrupted, and what a person is told. The terminal is made of streams here, and a
// real one (a pseudo terminal) once, where python3 has one.
import { spawn, spawnSync } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { main } from '../../src/main.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import { fakeContext } from '../fakes/context.ts';
import { startTestNetwork, until } from '../fakes/network.ts';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';
import type { Context } from '../../src/core/context.ts';
import type { EngineRequest } from '../../src/node/engine.ts';
import type { TestNetwork, TestNode } from '../fakes/network.ts';

/** Says what it was asked, one message a line. */
const repeat = ({ prompt }: EngineRequest): string[] => (prompt.kind === 'chat' ? prompt.messages.map(({ role, content }) => `<${role}:${JSON.stringify(content)}>`) : []);

let network: TestNetwork;
let slow: TestNode;
beforeAll(async () => {
  network = await startTestNetwork({ nodes: [{ model: 'parrot', engine: { pieces: repeat, contextSize: 40 } }] });
  slow = await network.startNode({ model: 'slow', engine: { pieces: Array.from({ length: 1_000 }, (_, index) => `word${index} `), pieceDelayMs: 20 } });
});
afterAll(() => network.close());

function atTerminal(args: readonly string[]) {
  const keys = new PassThrough();
  const captured = fakeContext({ home: network.home });
  let screen = '';
  const stream = { isTTY: true, columns: 200, write: async (text: string) => { screen += text; } };
  const context: Context = { ...captured.context, stdin: { isTTY: true, source: keys }, stdout: stream, stderr: stream };
  const exit = main(['chat', ...args], context);
  return {
    exit, abort: captured.abort,
    screen: () => screen,
    type: (text: string) => keys.write(text),
    end: () => keys.end(),
    /** Waits until what is new on the screen says so, and gives it. */
    async sees(text: string | RegExp): Promise<string> {
      const found = (): boolean => (typeof text === 'string' ? screen.includes(text) : text.test(screen));
      await until(found, 20_000).catch(() => { throw new Error(`expected ${String(text)} on:\n${screen}`); });
      const end = typeof text === 'string' ? screen.indexOf(text) + text.length : (text.exec(screen)?.index ?? 0) + (text.exec(screen)?.[0].length ?? 0);
      const seen = screen.slice(0, end);
      screen = screen.slice(end);
      return seen;
    },
  };
}

describe('cocoon chat', () => {
  it('a conversation: the model is given its history, and each answer its origin; Ctrl-D leaves', async () => {
    const chat = atTerminal(['--model', 'parrot', '--system', 'be kind']);
    await chat.sees('talking with parrot');
    await chat.sees('> ');
    chat.type('hello\r');
    const first = await chat.sees(/tokens in [\d.]+ s · proxy simulated · sealed to a node, simulated/);
    expect(first).toContain('<system:"be kind"><user:"hello">\n');
    chat.type('again\r');
    expect(await chat.sees('tokens in')).toContain('<system:"be kind"><user:"hello"><assistant:"<system:\\"be kind\\"><user:\\"hello\\">"><user:"again">\n');
    chat.end();
    await expect(chat.exit).resolves.toBe(0);
  });

  it('pasted lines are one message, and are shown as a mark until they are sent', async () => {
    const chat = atTerminal(['-m', 'parrot']);
    await chat.sees('\u001b[?2004h');
    await chat.sees('> ');
    chat.type('explain \u001b[20');
    chat.type('0~line one\rline two\u001b[31m\n\u001b[201~ please');
    await chat.sees('[pasted 1: 2 lines]');
    chat.type('\r');
    expect(await chat.sees('tokens in')).toContain('<user:"explain line one\\nline two[31m\\n please">');
    chat.type('\u001b[200~a mark [pasted 1: 2 lines]\nis text\u001b[201~ [pasted 9: 1 line]\r');
    expect(await chat.sees('tokens in')).toContain('<user:"a mark [pasted 1: 2 lines]\\nis text [pasted 9: 1 line]">');
    chat.type('/clear\r');
    await chat.sees('everything is forgotten');
    chat.type('\u001b[200~one line only\u001b[201~\r');
    expect(await chat.sees('tokens in')).toContain('<user:"one line only">');
    chat.type('/quit\r');
    await expect(chat.exit).resolves.toBe(0);
    expect(chat.screen()).toContain('\u001b[?2004l');
  });

  it('Ctrl-C: interrupts the answer and frees the node, clears a line, and leaves when pressed twice', async () => {
    const chat = atTerminal(['-m', 'slow']);
    await chat.sees('> ');
    chat.type('go on for ever\r');
    await chat.sees('word3');
    chat.type('\u0003');
    await chat.sees('interrupted: the question');
    await until(() => slow.engine.running === 0, 10_000);
    chat.type('half a li\u0003');
    await chat.sees('> ');
    chat.type('/cost\r');
    await chat.sees('0 answers; nobody pays on this network');
    chat.type('\u0003');
    await chat.sees('Ctrl-C again');
    chat.type('\u0003');
    await expect(chat.exit).resolves.toBe(0);
  });

  it('/commands', async () => {
    const chat = atTerminal(['-m', 'parrot']);
    await chat.sees('> ');
    const told = async (typed: string, seen: string | RegExp): Promise<string> => {
      chat.type(`${typed}\r`);
      return chat.sees(seen);
    };
    await told('/help', '/quit');
    await told('/attest', 'nothing was answered yet');
    await told('/system speak up', 'system message: speak up');
    await told('/system', 'system message: speak up');
    await told('//etc', '<system:"speak up"><user:"/etc">');
    await told('/attest', /proxy 127\.0\.0\.1:\d+: simulated evidence[\s\S]*image: [\s\S]*node: \{"evidence":"simulated"/);
    await told('/system -', 'no system message');
    await told('/model', /\* parrot {2}from ×1[\s\S]* {2}slow/);
    await told('/model nobody', 'model nobody is not served now');
    await told('/nothing', 'no command is called "/nothing"');
    await told('/save', 'no file was named');
    const file = join(network.home, 'talk.md');
    await rm(file, { force: true });
    await told('/save talk.md', 'saved in talk.md');
    expect(await readFile(file, 'utf8')).toBe('## Question\n\n/etc\n\n## Answer\n\n<system:"speak up"><user:"/etc">\n');
    await told('/save talk.md', 'exists already');
    await told('/forget', 'forgotten; 0 left');
    await told('/forget', 'there is nothing to forget');
    await told('/clear', 'everything is forgotten');
    await told('/cost', '1 answer;');
    await told('/model slow', 'talking with slow from here on');
    chat.type('/quit\r');
    await expect(chat.exit).resolves.toBe(0);
  });

  it('a conversation that no longer fits says so, keeps what it has, and goes on', async () => {
    const chat = atTerminal(['-m', 'parrot']);
    await chat.sees('> ');
    chat.type('short\r');
    await chat.sees('tokens in');
    chat.type(`${'word '.repeat(60)}\r`);
    expect(await chat.sees(/hint: \/forget drops/)).toContain('the conversation no longer fits the model\'s context');
    chat.type('still here\r');
    expect(await chat.sees('tokens in')).toContain('<user:"short">');
    chat.type('\u0004');
    await expect(chat.exit).resolves.toBe(0);
  });

  it('what is typed during an answer is read after it', async () => {
    const chat = atTerminal(['-m', 'slow', '--max-tokens', '10']);
    await chat.sees('> ');
    chat.type('one\r');
    await chat.sees('word2');
    chat.type('/cost\r/quit\r');
    await expect(chat.exit).resolves.toBe(0);
    expect(chat.screen()).toContain('1 answer; nobody pays');
  });

  it('a signal ends it with its own exit code, and gives the terminal back', async () => {
    const chat = atTerminal(['-m', 'parrot']);
    await chat.sees('> ');
    chat.abort(new InterruptedError('E_TERMINATED', 'terminated'));
    await expect(chat.exit).resolves.toBe(143);
    expect(chat.screen()).toContain('\u001b[?2004l');
  });

  it('without a terminal, or for machines, it points to infer', async () => {
    for (const args of [['chat'], ['--json', 'chat']]) {
      const run = fakeContext({ home: network.home });
      await expect(main(args, run.context)).resolves.toBe(2);
      expect(run.stdout() + run.stderr()).toContain('in scripts use `cocoon infer`');
    }
  });

  const hasPty = spawnSync('python3', ['-c', 'import pty']).status === 0;
  const onPty = hasPty ? it : it.skip;
  onPty(`a real pseudo terminal${hasPty ? '' : ' (skipped: needs python3)'}`, async () => {
    const program = 'import pty,sys,os; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))';
    const child = spawn('python3', ['-c', program, SOURCE_PROGRAM.command, ...SOURCE_PROGRAM.args, '--home', network.home, 'chat', '-m', 'parrot'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let screen = '';
    child.stdout.on('data', (bytes: Buffer) => { screen += bytes.toString(); });
    const exit = new Promise((resolve) => { child.on('exit', resolve); });
    await until(() => screen.includes('> '), 15_000);
    child.stdin.write('hello\r');
    await until(() => screen.includes('<user:"hello">') && screen.includes('tokens in'), 15_000);
    child.stdin.write('\u0003');
    await until(() => screen.includes('Ctrl-C again'), 5_000);
    child.stdin.write('\u0003');
    await expect(exit).resolves.toBe(0);
  }, 40_000);
});
