/** A cable to a server that a test can cut: with a word to both ends, or without one. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CutProxy {
  readonly port: number;
  /** Ends every connection, and refuses others until `mend`. */
  cut(): void;
  /** From now on nothing passes, and nobody is told. */
  silence(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function startCutProxy(targetPort: number): Promise<CutProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  let isSilent = false;
  const server = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const upstream = connect(targetPort, '127.0.0.1');
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.on('data', (data) => {
        if (!isSilent) to.write(data);
      });
      from.on('error', () => {});
      from.on('close', () => {
        to.destroy();
        pairs.delete(pair);
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endAll = () => {
    for (const [client, upstream] of pairs) {
      client.destroy();
      upstream.destroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      isCut = true;
      endAll();
    },
    silence() {
      isSilent = true;
    },
    mend() {
      // What was swallowed is missed by both ends, who must not go on as if nothing had been.
      if (isSilent) endAll();
      isCut = false;
      isSilent = false;
    },
    async close() {
      endAll();
      server.close();
      await once(server, 'close');
    },
  };
}
