import { renameSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { serve, upstreamsNamed } from './sluice-process.js';

async function upstreamNames(url: string): Promise<string[]> {
  const health = (await (await fetch(`${url}/health`)).json()) as { upstreams: { name: string }[] };
  return health.upstreams.map(({ name }) => name);
}

test('a changed file is applied while the gateway runs, by the same process on the same port', async () => {
  const { sluice, file, url } = await serve(upstreamsNamed('one'));
  expect(await upstreamNames(url)).toEqual(['one']);
  writeFileSync(file, upstreamsNamed('one', 'two'));
  const line = await sluice.logged('configuration applied');
  expect(line).toMatchObject({ upstreams: 2, upstreamsAdded: ['two'], plugins: 0 });
  expect(Object.keys(line).filter((name) => /Changed|Removed|Reordered/.test(name))).toEqual([]);
  expect(await upstreamNames(url)).toEqual(['one', 'two']);
  expect(sluice.log.filter(({ msg }) => msg === 'listening')).toHaveLength(1);
});

test('a file that is replaced, as editors do, is followed', async () => {
  const { sluice, file, url } = await serve(upstreamsNamed('one'));
  writeFileSync(`${file}.new`, upstreamsNamed('two'));
  renameSync(`${file}.new`, file);
  await sluice.logged('configuration applied');
  expect(await upstreamNames(url)).toEqual(['two']);
});

test('a broken file is refused with its reason, and the last good one stays until it is right', async () => {
  const { sluice, file, url } = await serve(upstreamsNamed('one'));
  writeFileSync(file, `${upstreamsNamed('two')}gatway: {}\n`);
  await sluice.logged('configuration refused; the last good one stays');
  expect(sluice.log).toContainEqual(
    expect.objectContaining({
      msg: 'configuration: unknown key',
      path: 'gatway',
      file,
      line: 3,
      column: 1,
      hint: 'did you mean gateway?',
    }),
  );
  expect(await upstreamNames(url)).toEqual(['one']);
  writeFileSync(file, upstreamsNamed('two'));
  await sluice.logged('configuration applied');
  expect(await upstreamNames(url)).toEqual(['two']);
});

test('flags stay above the file when it changes', async () => {
  const { sluice, file } = await serve(upstreamsNamed('one'), '--log-level', 'info');
  writeFileSync(file, `gateway: { log: { level: silent } }\n${upstreamsNamed('two')}`);
  await sluice.logged('configuration applied');
});

test('SIGHUP reads the file again', async () => {
  const { sluice } = await serve(upstreamsNamed('one'));
  sluice.child.kill('SIGHUP');
  await sluice.logged('configuration is unchanged');
});

test('what needs a restart is named as it is written, and the rest is applied', async () => {
  const { sluice, file } = await serve(upstreamsNamed('one'));
  writeFileSync(file, `gateway: { listen: { workers: 2 } }\n${upstreamsNamed('one')}`);
  expect(await sluice.logged('needs a restart: gateway.listen.workers')).toMatchObject({
    settings: ['gateway.listen.workers'],
  });
  writeFileSync(
    file,
    `gateway: { listen: { workers: 2 }, sessions: { idle_timeout: 5m } }\n${upstreamsNamed('one')}`,
  );
  await sluice.logged('configuration applied');
  expect(sluice.log.map(({ msg }) => msg)).not.toContain('configuration is unchanged');
});

test('a limit that changes is the limit from then on', async () => {
  const { sluice, file, url } = await serve(upstreamsNamed('one'));
  const initialize = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  };
  const begin = async () => {
    const answer = await fetch(`${url}/mcp`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize }),
    });
    await answer.text();
    return answer.headers.get('mcp-session-id') as string;
  };
  const end = (session: string) =>
    fetch(`${url}/mcp`, { method: 'DELETE', headers: { 'mcp-session-id': session } });
  const first = await begin();
  await begin();
  expect((await end(first)).status).toBe(200);
  writeFileSync(file, `gateway: { sessions: { max_sessions: 1 } }\n${upstreamsNamed('one')}`);
  await sluice.logged('configuration applied');
  const second = await begin();
  await begin();
  expect((await end(second)).status).toBe(404);
});
