// Every command: its words, one line of help, and the file that declares and runs it. Files are loaded when their
// command is used, so that `cocoon --version` and shell completion start at once.
import type { CommandModule } from './command.ts';

export interface CommandEntry {
  /** Words on the command line, for example `localnet start`. */
  readonly path: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** Groups of commands and their line of help. */
export const GROUPS: Readonly<Record<string, string>> = {
  node: 'serve inference on this machine',
  proxy: 'route requests of clients to nodes',
  localnet: 'a whole network on this machine, with simulated attestation',
  models: 'models that the network or this machine offers',
  config: 'settings and where their values come from',
};

export const COMMANDS: readonly CommandEntry[] = [
  { path: 'infer', summary: 'ask a model one question', load: () => import('./infer.ts') },
  { path: 'models list', summary: 'list the models that nodes serve now', load: () => import('./models-list.ts') },
  { path: 'node start', summary: 'serve a model to the network', load: () => import('./node-start.ts') },
  { path: 'proxy start', summary: 'accept clients and nodes and route requests', load: () => import('./proxy-start.ts') },
  { path: 'localnet start', summary: 'start a proxy and a node on this machine', load: () => import('./localnet-start.ts') },
  { path: 'localnet status', summary: 'say what of the local network is running', load: () => import('./localnet-status.ts') },
  { path: 'localnet stop', summary: 'stop the local network', load: () => import('./localnet-stop.ts') },
  { path: 'config get', summary: 'print the value of one setting', load: () => import('./config-get.ts') },
  { path: 'config set', summary: 'write one setting to cocoon.toml', load: () => import('./config-set.ts') },
  { path: 'config list', summary: 'list every setting, its value and its source', load: () => import('./config-list.ts') },
  { path: 'config path', summary: 'print the path of cocoon.toml', load: () => import('./config-path.ts') },
  { path: 'explain', summary: 'explain an error code', load: () => import('./explain.ts') },
  { path: 'completion', summary: 'print a completion script for bash, zsh or fish', load: () => import('./completion.ts') },
];
