import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createApiKey } from '@sluice/plugins/credentials';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { type HttpServer, startPlain } from '../upstreams.js';

/* "I can say who did what, prove that nobody has changed what I say, and forget somebody who asks for that." */

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const SECRET = 'a secret of at least thirty-two characters';
const KEYS = { ada: createApiKey(SECRET), bob: createApiKey(SECRET) };
const ERAS = ['legacy', 'modern'] as const;
const TRACE = '0af7651916cd43dd8448eb211c80319c';

const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-story-'));
const file = join(folder, 'audit.sqlite');
const servers: HttpServer[] = [];
let gateway: RunningGateway;

beforeAll(async () => {
  for (const era of ERAS) servers.push(await startPlain(['--era', era]));
  gateway = await startGateway({
    workers: 2,
    config: {
      upstreams: ERAS.map((era, index) => ({ name: era, url: servers[index]?.url })),
      plugins: [
        {
          plugin: 'auth-api-key',
          config: {
            hash_key: SECRET,
            keys: Object.entries(KEYS).map(([consumer, { prefix, hash }]) => ({
              prefix,
              hash,
              consumer,
              scopes: consumer === 'ada' ? ['scope:all'] : [],
            })),
          },
        },
        { plugin: 'authorize', config: { permissions: { '*:*': ['scope:all'] } } },
        { plugin: 'audit', config: { file, durability: 'none_lost' } },
      ],
    },
  });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  for (const server of servers) await server.kill();
  rmSync(folder, { recursive: true, force: true });
});

