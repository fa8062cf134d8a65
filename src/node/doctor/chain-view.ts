// What the doctor asks about the network and the money of this node, as a port; commands implement it with the chain access, the
// keystore and the evidence that `node start` uses, so that what is said here is what will happen there.

export interface EndpointView {
  readonly name: string;
  /** Asks it for the newest block. Rejects with NetworkError. */
  ask(signal: AbortSignal): Promise<{ readonly tookMs: number; readonly seqno: number; readonly timeS: number }>;
}

export interface RootView {
  readonly version: number;
  /** Where nodes find the proxies. */
  readonly proxies: readonly { readonly host: string; readonly port: number }[];
  readonly workerImages: readonly string[];
  readonly modelHashes: readonly string[];
}

export interface WalletView {
  readonly label: string;
  readonly balanceNano: bigint;
  readonly neededNano: bigint;
  /** How to put TON there. */
  readonly fill: string;
}

export interface ChainView {
  readonly name: string;
  /** True where peers are judged by hardware evidence: every network but the local one. */
  readonly attested: boolean;
  /** True where work is paid for through contracts. */
  readonly paid: boolean;
  /** Why nothing can be asked of this network; null where it can. */
  readonly unusable: { readonly reason: string; readonly fix: string } | null;
  readonly endpoints: readonly EndpointView[];
  /** Rejects with CocoonError. */
  root(signal: AbortSignal): Promise<RootView>;
  wallet(signal: AbortSignal): Promise<WalletView>;
  /** Text of the cold address that is paid; rejects where none is known. */
  owner(signal: AbortSignal): Promise<string>;
  /** The operator's bond in nanoTON; null where there is none. */
  stake(signal: AbortSignal): Promise<bigint | null>;
  /** What this node has been signed by proxies and not claimed; null where it never served. */
  owed(signal: AbortSignal): Promise<{ readonly proxies: number; readonly unclaimedNano: bigint } | null>;
  /** The image hash that this machine's evidence states, hexadecimal, taking evidence now. Rejects with CocoonError. */
  evidence(signal: AbortSignal): Promise<{ readonly family: 'tdx' | 'sev-snp'; readonly imageHash: string }>;
  /** Full name of the model that would be served, and its hash in the root contract; null without --model. */
  model(signal: AbortSignal): Promise<{ readonly fullName: string; readonly hash: string } | null>;
  /** Ids of the reference manifests that the GPUs of this machine need, from their own evidence. Rejects with CocoonError. */
  gpuManifests(signal: AbortSignal): Promise<readonly string[]>;
  /** Services that give collateral for this kind of machine. */
  services(tee: 'tdx' | 'snp', gpus: boolean): readonly { readonly what: string; readonly url: string; readonly setting: string }[];
  /** Address of a reference manifest. */
  manifestUrl(id: string): string;
  /** Where the node of this home directory says that it runs; null where none does. */
  running(): Promise<string | null>;
}
