import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { missing, startServer, type TestServer } from './server-process.js';

/** Why tests that need NATS are skipped; undefined when they are not. */
export const NO_NATS = missing('nats-server', 'nats-server');

export interface NatsOptions {
  /** Default true; what is kept lies in the server's folder. */
  readonly jetstream?: boolean;
  /** More of the server's configuration, in its own language: users, permissions, TLS. */
  readonly config?: string;
}

export function startNats({ jetstream = true, config = '' }: NatsOptions = {}): Promise<TestServer> {
  return startServer({
    program: 'nats-server',
    async prepare(folder, [port]) {
      const file = join(folder, 'nats.conf');
      const store = jetstream ? `jetstream { store_dir: ${JSON.stringify(join(folder, 'jetstream'))} }` : '';
      await writeFile(file, `listen: "127.0.0.1:${port}"\n${store}\n${config}\n`);
      return ['--config', file];
    },
    url: (port) => `nats://127.0.0.1:${port}`,
    isReady: greets,
  });
}

/** The server speaks first, once JetStream has read what it keeps. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString().startsWith('INFO '));
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
