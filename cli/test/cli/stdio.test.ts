import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { descendants, isAlive } from '../stories/processes.js';
import { modernParams } from '../stories/raw-http.js';
import { DEAD_URL, plain, startPlain } from '../stories/upstreams.js';
import { run, SLUICE, SluiceProcess, writeFile } from './sluice-process.js';

/* "My desktop client starts it, talks to it, and kills it." */

const LEGACY_REVISION = '2025-11-25';

interface Answer {
  id: unknown;
  result?: any;
  error?: { code: number; message: string };
}

const modern = (id: number, method: string, params: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method,
  params: modernParams(params),
});
const call = (id: number, name: string, args: object = {}) =>
  modern(id, 'tools/call', { name, arguments: args });
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: LEGACY_REVISION,
    capabilities: {},
    clientInfo: { name: 'by-hand', version: '1' },
  },
};

const configuration = (...upstreams: object[]) => writeFile('sluice.json', JSON.stringify({ upstreams }));

/** `sluice stdio` with a file of these upstreams, or with other arguments. */
class Stdio extends SluiceProcess {
  constructor(...args: string[]) {
    super(['stdio', '--log-format', 'json', ...args]);
    this.child.stdin?.on('error', () => {});
  }

  say(...messages: (object | string)[]): void {
    for (const message of messages)
      this.child.stdin?.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
  }

  /** Every line of stdout, parsed: nothing else may stand there. */
  get messages(): Answer[] {
    return this.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Answer);
  }

  answer(id: unknown): Promise<Answer> {
    return this.until(`an answer to ${id}`, () => this.messages.find((message) => message.id === id));
  }
}

test('both eras on one pipe, and nothing but messages on stdout', async () => {
  const sluice = new Stdio('--config', configuration(plain('a')), '--log-level', 'debug');
  sluice.say(call(2, 'a__echo', { text: 'hi' }), INITIALIZE);
  expect((await sluice.answer(2)).result.content[0].text).toBe('hi');
  expect((await sluice.answer(1)).result.protocolVersion).toBe(LEGACY_REVISION);
  sluice.say(
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    { jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'a__echo', arguments: { text: 'ho' } } },
  );
  expect((await sluice.answer(3)).result.content[0].text).toBe('ho');
  sluice.child.stdin?.end();
  expect(await sluice.ended).toBe(0);
  expect(sluice.messages.length).toBeGreaterThanOrEqual(3);
});

test('everything that was asked before stdin ended is answered, whatever its line end', async () => {
  const sluice = new Stdio('--config', configuration(plain('a')));
  sluice.child.stdin?.end(
    [
      INITIALIZE,
      { jsonrpc: '2.0', id: 2, method: 'tools/list' },
      call(3, 'a__slow', { ms: 300, text: 'late' }),
    ]
      .map((message) => JSON.stringify(message))
      .join('\r\n'),
  );
  expect(await sluice.ended).toBe(0);
  const [hello, list, late] = [1, 2, 3].map((id) => sluice.messages.find((message) => message.id === id));
  expect(hello?.result.serverInfo).toBeDefined();
  expect(list?.result.tools.map(({ name }: { name: string }) => name)).toContain('a__echo');
  expect(late?.result.content[0].text).toBe('late');
});

test('bad input is answered, and the next message is taken', async () => {
  const env = { SLUICE_LIMITS_MAX_BODY_BYTES: '64KiB' };
  const file = configuration(plain('a'));
  const sluice = new SluiceProcess(['stdio', '--config', file], env);
  const stdout = () => sluice.stdout.split('\n').filter(Boolean);
  sluice.child.stdin?.write(`{"jsonrpc":\n[]\n"text"\n${'x'.repeat(100_000)}\n\n`);
  sluice.child.stdin?.write(`${JSON.stringify(call(9, 'a__echo', { text: 'still here' }))}\n`);
  await sluice.until('the answer', () => stdout().find((line) => line.includes('still here')));
  const errors = stdout()
    .map((line) => JSON.parse(line) as Answer)
    .filter(({ error }) => error !== undefined);
  expect(errors.map(({ error }) => error?.code).sort()).toEqual([-32700, -32600, -32600, -32600].sort());
  expect(errors.map(({ error }) => error?.message).join()).toContain('limits.max_body_bytes');
});

