// Every command: its words, one line of help, and the file that declares and runs it. Files are loaded when their
// command is used, so that `cocoon --version` and shell completion start at once.
import type { CommandModule } from './command.ts';

export interface CommandEntry {
  /** Words on the command line, for example `localnet start`. */
  readonly path: string;
  readonly summary: string;
  /** Runs, but is in no help and no completion: processes that other commands start. */
  readonly hidden?: true;
  load(): Promise<CommandModule>;
}

/** Groups of commands and their line of help. */
export const GROUPS: Readonly<Record<string, string>> = {
  node: 'serve inference on this machine',
  proxy: 'route requests of clients to nodes',
  attest: 'prove what a machine runs, and check it',
  wallet: 'keys and TON of this machine',
  stake: 'the stake of an operator',
  network: 'networks, and the root contract of one\'s own',
  localnet: 'a whole network on this machine, with simulated attestation',
  models: 'models that the network or this machine offers',
  receipt: 'what nodes have signed about their answers',
  config: 'settings and where their values come from',
};

export const COMMANDS: readonly CommandEntry[] = [
  { path: 'infer', summary: 'ask a model one question', load: () => import('./infer.ts') },
  { path: 'chat', summary: 'talk with a model', load: () => import('./chat.ts') },
  { path: 'serve', summary: 'an OpenAI-compatible endpoint on this machine', load: () => import('./serve.ts') },
  { path: 'receipt show', summary: 'what a receipt says', load: () => import('./receipt-show.ts') },
  { path: 'receipt verify', summary: 'judge a receipt, offline', load: () => import('./receipt-verify.ts') },
  { path: 'receipt compare', summary: 'two receipts for one request: proof that the node lied', load: () => import('./receipt-compare.ts') },
  { path: 'models list', summary: 'list the models that nodes serve now', load: () => import('./models-list.ts') },
  { path: 'node doctor', summary: 'is this machine good enough, and what mends it', load: () => import('./node-doctor.ts') },
  { path: 'node start', summary: 'serve a model to the network', load: () => import('./node-start.ts') },
  { path: 'node run-engine', summary: 'run the engine of a node', hidden: true, load: () => import('./node-run-engine.ts') },
  { path: 'node why', summary: 'ask the proxies why requests came here or went elsewhere', load: () => import('./node-why.ts') },
  { path: 'node close', summary: 'collect what proxies still owe to this machine\'s nodes', load: () => import('./node-close.ts') },
  { path: 'proxy start', summary: 'accept clients and nodes and route requests', load: () => import('./proxy-start.ts') },
  { path: 'proxy status', summary: 'nodes, last choices and ledger of the proxy on this machine', load: () => import('./proxy-status.ts') },
  { path: 'proxy stake', summary: 'add stake to a proxy contract, deploying it first', load: () => import('./proxy-stake.ts') },
  { path: 'proxy withdraw', summary: 'pay a proxy contract\'s earnings to its owner', load: () => import('./proxy-withdraw.ts') },
  { path: 'proxy close', summary: 'end a proxy contract: clients and nodes are paid first', load: () => import('./proxy-close.ts') },
  { path: 'attest collect', summary: 'collect evidence of this machine', load: () => import('./attest-collect.ts') },
  { path: 'attest verify', summary: 'judge evidence of a file or a peer', load: () => import('./attest-verify.ts') },
  { path: 'attest policy', summary: 'show, make, pin and compare policy files', load: () => import('./attest-policy.ts') },
  { path: 'attest explain', summary: 'the exact bytes behind each hash and signature', load: () => import('./attest-explain.ts') },
  { path: 'attest selftest', summary: 'change every field of evidence and see each change refused', load: () => import('./attest-selftest.ts') },
  { path: 'attest chain', summary: 'does the network allow this image', load: () => import('./attest-chain.ts') },
  { path: 'attest measure', summary: 'the image hash that a guest will have', load: () => import('./attest-measure.ts') },
  { path: 'attest fetch', summary: 'get the collateral that evidence needs', load: () => import('./attest-fetch.ts') },
  { path: 'wallet new', summary: 'make a key and its wallet', load: () => import('./wallet-new.ts') },
  { path: 'wallet import', summary: 'keep a key, an address or a backup', load: () => import('./wallet-import.ts') },
  { path: 'wallet export', summary: 'make a backup, or show the secret', load: () => import('./wallet-export.ts') },
  { path: 'wallet list', summary: 'list the keys of this machine', load: () => import('./wallet-list.ts') },
  { path: 'wallet address', summary: 'print the address of a wallet', load: () => import('./wallet-address.ts') },
  { path: 'wallet balance', summary: 'print what an account holds', load: () => import('./wallet-balance.ts') },
  { path: 'wallet send', summary: 'send TON', load: () => import('./wallet-send.ts') },
  { path: 'wallet history', summary: 'list the newest transactions of an account', load: () => import('./wallet-history.ts') },
  { path: 'wallet deposit', summary: 'add to the deposit with a proxy', load: () => import('./wallet-deposit.ts') },
  { path: 'wallet withdraw', summary: 'take back what a deposit has above its stake', load: () => import('./wallet-withdraw.ts') },
  { path: 'wallet close', summary: 'end the deposit with a proxy', load: () => import('./wallet-close.ts') },
  { path: 'wallet claim', summary: 'collect what proxies have signed for this machine\'s nodes', load: () => import('./wallet-claim.ts') },
  { path: 'stake add', summary: 'add stake, and receipt keys that it answers for', load: () => import('./stake-add.ts') },
  { path: 'stake remove', summary: 'unbond the stake, then withdraw it', load: () => import('./stake-remove.ts') },
  { path: 'stake status', summary: 'show stake and receipt keys of an operator', load: () => import('./stake-status.ts') },
  { path: 'network add', summary: 'add a network', load: () => import('./network-add.ts') },
  { path: 'network list', summary: 'list the networks', load: () => import('./network-list.ts') },
  { path: 'network use', summary: 'choose the network of all commands', load: () => import('./network-use.ts') },
  { path: 'network show', summary: 'show what the root contract says', load: () => import('./network-show.ts') },
  { path: 'network deploy', summary: 'deploy a root contract', load: () => import('./network-deploy.ts') },
  { path: 'network allow', summary: 'allow an image or a model', load: () => import('./network-allow.ts') },
  { path: 'network revoke', summary: 'no longer allow an image or a model', load: () => import('./network-revoke.ts') },
  { path: 'network register-proxy', summary: 'add the addresses of a proxy', load: () => import('./network-register-proxy.ts') },
  { path: 'network unregister-proxy', summary: 'remove a proxy', load: () => import('./network-unregister-proxy.ts') },
  { path: 'network price', summary: 'announce and execute new prices', load: () => import('./network-price.ts') },
  { path: 'network params', summary: 'announce and execute new prices, delays and stakes', load: () => import('./network-params.ts') },
  { path: 'localnet start', summary: 'start a proxy and a node on this machine', load: () => import('./localnet-start.ts') },
  { path: 'localnet status', summary: 'say what of the local network is running', load: () => import('./localnet-status.ts') },
  { path: 'localnet faucet', summary: 'give TON of the local chain to an account', load: () => import('./localnet-faucet.ts') },
  { path: 'localnet advance', summary: 'move the local chain\'s clock forward', load: () => import('./localnet-advance.ts') },
  { path: 'localnet run-chain', summary: 'run the local chain', hidden: true, load: () => import('./localnet-run-chain.ts') },
  { path: 'localnet stop', summary: 'stop the local network', load: () => import('./localnet-stop.ts') },
  { path: 'config get', summary: 'print the value of one setting', load: () => import('./config-get.ts') },
  { path: 'config set', summary: 'write one setting to cocoon.toml', load: () => import('./config-set.ts') },
  { path: 'config list', summary: 'list every setting, its value and its source', load: () => import('./config-list.ts') },
  { path: 'config path', summary: 'print the path of cocoon.toml', load: () => import('./config-path.ts') },
  { path: 'explain', summary: 'explain an error code', load: () => import('./explain.ts') },
  { path: 'completion', summary: 'print a completion script for bash, zsh or fish', load: () => import('./completion.ts') },
];
