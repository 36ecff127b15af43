/** A balancer without affinity: each request goes to the next target that takes connections. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';

export async function startBalancer(targets: readonly string[]): Promise<Server> {
  let turn = 0;
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk) => chunks.push(chunk));
    incoming.on('end', () => pass(incoming, outgoing, Buffer.concat(chunks), turn++, targets.length));
  });
  function pass(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    body: Buffer,
    next: number,
    left: number,
  ): void {
    const url = new URL(incoming.url ?? '/', targets[next % targets.length]);
    const { method, headers } = incoming;
    let isAnswered = false;
    const sent = request(url, { method, headers: { ...headers, host: url.host } }, (answer) => {
      isAnswered = true;
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
      answer.on('error', () => outgoing.destroy());
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      // Only what no node can have seen is given to another one.
      if (!isAnswered && error.code === 'ECONNREFUSED' && left > 1)
        pass(incoming, outgoing, body, next + 1, left - 1);
      else outgoing.destroy();
    });
    outgoing.on('close', () => sent.destroy());
    sent.end(body);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
