// A way to an address over loopback TCP that can be cut or held up, for tests of connections that break.
import { createServer, connect as connectTcp } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

interface HostPort { readonly host: string; readonly port: number }

export interface Forwarder extends HostPort {
  /** Breaks all connections, without a word to either side. */
  cut(): void;
  /** Passes nothing on towards the one who dialled, or goes on. */
  hold(held: boolean): void;
}

/** Listens on a free port of this machine and passes everything on to `to`, which need not be there yet. */
export async function forward(to: HostPort): Promise<Forwarder & { close(): Promise<void> }> {
  const pairs = new Set<{ readonly near: Socket; readonly far: Socket }>();
  let held = false;
  const server = createServer((near) => {
    const far = connectTcp(to);
    const pair = { near, far };
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.pipe(far);
    if (!held) far.pipe(near);
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const cut = (): void => {
    for (const { near, far } of pairs) {
      near.destroy();
      far.destroy();
    }
  };
  return {
    host: '127.0.0.1', port: (server.address() as AddressInfo).port, cut,
    hold(now) {
      held = now;
      for (const { near, far } of pairs) {
        if (now) far.unpipe(near).pause();
        else far.pipe(near);
      }
    },
    close: async () => {
      cut();
      await new Promise((resolve) => { server.close(resolve); });
    },
  };
}
