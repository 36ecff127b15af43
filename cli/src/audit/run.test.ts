import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditFile, CHECKPOINT_DEFAULTS, keyFileOf, signingKey } from '@sluice/plugins/audit';
import { afterAll, describe, expect, it } from 'vitest';
import type { AuditCommand, ExportFlags, QueryFlags } from './audit-command-line.js';
import { runAuditCommand } from './run.js';

const NOW_MS = Date.parse('2027-01-31T12:00:00Z');
const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-commands-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = join(folder, 'audit.sqlite');
const opened = new AuditFile({
  file,
  key: signingKey(keyFileOf(file)),
  now: () => NOW_MS,
  checkpoint: CHECKPOINT_DEFAULTS,
});
const CALLS = [
  { principal: 'ada', name: 'read', outcome: 'ok', hoursAgo: 30 },
  { principal: 'ada', name: 'delete', outcome: 'refused', hoursAgo: 20, code: -31_007 },
  { principal: 'bob', name: 'write Grüße\u001b[2J', outcome: 'ok', hoursAgo: 2 },
  { principal: 'bob', name: 'read', outcome: 'error', hoursAgo: 1, code: -32_000 },
];
opened.append(
  CALLS.map(({ principal, name, outcome, hoursAgo, code }, index) => {
    const id = `r-${index}`;
    const timeMs = NOW_MS - hoursAgo * 3_600_000;
    const open = {
      kind: 'exchange',
      id,
      time: new Date(timeMs).toISOString(),
      trace: `${index}`.repeat(32),
      method: 'tools/call',
      upstream: 'files',
      target: { kind: 'tool', name },
      decision: outcome === 'refused' ? 'deny' : 'allow',
      decided_by: 'rules',
      rule: 'some',
      outcome,
      code,
      result_bytes: 10,
      duration_ms: index,
    };
    return {
      id,
      timeMs,
      open: JSON.stringify(open),
      personal: JSON.stringify({ principal, arguments: { index } }),
    };
  }),
);
opened.end();

async function run(command: AuditCommand) {
  let [out, err] = ['', ''];
  const code = await runAuditCommand(command, {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    nowMs: NOW_MS,
  });
  return { code, out, err };
}

const query = (flags: Partial<QueryFlags>) =>
  run({ name: 'query', flags: { file, limit: 100, output: 'jsonl', ...flags } });
const exported = (flags: Partial<ExportFlags>) =>
  run({ name: 'export', flags: { file, to: 'jsonl', ...flags } });

describe('sluice audit query', () => {
  it.each<[Partial<QueryFlags>, number[]]>([
    [{}, [1, 2, 3, 4]],
    [{ limit: 2 }, [3, 4]],
    [{ since: '24h' }, [2, 3, 4]],
    [{ since: '2027-01-31T10:00:00Z' }, [3, 4]],
    [{ until: '10h' }, [1, 2]],
    [{ principal: 'ada' }, [1, 2]],
    [{ tool: 'read' }, [1, 4]],
    [{ tool: 'files:read' }, [1, 4]],
    [{ tool: 'other:read' }, []],
    [{ outcome: 'refused' }, [2]],
    [{ decision: 'allow', principal: 'bob' }, [3, 4]],
    [{ trace: '2'.repeat(32) }, [3]],
    [{ principal: "' OR 1=1 --" }, []],
  ])('%j', async (flags, expected) => {
    const { code, out } = await query(flags);
    const lines = out.split('\n').filter((line) => line !== '');
    expect([code, lines.map((line) => JSON.parse(line).seq)]).toEqual([0, expected]);
  });

  it('prints a table, without what a terminal would obey', async () => {
    const { out } = await query({ output: 'table' });
    expect(out).toMatch(/^RECORD +TIME +PRINCIPAL +WHAT +DECISION +OUTCOME +MS +BYTES\n/);
    expect(out).toContain('tools/call files:delete');
    expect(out).toContain('deny (rules some)');
    expect(out).toContain('write Grüße\\x1b[2J');
    expect(out).not.toContain('\u001b');
    expect(JSON.parse((await query({ output: 'json' })).out)).toHaveLength(4);
  });
});

