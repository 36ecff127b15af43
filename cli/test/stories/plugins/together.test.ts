import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RunningGateway, startGateway } from '../../gateway.js';
import { closeClients, connect, KINDS } from '../official-client.js';
import { ShapedServer } from '../shaped-server.js';

/* "Rules, guards, pins and checks stand in one chain, and the record of a call says which of them decided, and why." */

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const ERAS = ['legacy', 'modern'] as const;
const KEY = 'AKIAIOSFODNN7EXAMPLE';
const objectOf = (properties: object, required: readonly string[] = []) => ({
  type: 'object',
  properties,
  required,
});
const PAY = { name: 'pay', inputSchema: objectOf({ amount: { type: 'number' } }, ['amount']) };
const READ = { name: 'read', inputSchema: objectOf({ path: { type: 'string' } }) };
const DROP = { name: 'drop', inputSchema: objectOf({}) };
const SHIFTY = { name: 'shifty', inputSchema: objectOf({}) };
const TOOLS = [PAY, READ, DROP, SHIFTY];

const servers = { legacy: new ShapedServer('legacy'), modern: new ShapedServer('modern') };
const folder = mkdtempSync(join(tmpdir(), 'sluice-together-story-'));
let gateway: RunningGateway;

beforeAll(async () => {
  const upstreams = [];
  for (const era of ERAS) {
    servers[era].tools = TOOLS;
    upstreams.push({ name: era, url: await servers[era].start() });
  }
  const accepted = Object.fromEntries(
    ERAS.map((era) => [era, Object.fromEntries(TOOLS.map((tool) => [tool.name, JSON.stringify(tool)]))]),
  );
  gateway = await startGateway({
    workers: 1,
    config: {
      upstreams,
      plugins: [
        { plugin: 'audit', config: { file: join(folder, 'audit.sqlite'), durability: 'none_lost' } },
        {
          plugin: 'policy',
          config: {
            default: 'allow',
            rules: [
              {
                id: 'no-drops',
                match: { targets: ['*:drop'] },
                outcome: 'deny',
                reason: 'nothing is dropped',
              },
              {
                id: 'confirm',
                match: { targets: ['*:pay'] },
                when: 'arguments.amount > 100.0',
                outcome: 'ask',
                ask: { message: 'May {{arguments.amount}} be paid?' },
              },
              { id: 'tried', when: 'arguments.path == "a"', outcome: 'deny', mode: 'audit' },
            ],
          },
        },
        { plugin: 'guard', config: { sets: [{ set: 'json' }, { set: 'filesystem' }], redaction: {} } },
        { plugin: 'validate', config: {} },
        { plugin: 'pin', config: { accepted } },
      ],
    },
  });
});

afterAll(async () => {
  await closeClients();
  await gateway?.stop();
  for (const era of ERAS) await servers[era].stop();
  rmSync(folder, { recursive: true, force: true });
});

function sluice(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], {
    env: { ...process.env, SLUICE_AUDIT_FILE: join(folder, 'audit.sqlite') },
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
  return stdout;
}

describe.each(ERAS)('in front of a %s server', (era) => {
  const server = servers[era];
  beforeEach(() => {
    server.calls.length = 0;
    server.change(...TOOLS);
    server.result = () => ({ content: [{ type: 'text', text: `key: ${KEY}` }] });
  });

  it.each(KINDS)('%s is told who decided, and so is the record', async (kind) => {
    const since = new Date().toISOString();
    let answer = 'accept';
    const onElicit = ({ message }: { message: string }) => {
      expect(message).toBe('May 500 be paid?');
      return { action: answer, content: {} };
    };
    const client = await connect(kind, `${gateway.url}/mcp/${era}`, { onElicit });
    expect((await client.toolNames()).sort()).toEqual(['pay', 'read', 'shifty']);

    await client.call('pay', { amount: 500 });
    answer = 'decline';
    await expect(client.call('pay', { amount: 500 })).rejects.toThrow('declined');
    await client.call('pay', { amount: 5 });
    const read = await client.call('read', { path: 'a' });
    expect(read.content[0]?.text).toMatch(/^key: \[redacted:aws-access-key:\w{12}\]$/);
    await expect(client.call('drop', {})).rejects.toThrow('nothing is dropped');
    await expect(client.call('read', { path: '../../etc/passwd' })).rejects.toThrow('(rule fs-traversal)');
    await expect(client.call('read', { path: 7 })).rejects.toThrow('/path must be string');
    server.change(PAY, READ, DROP, { ...SHIFTY, inputSchema: objectOf({ token: {} }, ['token']) });
    // Until the gateway has heard of it, the tool is what it was.
    await expect
      .poll(() => client.call('shifty', { token: 'a' }).catch(({ message }) => message))
      .toContain('has changed since it was accepted');
    const reached = server.calls.map(({ name }) => name);
    expect(reached.filter((name) => name !== 'shifty')).toEqual(['pay', 'pay', 'read']);

    const records = JSON.parse(sluice('audit', 'query', '-o', 'json', '--limit', '1000', '--since', since));
    const calls = records.filter(({ method }: any) => method === 'tools/call');
    expect(
      calls
        // In 2026-07-28 the client comes twice: with the call, and with the answer of its person.
        .filter(({ outcome }: any) => outcome !== 'input_required')
        .filter(({ target, outcome }: any) => target.name !== 'shifty' || outcome !== 'ok')
        .map(({ target, decision, decided_by, rule }: any) => [target.name, decision, decided_by, rule]),
    ).toEqual([
      ['pay', 'approved', 'policy', 'confirm'],
      ['pay', 'declined', 'policy', 'confirm'],
      ['pay', 'allow', 'policy', 'default'],
      ['read', 'allow', 'policy', 'default'],
      ['drop', 'deny', 'policy', 'no-drops'],
      ['read', 'deny', 'guard', 'fs-traversal'],
      ['read', 'deny', 'validate', undefined],
      ['shifty', 'deny', 'pin', undefined],
    ]);
    const asked = calls.filter(({ outcome }: any) => outcome === 'input_required');
    expect(asked.map(({ rule }: any) => rule)).toEqual(client.isModern ? ['confirm', 'confirm'] : []);
    const noted = calls.find(({ target, outcome }: any) => target.name === 'read' && outcome === 'ok');
    expect(noted.remarks).toEqual([
      { kind: 'deny', rule: 'tried', isEnforced: false, by: 'policy' },
      { kind: 'allow', rule: 'default', by: 'policy' },
      { kind: 'redacted', rule: 'aws-access-key', data: { count: 1 }, by: 'guard' },
    ]);
  });
});

it('the chain of all of it verifies', () => {
  expect(sluice('audit', 'verify')).toContain('all records are what they were');
});
