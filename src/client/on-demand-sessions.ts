// Sessions for a run that asks and ends: the first is dialled when it is needed, the next one only when it is gone, so that no
// proxy is dialled, and nothing is deposited with it, that is not used. What a pool keeps warm, this does not.
import { NetworkError } from '../core/errors.ts';
import type { ConnectedProxy, Connector } from './connect.ts';
import type { SessionPool } from './session-pool.ts';

export interface OnDemandSessions extends Pick<SessionPool, 'acquire' | 'sessions'> {
  /** Ends the sessions; nothing can be acquired afterwards. */
  close(): void;
}

export interface OnDemandOptions {
  readonly connector: Pick<Connector, 'connect'>;
  /** Told of each new session. */
  readonly onConnected?: (proxy: ConnectedProxy) => Promise<void>;
}

/** `acquire` throws what connecting throws, at once. Callers at the same time share one dialling. */
export function onDemandSessions({ connector, onConnected = async () => {} }: OnDemandOptions): OnDemandSessions {
  const ending = new AbortController();
  let open: readonly ConnectedProxy[] = [];
  let dialling: Promise<ConnectedProxy> | null = null;

  const dial = async (options: Parameters<Connector['connect']>[0]): Promise<ConnectedProxy> => {
    const proxy = await connector.connect({ ...options, signal: AbortSignal.any([options.signal, ending.signal]) });
    open = [...open, proxy];
    void proxy.session.closed.then(() => { open = open.filter((each) => each !== proxy); });
    if (ending.signal.aborted) proxy.session.close();
    await onConnected(proxy);
    return proxy;
  };

  return {
    sessions: () => open,
    async acquire(options) {
      for (;;) {
        const found = open.find(({ address }) => options.except?.has(address) !== true);
        if (found !== undefined) return found;
        if (dialling === null) {
          dialling = dial(options).finally(() => { dialling = null; });
          return dialling;
        }
        await dialling;
      }
    },
    close() {
      ending.abort(new NetworkError('E_CLOSED', 'the client is stopping'));
      for (const { session } of open) session.close();
    },
  };
}