describe('sluice audit export', () => {
  it('goes on where it ended', async () => {
    const out = join(folder, 'records.jsonl');
    expect((await exported({ out })).err).toBe('4 records were exported; the last is 4\n');
    expect((await exported({ out, after: 4 })).err).toBe('0 records were exported\n');
    expect(readFileSync(out, 'utf8').trim().split('\n')).toHaveLength(4);
    expect(statSync(out).mode & 0o777).toBe(0o600);
  });

  it('writes messages of RFC 5424', async () => {
    const [first, second, third] = (await exported({ to: 'syslog' })).out.split('\n');
    expect(first).toMatch(
      /^<110>1 2027-01-30T06:00:00\.000Z \S+ sluice - exchange \[meta sequenceId="1"\] \{"seq":1,/,
    );
    expect(second).toMatch(/^<108>1 /);
    expect(third).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse((third as string).slice((third as string).indexOf('{'))).target.name).toBe(
      CALLS[2]?.name,
    );
  });

  it('sends them over TCP, each with its length', async () => {
    let got = '';
    const server = createServer((socket) => void socket.on('data', (chunk) => (got += chunk))).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code } = await exported({ to: 'syslog', tcp: `127.0.0.1:${port}` });
    await new Promise((resolve) => server.close(resolve));
    expect(code).toBe(0);
    let count = 0;
    for (; got !== ''; count++) {
      const [head = '', length] = /^([0-9]+) </.exec(got) ?? [];
      const start = head.length - 1;
      expect(got.slice(start)).toMatch(/^<1(?:10|08)>1 /);
      got = got.slice(start + Number(length));
    }
    expect(count).toBe(4);
  });

  it('sends logs of OpenTelemetry', async () => {
    const bodies: any[] = [];
    const fields: unknown[] = [];
    let status = 200;
    const server = createHttpServer((request, response) => {
      let text = '';
      request.on('data', (chunk) => (text += chunk));
      request.on('end', () => {
        bodies.push(JSON.parse(text));
        fields.push(request.headers.authorization);
        response.writeHead(status).end('{}');
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/logs`;
    expect((await exported({ to: 'otlp', url, header: ['Authorization: Bearer x'] })).code).toBe(0);
    const logs = bodies[0].resourceLogs[0].scopeLogs[0].logRecords;
    expect(logs).toHaveLength(4);
    expect(logs[1]).toMatchObject({
      timeUnixNano: `${NOW_MS - 20 * 3_600_000}000000`,
      severityText: 'WARN',
      traceId: '1'.repeat(32),
    });
    expect(fields).toEqual(['Bearer x']);
    status = 503;
    const { code, err } = await exported({ to: 'otlp', url });
    server.close();
    expect([code, err]).toEqual([
      1,
      `sluice audit export: ${url} answers 503; what it has taken ends before record 1, go on with --after 0\n`,
    ]);
  });
});

describe('sluice audit verify', () => {
  it('says what is wrong, and ends with 1', async () => {
    const good = await run({ name: 'verify', flags: { file } });
    expect([good.code, good.out]).toEqual([
      0,
      expect.stringMatching(/^4 records, 1 to 4; 1 checkpoints; key [0-9a-f]{16}\n/),
    ]);
    const other = join(folder, 'other.key');
    signingKey(other);
    const bad = await run({ name: 'verify', flags: { file, publicKey: [`${other}.pub`] } });
    expect([bad.code, bad.out]).toEqual([
      1,
      expect.stringMatching(/^signature: the end of the chain is not signed/),
    ]);
  });
});

const odd = join(folder, 'odd.sqlite');
writeFileSync(odd, 'no database at all, but something that somebody else has written');

it.each<[string, AuditCommand, number, RegExp]>([
  [
    'a time that is none',
    { name: 'query', flags: { file, limit: 1, output: 'json', since: 'soon' } },
    2,
    /--since soon: say how long ago/,
  ],
  [
    'no such file',
    { name: 'query', flags: { file: join(folder, 'none'), limit: 1, output: 'json' } },
    1,
    /there is no such file/,
  ],
  [
    'another file',
    { name: 'verify', flags: { file: odd, publicKey: [`${file}.key.pub`] } },
    1,
    /odd\.sqlite: file is not a database/,
  ],
  [
    'no public key',
    { name: 'verify', flags: { file, publicKey: [join(folder, 'none.pub')] } },
    2,
    /there is no public key at/,
  ],
  [
    'a public key that is none',
    { name: 'verify', flags: { file, publicKey: [odd] } },
    1,
    /holds no key in PEM/,
  ],
  [
    'a hash that is none',
    { name: 'verify', flags: { file, expect: ['4:abc'] } },
    2,
    /--expect 4:abc: say number and hash/,
  ],
  [
    'no private key',
    { name: 'erase', flags: { file, principal: 'ada', key: join(folder, 'none') } },
    2,
    /say with --key where it is/,
  ],
  [
    'a file to be changed that is not there',
    { name: 'erase', flags: { file: join(folder, 'new'), principal: 'ada' } },
    1,
    /there is no such file/,
  ],
  ['no such hold', { name: 'hold remove', hold: 'none', flags: { file } }, 1, /there is no hold "none"/],
  ['otlp to nowhere', { name: 'export', flags: { file, to: 'otlp' } }, 2, /--to otlp needs --url/],
  [
    'otlp to no URL',
    { name: 'export', flags: { file, to: 'otlp', url: 'ftp://a' } },
    2,
    /no URL of http or https/,
  ],
  [
    'otlp to a file',
    { name: 'export', flags: { file, to: 'otlp', url: 'http://a', out: 'b' } },
    2,
    /--out does not go with --to otlp/,
  ],
  [
    'JSON lines over TCP',
    { name: 'export', flags: { file, to: 'jsonl', tcp: 'a:1' } },
    2,
    /--tcp does not go with --to jsonl/,
  ],
  [
    'a place that is none',
    { name: 'export', flags: { file, to: 'syslog', tcp: 'a' } },
    2,
    /--tcp a: say host:port/,
  ],
])('refuses %s', async (_, command, expected, message) => {
  const { code, err } = await run(command);
  expect([code, err]).toEqual([expected, expect.stringMatching(message)]);
  expect(existsSync(join(folder, 'new'))).toBe(false);
});

it('says so when no record is of the principal that is to be forgotten', async () => {
  const copy = join(folder, 'copy.sqlite');
  for (const part of ['', '-wal', '.key', '.key.pub'])
    if (existsSync(file + part)) copyFileSync(file + part, copy + part);
  const { code, out } = await run({ name: 'erase', flags: { file: copy, principal: 'nobody' } });
  expect(code).toBe(0);
  expect(out).toMatch(/^no record says that it was nobody; name a principal as records have it, such as/);
});
