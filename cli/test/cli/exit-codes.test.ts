import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { DEAD_URL } from '../stories/upstreams.js';
import { run, SluiceProcess, serve, upstreamsNamed, writeFile } from './sluice-process.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function takePort(): Promise<number> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

describe('a command line that is wrong ends with 2 and says what would be right', () => {
  test.each([
    [['serve', '--port', 'http'], 'Give a port from 0 to 65535.'],
    [['serve', '--confg', 'a.yaml'], 'Did you mean --config?'],
    [['health', 'not an address'], 'give a URL such as http://127.0.0.1:8080'],
    [['start'], "unknown command 'start'"],
  ])('%j', async (args, message) => {
    const { code, stderr } = await run(args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe('a configuration that is wrong ends with 3', () => {
  const broken = 'upstreams:\n  - name: files\n    comand: node\n';

  test.each(['validate', 'serve'])('%s says file, line, column, and what would be right', async (command) => {
    const file = writeFile('broken.yaml', broken);
    const { code, stdout, stderr } = await run(
      command === 'serve' ? ['serve', '--config', file] : [command, file],
    );
    expect(stderr).toContain(`${file}:3:5: error: upstreams[0].comand: unknown key\n`);
    expect(stderr).toContain('did you mean command?');
    expect([code, stdout]).toEqual([3, '']);
  });

  test.each(['validate', 'serve'])('%s names a file that is not there', async (command) => {
    const file = '/nowhere/sluice.yaml';
    const { code, stderr } = await run(command === 'serve' ? ['serve', '--config', file] : [command, file]);
    expect(stderr).toContain(`${file}: error: there is no such file\n`);
    expect(code).toBe(3);
  });

  test('serve without any configuration says how to give one', async () => {
    const { code, stderr } = await run(['serve'], {}, '/');
    expect(stderr).toContain('there is no configuration');
    expect(stderr).toContain('--config FILE');
    expect(code).toBe(3);
  });

  test('listening beyond this machine needs --insecure', async () => {
    const file = writeFile('sluice.yaml', upstreamsNamed('files'));
    const { code, stderr } = await run(['serve', '--config', file, '--host', '0.0.0.0']);
    expect(stderr).toMatch(/^--host: error: .*listen.host/);
    expect(code).toBe(3);
  });
});

test('a valid configuration ends with 0', async () => {
  const file = writeFile('sluice.yaml', upstreamsNamed('one', 'two'));
  expect(await run(['validate', file])).toEqual({
    code: 0,
    stdout: `${file} is valid: 2 upstreams\n`,
    stderr: '',
  });
});

describe('validate without a file', () => {
  const folder = () => dirname(writeFile('sluice.yaml', upstreamsNamed('one')));

  test('takes what serve would take', async () => {
    const other = writeFile('other.yaml', upstreamsNamed('one', 'two'));
    expect((await run(['validate'], {}, folder())).stdout).toBe('sluice.yaml is valid: 1 upstream\n');
    expect((await run(['validate'], { SLUICE_CONFIG: other }, folder())).stdout).toBe(
      `${other} is valid: 2 upstreams\n`,
    );
    const { stdout } = await run(['validate'], { SLUICE_UPSTREAMS_A_URL: DEAD_URL }, dirname(other));
    expect(stdout).toBe('the configuration of the environment is valid: 1 upstream\n');
  });

  test('says so where there is none', async () => {
    const { code, stderr } = await run(['validate'], {}, dirname(writeFile('other.yaml', '')));
    expect([code, stderr]).toEqual([3, expect.stringContaining('there is no configuration')]);
    expect(stderr).toContain('write sluice.yaml in this folder');
  });
});

test('the plugins of a valid configuration are counted', async () => {
  const plugins = [{ plugin: 'anonymous' }, { plugin: 'security-headers' }];
  const file = writeFile('sluice.json', JSON.stringify({ upstreams: { one: { command: 'c' } }, plugins }));
  const { code, stdout } = await run(['validate', file]);
  expect(stdout).toBe(`${file} is valid: 1 upstream, 2 plugins\n`);
  expect(code).toBe(0);
});

test('upstreams that are disabled are counted by themselves', async () => {
  const servers = { one: { command: 'c' }, two: { command: 'c', disabled: true }, three: { type: 'pigeon' } };
  const file = writeFile(
    'client.json',
    `// From a desktop client.\n${JSON.stringify({ mcpServers: servers })}`,
  );
  const { code, stdout, stderr } = await run(['validate', file]);
  expect(stdout).toBe(`${file} is valid: 1 upstream, 1 disabled\n`);
  expect(stderr).toMatch(/:2:\d+: warning: mcpServers.three.type: not a known transport/);
  expect(code).toBe(0);
});

test('a port that is taken ends with 5', async () => {
  const port = await takePort();
  const file = writeFile('sluice.yaml', upstreamsNamed('files'));
  const { code, stderr } = await run(['serve', '--config', file, '--port', String(port)]);
  expect(stderr).toContain(`cannot listen on 127.0.0.1:${port}: something listens there already`);
  expect(code).toBe(5);
});

test('a second gateway on the same port ends with 5, and the first goes on', async () => {
  const { url, file } = await serve(upstreamsNamed('files'));
  const { code } = await run(['serve', '--config', file, '--port', new URL(url).port]);
  expect(code).toBe(5);
  expect((await fetch(`${url}/live`)).status).toBe(200);
});

test('health ends with 4 when nobody answers, and when an upstream failed', async () => {
  const { url } = await serve(upstreamsNamed('files'));
  const failed = await run(['health', url]);
  expect(failed.stdout).toContain('0 of 1 upstreams ready');
  expect(failed.code).toBe(4);
  const nobody = await run(['health', 'http://127.0.0.1:9']);
  expect(nobody.stderr).toContain('no answer about health from http://127.0.0.1:9/health');
  expect(nobody.code).toBe(4);
});

test('version tells what is installed', async () => {
  const { code, stdout } = await run(['version']);
  expect(stdout).toContain(`Node.js ${process.version}`);
  expect(code).toBe(0);
});

test.each([
  [['serve', '--help'], 0],
  [['health', 'http://127.0.0.1:9'], 4],
])('%j is not disturbed by a reader that leaves', async (args, expected) => {
  const { child, ended } = new SluiceProcess(args);
  child.stdout?.destroy();
  child.stderr?.destroy();
  expect(await ended).toBe(expected);
});
