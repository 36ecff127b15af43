import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../gateway.js';
import { type CallResult, closeClients, connect, KINDS } from './official-client.js';
import { PLACE_NAMES, PLACES } from './places.js';
import { bigText, digestOf } from './plain-session.mjs';
import { type HttpServer, plain, startPlain } from './upstreams.js';

/* "I hand it a large file, and get a larger one back, and not a character is different." */

const UPLOAD_BYTES = 3 * 1024 * 1024;
const DOWNLOAD_BYTES = 5 * 1024 * 1024;
const UPSTREAMS = ['shared', 'own', 'http-legacy', 'http-modern'];

let servers: HttpServer[];
let gateway: RunningGateway;

beforeAll(async () => {
  servers = await Promise.all([startPlain(['--era', 'legacy']), startPlain(['--era', 'modern'])]);
  gateway = await startGateway({
    config: {
      upstreams: [
        plain('shared'),
        plain('own', [], { sharing: 'per_session' }),
        { name: 'http-legacy', url: servers[0]?.url },
        { name: 'http-modern', url: servers[1]?.url },
      ],
    },
  });
});
afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  await Promise.all((servers ?? []).map((server) => server.kill()));
});

/** Shared by the tests: making it takes longer than sending it. */
const upload = bigText(UPLOAD_BYTES);
const uploadDigest = digestOf(upload);
const downloadDigest = digestOf(bigText(DOWNLOAD_BYTES));

describe.each(PLACE_NAMES)('on %s', (place) => {
  const { path, name } = PLACES[place];

  describe.each(UPSTREAMS)('%s', (upstream) => {
    it.each(KINDS)('%s: a file goes up and a larger one comes down unharmed', async (kind) => {
      const client = await connect(kind, gateway.url + path(upstream));
      expect(await client.say(name(upstream, 'digest'), { text: upload })).toBe(uploadDigest);
      const { content }: CallResult = await client.call(name(upstream, 'big'), { bytes: DOWNLOAD_BYTES });
      expect(Buffer.byteLength(content[0]?.text ?? '')).toBeGreaterThanOrEqual(DOWNLOAD_BYTES);
      expect(digestOf(content[0]?.text ?? '')).toBe(downloadDigest);
    });
  });
});

it('a file over the limit is refused with 413, and the limit is named', async () => {
  const response = await fetch(`${gateway.url}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { text: bigText(5 * 1024 * 1024) },
    }),
  });
  expect(response.status).toBe(413);
  expect(await response.text()).toMatch(/4194304/);
});
