// The one table of error codes: exit code, whether a retry may help, what it means and what to do.
// `cocoon explain CODE` prints it; the exit codes are those of the command-line conventions (README, "Exit codes").

export interface CodeEntry {
  /** Process exit code when this error ends a command. */
  readonly exit: number;
  /** True when the same call may succeed later without anything being changed. */
  readonly retryable: boolean;
  /** What happened, in one or two sentences. */
  readonly cause: string;
  /** What the reader should do. */
  readonly action: string;
}

export const CODES = {
  // 1: a bug in cocoon
  E_INTERNAL: {
    exit: 1, retryable: false,
    cause: 'cocoon met a state that its authors believed impossible.',
    action: 'Run the command again with --verbose and report the output; it contains no secrets and no prompts.',
  },

  // 2: usage
  E_USAGE: {
    exit: 2, retryable: false,
    cause: 'The command line is not one that cocoon understands.',
    action: 'Read `cocoon help` or `cocoon COMMAND --help`.',
  },
  E_NO_TERMINAL: {
    exit: 2, retryable: false,
    cause: 'The command needs an answer from a person, and standard input is not a terminal.',
    action: 'Pass the answer as a flag (for confirmations: --yes).',
  },

  E_ADDRESS: {
    exit: 2, retryable: false,
    cause: 'The text is not a TON address.',
    action: 'Copy the whole address: 48 characters of base64, or `workchain:` and 64 hexadecimal digits.',
  },
  E_WRONG_NETWORK: {
    exit: 2, retryable: false,
    cause: 'The address or key belongs to another network than the one in use.',
    action: 'Check the address, or name the network with --network.',
  },
  E_SECRET: {
    exit: 2, retryable: false,
    cause: 'The words or the key that were given are not a valid secret of the expected kind.',
    action: 'Check the words and their order; for words of another kind of wallet use the flag that the hint names.',
  },

  E_REQUEST: {
    exit: 2, retryable: false,
    cause: 'The inference request has a field or a value that the model\'s server does not accept.',
    action: 'Correct the field that the message names. Nothing was generated and nothing was billed.',
  },

  // 3: preflight or configuration failed
  E_CONFIG: {
    exit: 3, retryable: false,
    cause: 'The configuration file, an environment variable or a stored setting has a value that cocoon cannot use.',
    action: 'Run `cocoon config list` to see each value and where it comes from, then correct it.',
  },
  E_STATE: {
    exit: 3, retryable: false,
    cause: 'A file under the home directory is damaged, unreadable or in use.',
    action: 'Check the file named in the message; restore it from a backup or remove it if it can be made again.',
  },
  E_NOT_LISTED: {
    exit: 3, retryable: false,
    cause: 'The root contract of the network does not list this image or model, so nobody there would accept it.',
    action: 'Send the hash in the message to the owner of the network, or run an image and a model that are listed (`cocoon network show`).',
  },
  E_NO_TEE: {
    exit: 3, retryable: false,
    cause: 'This machine offers no trusted execution environment that cocoon can take evidence from.',
    action: 'Run the command inside an Intel TDX or AMD SEV-SNP guest with Linux 6.7 or newer; the message names what is missing here.',
  },
  E_COLLECT: {
    exit: 3, retryable: true,
    cause: 'This machine has a trusted execution environment, but no usable evidence could be taken from it or from its GPUs.',
    action: 'Read the message for the interface or tool that failed; the guest may lack rights or a driver, or its host may not serve quotes.',
  },

  E_CONTRACT_STATE: {
    exit: 3, retryable: false,
    cause: 'The contract is in a state in which it would refuse the request, so nothing was sent.',
    action: 'Read the message: it names the state. `cocoon network show`, `cocoon stake status` and `cocoon wallet history` show more.',
  },
  E_TOO_EARLY: {
    exit: 3, retryable: true,
    cause: 'The contract allows this only after a delay that has not passed, so nothing was sent.',
    action: 'Run the same command again at the time that the message names.',
  },

  E_LEDGER_BEHIND: {
    exit: 3, retryable: false,
    cause: 'The proxy\'s ledger is older than what the proxy committed on chain: it is new, was restored from a backup, or another copy of it was in use. Payments that it does not know of may be signed.',
    action: 'Bring the newest ledger back. Where it is lost, start the proxy with --rebuild: totals are then taken from the chain and from what nodes can prove.',
  },

  E_MODEL_DAMAGED: {
    exit: 3, retryable: false,
    cause: 'The bytes of a model on this machine are not those of its name, so it is not served.',
    action: 'Remove it with `cocoon models rm` and pull it again; if it happens again, check the disk.',
  },
  E_MODEL_FORMAT: {
    exit: 3, retryable: false,
    cause: 'The file is not a GGUF model, or one that this version cannot read.',
    action: 'Check that the name or address is that of a .gguf file; a model that was split is named by its first part.',
  },
  E_MODEL_IN_USE: {
    exit: 3, retryable: true,
    cause: 'A running process has the model open, so its files are not removed.',
    action: 'Stop the node that serves it, then run the command again.',
  },
  E_MODEL_ACCESS: {
    exit: 3, retryable: false,
    cause: 'The repository of the model is private or asks for its terms to be accepted first.',
    action: 'Accept the terms on the page of the repository, and give a token that may read it in the variable HF_TOKEN.',
  },
  E_MODEL_FIT: {
    exit: 3, retryable: false,
    cause: 'The model, with the context and the number of parallel requests that were asked for, needs more memory than this machine has.',
    action: 'Ask for less context or fewer parallel requests, a smaller type of KV cache, or take a smaller quantisation.',
  },
  E_DISK_SPACE: {
    exit: 3, retryable: true,
    cause: 'The disk has no room for what would be written, so nothing was written, or what was written is kept to go on from.',
    action: 'Free the space that the message names, or use another --home; then run the same command again.',
  },
  E_DOCTOR: {
    exit: 3, retryable: false,
    cause: 'Something that serving needs is missing or wrong on this machine.',
    action: 'Read the lines that begin with FAIL: each says why, what was seen, and the command or setting that mends it.',
  },
  E_PROVISION: {
    exit: 3, retryable: false,
    cause: 'A step of the provisioning could not be done or undone. What was done before it is in the journal.',
    action: 'Correct what the message names and run the same command again: it goes on where it stopped. `--undo` takes everything back.',
  },

  // 4: wallet locked, wrong passphrase
  E_PASSPHRASE: {
    exit: 4, retryable: false,
    cause: 'The passphrase is wrong, missing or too short.',
    action: 'Give the right passphrase; it is asked for on a terminal, or read with --passphrase-file.',
  },
  E_KEYSTORE: {
    exit: 4, retryable: false,
    cause: 'The key file is damaged or was altered, so no key was taken from it.',
    action: 'Move the file away and restore it from a backup (`cocoon wallet import --backup FILE`).',
  },
  E_WALLET_BUSY: {
    exit: 4, retryable: true,
    cause: 'Another process is sending from the same wallet; two senders at once would take the same sequence number.',
    action: 'Wait for the other process, or stop it.',
  },

  // 5: attestation failed
  E_NO_CERTIFICATE: {
    exit: 5, retryable: false,
    cause: 'The peer did not present a TLS certificate. Every peer must have one.',
    action: 'Do not send anything to this peer. If it is yours, start it with its own certificate.',
  },
  E_NO_EVIDENCE: {
    exit: 5, retryable: false,
    cause: 'The peer presented a certificate without attestation evidence.',
    action: 'Do not send anything to this peer. If it is yours, run it inside a TEE, or on a local network.',
  },
  E_EVIDENCE_MALFORMED: {
    exit: 5, retryable: false,
    cause: 'The attested certificate or the evidence in it cannot be parsed exactly as specified.',
    action: 'Do not send anything to this peer. `cocoon attest verify` shows the offending field.',
  },
  E_SEAL: {
    exit: 5, retryable: false,
    cause: 'Something that was sealed to one node, or its answer, does not open or is not what it must be: it was changed, repeated, reordered or cut on the way, or is meant for another.',
    action: 'Use nothing of the answer. Ask again; if it happens again with the same proxy, use another one and report it.',
  },
  E_EVIDENCE_REFUSED: {
    exit: 5, retryable: false,
    cause: 'The evidence is well formed, but a check failed: signature, key binding, measurement, network or policy.',
    action: 'Do not send anything to this peer. The message names the check and the value seen.',
  },

  // 6: network unreachable or a peer that broke the protocol
  E_UNREACHABLE: {
    exit: 6, retryable: true,
    cause: 'No connection to the peer could be made.',
    action: 'Check the address, the peer and the network in between; then try again.',
  },
  E_TIMEOUT: {
    exit: 6, retryable: true,
    cause: 'The peer did not answer within the time limit.',
    action: 'Try again; --timeout raises the limit.',
  },
  E_CLOSED: {
    exit: 6, retryable: true,
    cause: 'The connection was closed before the answer was complete. What was received so far is incomplete.',
    action: 'Try again. Do not use the partial answer.',
  },
  E_NO_SEAL: {
    exit: 6, retryable: true,
    cause: 'Requests are to be sealed to one node, and this proxy offers no node of the model whose key they could be sealed to. Nothing was sent.',
    action: 'Use another proxy, or allow requests that the proxy can read with `--seal prefer`.',
  },
  E_BACKLOG: {
    exit: 6, retryable: true,
    cause: 'An answer came faster than it was read, and its bounded buffer filled. What was received so far is incomplete.',
    action: 'Try again and read the answer as it comes.',
  },
  E_PROTOCOL: {
    exit: 6, retryable: false,
    cause: 'The peer sent bytes that the protocol does not allow; the connection was closed.',
    action: 'Check that the address belongs to a Cocoon peer of a supported version.',
  },
  E_TOO_LARGE: {
    exit: 6, retryable: false,
    cause: 'A message is larger than the protocol allows (16 MiB), so it was not sent.',
    action: 'Send less at once: a shorter prompt or smaller attachments.',
  },
  E_BUSY: {
    exit: 6, retryable: true,
    cause: 'Too many requests or bytes are already waiting on this connection; the limit protects the memory of this machine.',
    action: 'Try again later, or send fewer requests at the same time.',
  },
  E_REMOTE: {
    exit: 6, retryable: false,
    cause: 'The peer answered with an error.',
    action: 'Read the message: it is the peer\'s own.',
  },

  E_CHAIN_UNREACHABLE: {
    exit: 6, retryable: true,
    cause: 'No TON endpoint gave a usable answer within the time limit.',
    action: 'Check the endpoints of the network (`cocoon network show`); add a second one or an API key if they are overloaded.',
  },
  E_CHAIN_DISAGREES: {
    exit: 6, retryable: true,
    cause: 'The configured TON endpoints give different answers to a question on which money depends.',
    action: 'Do nothing with this amount until they agree. Remove the endpoint that is wrong, or wait for the one that lags.',
  },
  E_CHAIN_DATA: {
    exit: 6, retryable: false,
    cause: 'Data from the chain is malformed, too large, inconsistent, or not laid out as the contracts are specified.',
    action: 'Check the address of the contract, and that the endpoint is a toncenter v2 JSON-RPC; use another endpoint.',
  },
  E_SIGNED_PAYMENT: {
    exit: 6, retryable: false,
    cause: 'A signed payment is malformed, names another contract, or is not signed by the proxy\'s key. It is worth nothing.',
    action: 'Ignore it and keep the last valid one; stop working for a proxy that repeats it.',
  },
  E_CHAIN_STALE: {
    exit: 6, retryable: true,
    cause: 'What is known of the root contract is older than allowed, so prices and lists could be wrong. Nothing is served or paid by it.',
    action: 'Check the endpoints of the network (`cocoon network show`) and the clock of this machine; it goes on by itself when they answer.',
  },
  E_CHAIN_REFUSED: {
    exit: 6, retryable: false,
    cause: 'The TON endpoint understood the request and refused it.',
    action: 'Read the message: it is the endpoint\'s own.',
  },

  E_COLLATERAL: {
    exit: 6, retryable: true,
    cause: 'A service of Intel, AMD or NVIDIA (or a PCCS) could not be reached, or did not give the document that verification needs.',
    action: 'Try again later, or fetch the collateral on another machine with `cocoon attest fetch` and copy it over.',
  },

  E_MODEL_SOURCE: {
    exit: 6, retryable: false,
    cause: 'The source of a model gave other bytes than it had promised, changed the file while it was read, or answered what no model source answers. Nothing of it is kept as a model.',
    action: 'Run the command again; if it happens again, use another source or mirror, and compare the SHA-256 with what its author published.',
  },

  // 7: not found
  E_NOT_FOUND: {
    exit: 7, retryable: false,
    cause: 'The named thing does not exist.',
    action: 'Check the name; the list command of the same group shows what exists.',
  },

  // 8: not enough TON or stake
  E_FUNDS: {
    exit: 8, retryable: false,
    cause: 'The wallet does not hold enough TON for the amount and its fees.',
    action: 'Send the missing amount, named in the message, to the wallet; or send less.',
  },

  // 9: transaction sent but not confirmed
  E_UNCONFIRMED: {
    exit: 9, retryable: true,
    cause: 'The transaction was sent and neither seen nor expired yet. It may still be executed.',
    action: 'Run the command again: it resumes the same transaction and never makes a second one.',
  },
  E_TX_EXPIRED: {
    exit: 9, retryable: true,
    cause: 'The transaction was not executed before its validity ended, and can never be executed any more. Nothing was transferred.',
    action: 'Send again; check the endpoints if it happens repeatedly.',
  },
  E_TX_FAILED: {
    exit: 9, retryable: false,
    cause: 'The transaction failed, a transfer of it bounced or was refused, or another message of the wallet took its place. It will not be executed again; fees may be gone.',
    action: 'Read the message: it names what failed and where the money is. Correct the cause before sending anew.',
  },

  // 10: engine failed
  E_ENGINE: {
    exit: 10, retryable: false,
    cause: 'The inference engine could not be started or failed while answering.',
    action: 'Check the model file and the memory of this machine; `cocoon node start --verbose` shows the engine\'s own log.',
  },

  E_ENGINE_BUSY: {
    exit: 10, retryable: true,
    cause: 'Every sequence of the inference engine is in use and its waiting queue is full.',
    action: 'Try again, or start the node with more parallel sequences.',
  },
  E_CONTEXT_LENGTH: {
    exit: 10, retryable: false,
    cause: 'The prompt has more tokens than the context of the model holds.',
    action: 'Shorten the prompt or the chat history, or use a model with a larger context.',
  },

  E_ANSWER: {
    exit: 10, retryable: false,
    cause: 'The model answered, but not with JSON that fits the schema of --schema. The answer is complete and was billed; it is not passed on.',
    action: 'Ask again, raise --max-tokens if the answer was cut, simplify the schema, or use a model whose node can hold answers to a schema.',
  },

  // 11: daemon not running
  E_NOT_RUNNING: {
    exit: 11, retryable: false,
    cause: 'The daemon that the command talks to is not running, or did not become ready.',
    action: 'Start it, or read its log; the message names the file.',
  },

  E_LEDGER: {
    exit: 11, retryable: false,
    cause: 'The proxy\'s ledger could not be written, is damaged, or is in use by another proxy with the same key, so the proxy stopped: it promises nothing that is not on disk.',
    action: 'Read the message: a full disk is to be freed, a damaged file restored from a backup; then start the proxy again.',
  },

  // 12: incomplete
  E_COLLATERAL_MISSING: {
    exit: 12, retryable: false,
    cause: 'Verification needs documents that are neither in the cache nor in the given files, and --offline forbids to fetch them.',
    action: 'Run the command that the hint names on a machine with network access and pass on the folder that it writes.',
  },
  E_INCOMPLETE: {
    exit: 12, retryable: false,
    cause: 'No check of the evidence failed, but a required one could not be made. What was not checked does not count as passed.',
    action: 'Give what the skipped check needs: mostly a policy that names the expected image or version.',
  },

  E_NO_RECEIPT: {
    exit: 12, retryable: false,
    cause: 'The answer is complete, but its node signed no receipt for it: the request was not sealed, or the node is of another kind.',
    action: 'Ask with --seal require, or another node; without a receipt nothing shows later who answered what.',
  },
  E_BATCH: {
    exit: 12, retryable: true,
    cause: 'The batch is through, but some of its questions have no answer. Each failure is in the results, with its own code.',
    action: 'Run the same command again with the same --out FILE: only what has no answer is asked again.',
  },

  E_DOCTOR_INCOMPLETE: {
    exit: 12, retryable: false,
    cause: 'No check of this machine failed, but one that serving needs could not be made. What was not checked does not count as good.',
    action: 'Read the lines that begin with SKIP: each says what it lacked, mostly rights (run as root) or a network that answers.',
  },

  // 13: refused by policy
  E_SPENDING_LIMIT: {
    exit: 13, retryable: false,
    cause: 'The owner\'s limit for deposits, at one proxy or at all together, would be exceeded. Nothing was sent.',
    action: 'Raise the limit that the message names, or choose another proxy.',
  },
  E_MAX_SPEND: {
    exit: 13, retryable: false,
    cause: 'The next request could cost more than what is left of --max-spend, the bound of this run. It was not sent.',
    action: 'Raise --max-spend, or lower --max-tokens or --max-price, which the highest cost of a request follows from.',
  },
  E_OVERBILLED: {
    exit: 13, retryable: false,
    cause: 'The proxy claims or has signed more tokens than this machine counted itself, beyond the tolerance. It is not used any more.',
    action: 'Use another proxy; what is left of the deposit comes back with `cocoon wallet close`. The message names both numbers.',
  },

  // 14: no node free
  E_NO_NODE: {
    exit: 14, retryable: true,
    cause: 'No node that serves this model within the price limit has a free slot.',
    action: 'Try again, raise the price limit, or choose another model (`cocoon models list`).',
  },

  // 130, 143
  E_INTERRUPTED: {
    exit: 130, retryable: true,
    cause: 'The command was interrupted (SIGINT).',
    action: 'Nothing is half written. Run it again.',
  },
  E_TERMINATED: {
    exit: 143, retryable: true,
    cause: 'The command was terminated (SIGTERM).',
    action: 'Nothing is half written. Run it again.',
  },
} as const satisfies Record<string, CodeEntry>;

export type ErrorCode = keyof typeof CODES;

/** The codes whose entry has exit code `Exit`. */
export type CodeWithExit<Exit extends number> = {
  [C in ErrorCode]: (typeof CODES)[C]['exit'] extends Exit ? C : never;
}[ErrorCode];

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(CODES, text);