function sluice(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'audit', ...args], {
    env: { ...process.env, SLUICE_AUDIT_FILE: file },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

/** The file is there with the first record. */
function recorded(...filter: string[]): any[] {
  if (!existsSync(file)) return [];
  const { status, stdout, stderr } = sluice('query', '-o', 'json', '--limit', '1000', ...filter);
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

describe.each(KINDS)('%s', (kind) => {
  it.each(ERAS)('is recorded by what it calls of a %s server', async (era) => {
    const before = recorded().at(-1)?.seq ?? 0;
    const client = await connect(kind, `${gateway.url}/mcp`, {
      headers: { 'X-API-Key': KEYS.ada.key, traceparent: `00-${TRACE}-b7ad6b7169203331-01` },
    });
    await client.call(`${era}__echo`, { text: 'mail ada@example.com' });
    const record = recorded('--tool', `${era}:echo`).find(({ seq }) => seq > before);
    expect(record).toMatchObject({
      kind: 'exchange',
      trace: TRACE,
      endpoint: '/mcp',
      transport: 'http',
      era: client.isModern ? 'modern' : 'legacy',
      revision: client.revision(),
      method: 'tools/call',
      upstream: era,
      target: { kind: 'tool', name: 'echo' },
      decision: 'allow',
      outcome: 'ok',
      consumer: 'ada',
      client: { name: 'story', version: '1.0.0' },
      arguments: { text: expect.stringMatching(/^mail \[redacted:email:\w{12}\]$/) },
    });
    expect(record.result_bytes).toBeGreaterThan(20);
  });

  it.each(ERAS)('is recorded with what it cancels at a %s server', async (era) => {
    const before = recorded().at(-1)?.seq ?? 0;
    const client = await connect(kind, `${gateway.url}/mcp/${era}`, {
      headers: { 'X-API-Key': KEYS.ada.key },
    });
    const stop = new AbortController();
    const key = `${kind} ${era}`;
    const call = client.call('wait', { key }, { signal: stop.signal });
    const failed = expect(call).rejects.toThrow();
    const waits = async () => JSON.parse(await client.say('waits')).waiting;
    await expect.poll(waits, { timeout: 10_000 }).toContain(key);
    stop.abort();
    await failed;
    await vi.waitFor(() => {
      const found = recorded('--tool', 'wait').filter(({ seq }) => seq > before);
      expect(found.map(({ outcome }) => outcome)).toEqual(['cancelled']);
    }, 10_000);
  });

  it('is recorded with who refused it', async () => {
    const before = recorded().at(-1)?.seq ?? 0;
    const client = await connect(kind, `${gateway.url}/mcp/modern`, {
      headers: { 'X-API-Key': KEYS.bob.key },
    });
    await expect(client.call('echo', { text: 'x' })).rejects.toThrow();
    const record = recorded('--outcome', 'refused', '--decision', 'deny').find(
      ({ seq, method }) => seq > before && method === 'tools/call',
    );
    expect(record).toMatchObject({ consumer: 'bob', decided_by: 'authorize', code: -31_007 });
  });
});

it('whom nobody lets in is recorded', async () => {
  const answer = await fetch(`${gateway.url}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}',
  });
  expect(answer.status).toBe(401);
  expect(recorded('--outcome', 'refused').filter(({ kind }) => kind === 'refused')).toEqual([
    expect.objectContaining({ decided_by: 'sluice', endpoint: '/mcp', code: -31_009 }),
  ]);
});

it('the chain of both workers verifies, also after a crash in the middle of calls', async () => {
  const said = sluice('verify');
  expect(said.stdout).toMatch(/all records are what they were; the end is \d+:[0-9a-f]{64}\n$/);
  expect(said.status).toBe(0);
  const end = /the end is (\S+)/.exec(said.stdout)?.[1] as string;

  const answered: string[] = [];
  let isOver = false;
  const calling = Array.from({ length: 4 }, async (_, caller) => {
    for (let index = 0; !isOver; index++) {
      const text = `call ${caller} ${index}`;
      const answer = await fetch(`${gateway.url}/mcp/modern`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': 'echo',
          'x-api-key': KEYS.ada.key,
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: {
            name: 'echo',
            arguments: { text },
            _meta: {
              'io.modelcontextprotocol/protocolVersion': '2026-07-28',
              'io.modelcontextprotocol/clientInfo': { name: 'crash', version: '1' },
              'io.modelcontextprotocol/clientCapabilities': {},
            },
          },
        }),
      }).catch(() => undefined);
      if (answer?.status !== 200) return;
      const body = await answer.text().catch(() => '');
      if (body.includes(text)) answered.push(text);
    }
  });
  await vi.waitFor(() => expect(answered.length).toBeGreaterThan(50), 10_000);
  const [child] = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8').trim().split(' ');
  process.kill(Number(child), 'SIGKILL');
  await Promise.all(calling);
  isOver = true;
  const texts = new Set(recorded('--tool', 'modern:echo').map((record) => record.arguments?.text));
  expect(answered.filter((text) => !texts.has(text))).toEqual([]);
  expect(sluice('verify', '--expect', end)).toMatchObject({ status: 0 });
}, 60_000);

it('a principal is forgotten, a hold keeps, and the chain holds', async () => {
  const [{ principal }] = recorded('--tool', 'legacy:echo');
  expect(sluice('hold', 'add', 'case-7', '--principal', principal).status).toBe(0);
  expect(sluice('erase', '--principal', principal).stdout).toMatch(
    /^0 records .*\n\d+ records stay as they are/,
  );
  expect(sluice('hold', 'list').stdout).toMatch(/NAME +PRINCIPAL.*\ncase-7/);
  expect(sluice('hold', 'remove', 'case-7').status).toBe(0);
  expect(sluice('erase', '--principal', principal).stdout).toMatch(
    /^\d+ records of \S+ no longer say who it was\n$/,
  );
  expect(recorded('--principal', principal)).toEqual([]);
  for (const part of [file, `${file}-wal`].filter(existsSync))
    expect(readFileSync(part).includes(principal), part).toBe(false);
  expect(sluice('verify').stdout).toMatch(/of them without what was taken out/);
});

it('what is still held when the gateway is told to stop is written first', async () => {
  const last = join(folder, 'last.sqlite');
  const other = await startGateway({
    workers: 2,
    config: {
      upstreams: [{ name: 'modern', url: servers[1]?.url }],
      plugins: [{ plugin: 'audit', config: { file: last, flush_interval: '1m' } }],
    },
  });
  const client = await connect('SDK v2 2026-07-28', `${other.url}/mcp/modern`);
  for (let index = 0; index < 5; index++) await client.say('echo', { text: `${index}` });
  await client.close();
  expect(await other.stop()).toBe(0);
  const { stdout } = sluice('query', '--file', last, '--tool', 'echo', '-o', 'json');
  expect(
    JSON.parse(stdout)
      .map((record: any) => record.arguments.text)
      .sort(),
  ).toEqual(['0', '1', '2', '3', '4']);
});

it('a full disk stops what must not be lost and nothing else, and all goes on when there is room', async () => {
  const files = { legacy: join(folder, 'full-legacy.sqlite'), modern: join(folder, 'full-modern.sqlite') };
  const other = await startGateway({
    config: {
      upstreams: ERAS.map((era, index) => ({ name: era, url: servers[index]?.url })),
      plugins: [
        {
          ...{ plugin: 'audit', name: 'strict', endpoints: ['/mcp/modern'] },
          config: { file: files.modern, durability: 'none_lost' },
        },
        {
          ...{ plugin: 'audit', name: 'lax', endpoints: ['/mcp/legacy'] },
          config: { file: files.legacy, queue_records: 100 },
        },
      ],
    },
  });
  try {
    const [strict, lax] = await Promise.all(
      (['modern', 'legacy'] as const).map((era) => connect('SDK v2 2026-07-28', `${other.url}/mcp/${era}`)),
    );
    const say = async (client = strict, text = 'x') => client?.say('echo', { text });
    expect([await say(strict), await say(lax)]).toEqual(['x', 'x']);
    const [child] = readFileSync(`/proc/${other.pid}/task/${other.pid}/children`, 'utf8').trim().split(' ');
    const limit = (size: string) =>
      expect(spawnSync('prlimit', ['--pid', String(child), `--fsize=${size}:`]).status).toBe(0);
    limit('0');
    // What runs when the disk is found to be full is held back, what comes then does not run.
    const first = say(strict).catch(({ message }: Error) => message);
    await expect.poll(() => other.logs(), { timeout: 10_000 }).toMatch('audit records cannot be written');
    await expect(say(strict)).rejects.toThrow(/nothing passes while the audit log cannot be written/);
    for (let index = 0; index < 150; index++) expect(await say(lax, `${index}`)).toBe(`${index}`);
    limit('unlimited');
    // On a machine that is slow, for too long.
    expect(await first).toMatch(/^x$|the call may have run/);
    await vi.waitFor(async () => expect(await say(strict, 'again')).toBe('again'), 10_000);
    expect(await say(lax, 'again')).toBe('again');
    expect(await other.stop()).toBe(0);
    for (const file of Object.values(files)) expect(sluice('verify', '--file', file).status).toBe(0);
    const all = JSON.parse(sluice('query', '--file', files.legacy, '-o', 'json', '--limit', '1000').stdout);
    const gap = all.find(({ kind }: any) => kind === 'gap');
    expect(all.filter(({ kind }: any) => kind === 'exchange').length + gap.lost).toBeGreaterThanOrEqual(152);
  } finally {
    await other.stop();
  }
}, 60_000);
