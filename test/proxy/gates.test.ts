// What the proxy tells a node of its own accord: that more has been signed for it, at once, and only over a connection whose
// version has such messages at any time.
import { describe, expect, it } from '@jest/globals';
import { deferred } from '../../src/core/deferred.ts';
import { NetworkError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { unpaidAddress } from '../../src/chain/unpaid-address.ts';
import { workerGate } from '../../src/proxy/gates.ts';
import { NodeRegistry } from '../../src/proxy/nodes.ts';
import { createChooser } from '../../src/proxy/routing/create-chooser.ts';
import { SealKeys } from '../../src/proxy/sealed-keys.ts';
import { Pending } from '../../src/proxy/settlements.ts';
import { unpaidAccounts } from '../../src/proxy/unpaid-accounts.ts';
import { capabilitiesOf } from '../../src/wire/versions.ts';
import type { CocoonError } from '../../src/core/errors.ts';
import type { Accounts } from '../../src/proxy/accounts.ts';
import type { PaymentStatus, WorkerRequestPayment } from '../../src/wire/peer-info.ts';
import type { WorkerHello, WorkerLink } from '../../src/wire/worker-acceptor.ts';

const KEY = new Uint8Array(32).fill(9);
const OWNER = unpaidAddress('test', KEY);

/** A worker that was admitted over a connection of `version`, with an account whose signatures the test makes. */
async function admitted(version: number, { gone = false } = {}) {
  const listeners = new Set<() => void>();
  let status: PaymentStatus = { signedPayment: null, dbTokens: 0n, maxTokens: 0n };
  const plain = unpaidAccounts({ publicKey: KEY, isTest: true });
  const accounts: Accounts = {
    ...plain,
    worker: async (owner) => ({
      ...await plain.worker(owner), status: () => status,
      onSigned: (listener) => {
        listeners.add(listener);
        return () => { listeners.delete(listener); };
      },
    }),
  };
  const closed = deferred<CocoonError | null>();
  const told: WorkerRequestPayment[] = [];
  const link = {
    remoteAddress: 'n:1', peer: { evidence: 'none' }, state: 'ready', capabilities: capabilitiesOf(version), runningRequests: 0, closed: closed.promise,
    requestPayment: async (payment: WorkerRequestPayment) => {
      if (gone) throw new NetworkError('E_CLOSED', 'the node is gone');
      told.push(payment);
    },
    close: () => closed.resolve(null),
  } as unknown as WorkerLink;
  const deps = {
    accounts, nodes: new NodeRegistry(), chooser: createChooser({ random: () => 0.5 }), sealKeys: new SealKeys(), pending: new Pending(), canaries: null,
    clock: { now: () => 5_000 }, log: silentLog,
  };
  const hello: WorkerHello = { ownerAddress: OWNER, model: 'm@c:v', coefficient: 500, proxyCount: 1, maxActiveRequests: 1, version, machineDescription: null };
  const worker = await workerGate(deps, { imageAllowed: () => true, modelAllowed: () => true }).admit(hello, link);
  const sign = (tokens: bigint): void => {
    status = { signedPayment: new Uint8Array([Number(tokens)]), dbTokens: tokens, maxTokens: tokens };
    for (const listener of listeners) listener();
  };
  return { worker, told, sign, listeners, close: async (): Promise<void> => { closed.resolve(null); await closed.promise; } };
}

describe('workerGate', () => {
  it('a signature is pushed at once from version 5 on: the totals, for no request and of no client', async () => {
    const { worker, told, sign, listeners, close } = await admitted(5);
    sign(1n);
    expect(told).toEqual([]); // the handshake is not complete
    worker.ready(false);
    sign(7n);
    sign(9n);
    expect(told).toEqual([7n, 9n].map((tokens) => ({
      requestId: new Uint8Array(32), signedPayment: new Uint8Array([Number(tokens)]), dbTokens: tokens, maxTokens: tokens, requestTokens: 0n, clientOwner: '',
    })));
    await close();
    expect(listeners.size).toBe(0);
    sign(11n);
    expect(told).toHaveLength(2);
  });

  it.each([1, 4])('nothing is pushed over a connection of version %i, whose nodes ask for it', async (version) => {
    const { worker, told, sign, listeners } = await admitted(version);
    worker.ready(false);
    sign(7n);
    expect([told, listeners.size]).toEqual([[], 0]);
  });

  it('a node that has gone meanwhile is no failure of the proxy', async () => {
    const { worker, sign, told } = await admitted(5, { gone: true });
    worker.ready(false);
    sign(7n);
    await new Promise((resolve) => { setImmediate(resolve); }); // an unhandled rejection would end the test
    expect(told).toEqual([]);
  });
});
