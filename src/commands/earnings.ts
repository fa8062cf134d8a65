// Where the journals of earnings lie: one folder a network, as the payment books.
import { join } from 'node:path';
import type { ChainNetwork } from '../chain/networks.ts';
import type { Settings } from '../core/settings.ts';

/** `network` null: the local network without contracts. */
export const journalFolder = ({ home }: Pick<Settings, 'home'>, network: Pick<ChainNetwork, 'name' | 'globalId'> | null): string =>
  join(home, 'earnings', network === null ? 'local_unpaid' : `${network.name}_${network.globalId}`);
