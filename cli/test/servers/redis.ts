import { missing, startServer, type TestServer } from './server-process.js';

/** Why tests that need a Redis are skipped; undefined when they are not. */
export const NO_REDIS = missing('redis-server', 'redis-server');

/** Keeps everything in memory. */
export function startRedis(): Promise<TestServer> {
  return startServer({
    program: 'redis-server',
    prepare: (folder, [port]) => [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
      ...['--save', '', '--appendonly', 'no'],
    ],
    url: (port) => `redis://127.0.0.1:${port}`,
  });
}
