import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Stands in front of an upstream and keeps the head of each request that the gateway sends there. */
export async function recordHeads(upstream: string) {
  const heads: IncomingHttpHeaders[] = [];
  const server = createServer((incoming, answer) => {
    heads.push(incoming.headers);
    const { method, url, headers } = incoming;
    const onward = request(new URL(url ?? '/', upstream), { method, headers }, (came) => {
      answer.writeHead(came.statusCode ?? 502, came.headers);
      answer.flushHeaders();
      came.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${new URL(upstream).pathname}`,
    heads,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
