// What the sender tests share: a wallet with money on a fake chain, and a sender with short waits.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTonAccess } from '../../../src/chain/access/access.ts';
import type { TonAccess } from '../../../src/chain/access/types.ts';
import { createSender } from '../../../src/chain/sending/sender.ts';
import type { Sender, SenderOptions } from '../../../src/chain/sending/sender.ts';
import { FakeChain } from '../../fakes/fake-chain.ts';
import type { EndpointScript, FakeEndpoint } from '../../fakes/fake-chain.ts';
import { signer, target, TON, VALUE, WAITS, wallet } from './fixture.ts';

export interface Harness {
  readonly chain: FakeChain;
  readonly endpoints: FakeEndpoint[];
  readonly access: TonAccess;
  readonly folder: string;
  sender(options?: Partial<SenderOptions>): Sender;
  /** How often the payment of VALUE arrived. */
  paid(): number;
  close(): Promise<void>;
}

export async function createHarness(scripts: EndpointScript[] = [{}], fundNano = 5n * TON): Promise<Harness> {
  const chain = await FakeChain.create();
  if (fundNano > 0n) await chain.fund(wallet.address, fundNano);
  const endpoints = await Promise.all(scripts.map((script) => chain.endpoint(script)));
  const access = createTonAccess({ endpoints: endpoints.map(({ url }) => ({ url })), timeoutMs: 3000, requestTimeoutMs: 1000 });
  const home = mkdtempSync(join(tmpdir(), 'sender-'));
  const folder = join(home, 'outbox');
  return {
    chain, endpoints, access, folder,
    sender: (options = {}) => createSender({ access, wallet, signer, folder, ...WAITS, ...options }),
    paid: () => chain.transactionsOf(target).filter(({ inMessage }) => inMessage?.info.type === 'internal' && inMessage.info.value.coins === VALUE).length,
    close: async () => {
      await access.close();
      await chain.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
