import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { boundConnections } from './bounded-connections.js';

it('closes one connection more than there may be, and takes the next when one has gone', async () => {
  const server = new Server();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  boundConnections(server, 2);
  const sockets: Socket[] = [];
  const opened = async () => {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {});
    // Whoever is taken is greeted with the settings of HTTP/2.
    return Promise.race([
      once(socket, 'data').then(() => 'taken'),
      once(socket, 'close').then(() => 'closed'),
    ]);
  };
  expect([await opened(), await opened(), await opened()]).toEqual(['taken', 'taken', 'closed']);
  sockets[0]?.destroy();
  await expect.poll(opened).toBe('taken');
  for (const socket of sockets) socket.destroy();
  server.forceShutdown();
});

it('says when it cannot be done', () => {
  expect(() => boundConnections(new Server(), 2)).toThrow('does not say what it listens with');
});
