import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { closeClients, connect, KINDS } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "I ask for more than my server says by itself, and hear it, whoever else is connected and asked for less." */

const QUIET = ['--log-level', 'error'];
let gateway: RunningGateway;
let server: HttpServer;

beforeAll(async () => {
  server = await startPlain(QUIET);
  gateway = await startGateway({
    // One worker has the shared process, the other one asks it there.
    workers: 2,
    config: {
      upstreams: [
        plain('shared', QUIET),
        plain('own-process', QUIET, { sharing: 'per_session' }),
        { name: 'over-http', url: server.url },
      ],
    },
  });
});
afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  await server?.kill();
});

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name } = PLACES[place];

  describe.each(['shared', 'own-process', 'over-http'])('%s', (upstream) => {
    const hearing = async (
      kind: (typeof KINDS)[number],
      logLevel: 'debug' | 'error',
      canBeAsked: boolean,
    ) => {
      const handlers = canBeAsked ? { onElicit: () => ({ action: 'cancel' }) } : {};
      const client = await connect(kind, gateway.url + path(upstream), handlers);
      if (!client.isModern) await client.setLevel(logLevel);
      return async (level: string) => {
        client.heard.length = 0;
        const options = client.isModern ? { logLevel } : {};
        await client.say(name(upstream, 'say'), { level, text: `it is ${level}` }, options);
        return client.heard
          .filter(({ method }) => method === 'notifications/message')
          .map(({ params }) => params.data);
      };
    };

    describe.each([true, false])('a client that can be asked: %s', (canBeAsked) => {
      it.each(KINDS)('%s', async (kind) => {
        const strict = await hearing(kind, 'error', canBeAsked);
        expect(await strict('error')).toEqual(['it is error']);
        const curious = await hearing(kind, 'debug', canBeAsked);
        expect(await curious('debug')).toEqual(['it is debug']);
        expect(await strict('warning')).toEqual([]);
        expect(await curious('info')).toEqual(['it is info']);
      });
    });
  });
});
