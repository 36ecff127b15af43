import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SluiceProcess, writeFile } from '../../cli/sluice-process.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { type HttpServer, startPlain } from '../upstreams.js';
import { stdioWireIn } from '../wires.js';

/* "My desktop client starts the gateway as a command, and the file asks for keys." */

const SECRET = 'a secret of at least thirty-two characters';
const { key, ...entry } = createApiKey(SECRET);
const env = { KEY_SECRET: SECRET, MY_KEY: key, SLUICE_MY_KEY: key };
const HEADER = ['--header', 'X-API-Key: ${MY_KEY}'];

let server: HttpServer;

beforeAll(async () => {
  server = await startPlain();
});
afterAll(async () => {
  await closeClients();
  await server?.kill();
});

const keys = () => ({
  plugin: 'auth-api-key',
  config: { hash_key: '${KEY_SECRET}', keys: [{ ...entry, consumer: 'ada', scopes: ['echo'] }] },
});
const file = (...plugins: object[]) =>
  writeFile('sluice.json', JSON.stringify({ upstreams: [{ name: 'a', url: server.url }], plugins }));

const REFUSED = /^every request of the client will be refused: /;

/** What it says about its start, and about whether the client will be let in. */
async function warningsOf(config: string, ...args: string[]): Promise<string[]> {
  const sluice = new SluiceProcess(['stdio', '--log-format', 'json', '--config', config, ...args], env);
  sluice.child.stdin?.end(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })}\n`);
  expect(await sluice.ended).toBe(0);
  return sluice.stderr
    .split('\n')
    .filter((line) => line.startsWith('{') && JSON.parse(line).level === 40)
    .map((line) => JSON.parse(line).msg as string);
}

it.each(KINDS)('%s is known by the header that the command was given', async (kind) => {
  const wire = stdioWireIn(env, '--config', file(keys()), ...HEADER);
  const client = await connect(kind, '', { transport: wire(kind) });
  expect(await client.say('a__echo', { text: 'hi' })).toBe('hi');
});

it.each(KINDS)('%s is refused without one, and told how it would be let in', async (kind) => {
  const wire = stdioWireIn(env, '--config', file(keys()));
  // A client that is pinned to one revision says what it makes of the refusal in place of the refusal.
  const said = kind === 'SDK v2 2026-07-28' ? 'did not offer' : '--header';
  await expect(connect(kind, '', { transport: wire(kind) })).rejects.toThrow(said);
});

it.each(KINDS)('what %s may do is decided by who it is', async (kind) => {
  const authorize = { plugin: 'authorize', config: { permissions: { 'a:echo': ['echo'] } } };
  const wire = stdioWireIn(env, '--config', file(keys(), authorize), ...HEADER);
  const client = await connect(kind, '', { transport: wire(kind) });
  expect(await client.toolNames()).toEqual(['a__echo']);
});

it('says at the start that everybody would be refused, and says nothing where that is not so', async () => {
  expect(await warningsOf(file(keys()))).toEqual([expect.stringMatching(REFUSED)]);
  expect(await warningsOf(file(keys()), '--header', 'X-API-Key: slk_wrong')).toEqual([
    expect.stringMatching(REFUSED),
  ]);
  expect(await warningsOf(file(keys()), ...HEADER)).toEqual([]);
  expect(await warningsOf(file(keys()), '--header', 'X-API-Key: ${SLUICE_MY_KEY}')).toEqual([]);
  expect(await warningsOf(file(keys(), { plugin: 'anonymous' }))).toEqual([]);
  expect(await warningsOf(file())).toEqual([]);
});

it('refuses a header that cannot be one before it begins, and never shows its value', async () => {
  for (const line of [
    'X-API-Key: ${NOBODY_SETS_THIS}',
    'X-API-Key: hunter2\nX-Other: 1',
    'Bad Name: hunter2',
  ]) {
    const sluice = new SluiceProcess(['stdio', '--config', file(keys()), '--header', line], env);
    expect(await sluice.ended).toBe(3);
    expect(sluice.stderr).toMatch(/^--header: error: /);
    expect(sluice.stderr).not.toContain('hunter2');
  }
});