test('a changed file is followed, a broken one is not', async () => {
  const file = configuration(plain('a'));
  const sluice = new Stdio('--config', file);
  sluice.say(call(1, 'a__echo', { text: '1' }));
  await sluice.answer(1);
  writeFileSync(file, JSON.stringify({ upstreams: [plain('a'), plain('b')] }));
  await sluice.logged('configuration applied');
  sluice.say(call(2, 'b__echo', { text: '2' }));
  expect((await sluice.answer(2)).result.content[0].text).toBe('2');
  writeFileSync(file, '{');
  await sluice.logged('configuration refused; the last good one stays');
  sluice.say(call(3, 'b__echo', { text: '3' }));
  expect((await sluice.answer(3)).result.content[0].text).toBe('3');
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s lets what runs end, and ends its servers', async (signal) => {
  const sluice = new Stdio('--config', configuration(plain('a')));
  sluice.say(call(1, 'a__whoami'));
  const { pid } = JSON.parse((await sluice.answer(1)).result.content[0].text);
  sluice.say(call(2, 'a__wait', { key: 'k' }));
  sluice.say(call(3, 'a__waits'));
  await sluice.answer(3);
  sluice.child.kill(signal);
  await sluice.logged(`stopping: told to by ${signal}`);
  sluice.say({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 2 } });
  expect(await sluice.ended).toBe(0);
  expect(isAlive(pid)).toBe(false);
});

/** A client in a process of its own, which starts sluice and can be killed. */
function startClient(grace: string, ...args: string[]): ChildProcess {
  const script = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ${JSON.stringify([SLUICE, 'stdio', ...args])});
    child.stdout.on('data', (chunk) => process.stdout.write(chunk));
    process.stdin.on('data', (chunk) => child.stdin.write(chunk));
    process.stderr.write(String(child.pid));
  `;
  return spawn(process.execPath, ['-e', script], {
    stdio: 'pipe',
    env: { ...process.env, SLUICE_SHUTDOWN_GRACE: grace },
  });
}

test('a client that is killed leaves no process behind', async () => {
  // Far longer than the test waits: whoever is not there needs no time to read.
  const client = startClient(
    '10m',
    '--config',
    configuration(plain('a'), plain('b', [], { sharing: 'per_session' })),
  );
  const [pid] = await once(client.stderr as NodeJS.ReadableStream, 'data');
  client.stdin?.write(`${JSON.stringify(INITIALIZE)}\n`);
  await once(client.stdout as NodeJS.ReadableStream, 'data');
  client.stdin?.write(`${JSON.stringify(call(2, 'a__wait', { key: 'for ever' }))}\n`);
  const started = [Number(String(pid)), ...descendants(Number(String(pid))).map((each) => each.pid)];
  expect(started.length).toBeGreaterThan(1);
  client.kill('SIGKILL');
  await expect.poll(() => started.filter(isAlive), { timeout: 15_000 }).toEqual([]);
});

test('a client that hangs up in the middle of a call does not keep it alive', async () => {
  const sluice = new Stdio('--config', configuration(plain('a')));
  sluice.say(call(1, 'a__wait', { key: 'for ever' }), call(2, 'a__echo', { text: 'hi' }));
  await sluice.answer(2);
  sluice.child.stdin?.end();
  await sluice.logged('stopping: the client has closed its side');
  // What the official SDKs do when a server does not end by itself.
  sluice.child.kill('SIGTERM');
  expect(await sluice.ended).toBe(0);
});

test('one upstream alone has its own names; an unknown one is named with those that are there', async () => {
  const file = configuration(plain('a'), plain('b'));
  const sluice = new Stdio('--config', file, '--upstream', 'b');
  sluice.say(call(1, 'whoami'));
  expect(JSON.parse((await sluice.answer(1)).result.content[0].text).name).toBe('b');
  const { code, stdout, stderr } = await run(['stdio', '--config', file, '--upstream', 'c']);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain('there is no upstream "c"; upstreams are a, b');
});

test('a configuration that is wrong is explained on stderr', async () => {
  const { code, stdout, stderr } = await run(['stdio', '--config', writeFile('sluice.yaml', 'upstreams: 3')]);
  expect([code, stdout]).toEqual([3, '']);
  expect(stderr).toContain('error:');
});

test('a relay whose server is away says so to the client and in the log', async () => {
  const sluice = new Stdio('--connect', DEAD_URL);
  sluice.say(INITIALIZE, call(2, 'echo'));
  for (const id of [1, 2]) {
    const { error } = await sluice.answer(id);
    expect(error?.code).toBe(-31001);
    expect(error?.message).toContain('cannot be reached');
  }
  await sluice.until('the reason in the log', () =>
    sluice.stderr.includes('upstream offers nothing for now') ? true : undefined,
  );
});

test('a relay sends its headers, and stays when the server goes away and comes back', async () => {
  const server = await startPlain();
  const sluice = new Stdio('--connect', server.url, '--header', 'Authorization: Bearer ${PATH}');
  sluice.say(call(1, 'echo', { text: '1' }));
  expect((await sluice.answer(1)).result.content[0].text).toBe('1');
  await server.kill();
  sluice.say(call(2, 'echo', { text: '2' }));
  expect((await sluice.answer(2)).error).toBeDefined();
  const again = await startPlain([], server.port);
  let id = 3;
  const said = await sluice.until('an answer of the server', async () => {
    sluice.say(call(++id, 'echo', { text: 'again' }));
    const { result } = await sluice.answer(id);
    if (result === undefined) await sleep(200);
    return result?.content[0].text as string | undefined;
  });
  expect(said).toBe('again');
  await again.kill();
});
