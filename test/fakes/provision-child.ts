// A provisioning in a process of its own, which kills itself at a given moment: `ROOT STOP apply|undo`. Packages and users are files of
// the fixture root.
import { applyPlan, undoAll } from '../../src/node/provision/carry-out.ts';
import { fakeRunner, testPlan } from './provision-root.ts';

const [root = '', stop = '', what = ''] = process.argv.slice(2);
let moment = 0;
const ports = {
  root, run: fakeRunner(root), signal: new AbortController().signal,
  onDurable: () => {
    moment += 1;
    if (moment === Number(stop)) process.kill(process.pid, 'SIGKILL');
  },
};
if (what === 'undo') await undoAll(ports);
else await applyPlan(testPlan(), ports);
